package tcpserver_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"example.com/sockets"
	"example.com/sockets/simnet"
	"example.com/sockets/tcpserver"
)

// handlers that wait for a client in each way there is.
var waiting = map[string]sockets.Handler{
	"Messages": upper,
	"ReadMessage": func(_ context.Context, c *sockets.Conn) error {
		_, err := c.ReadMessage()
		return err
	},
	"Await": func(_ context.Context, c *sockets.Conn) error { return c.Await() },
	"Read": func(_ context.Context, c *sockets.Conn) error {
		_, err := c.Read(make([]byte, 10))
		return err
	},
	"io.Copy": func(_ context.Context, c *sockets.Conn) error {
		_, err := io.Copy(io.Discard, c)
		return err
	},
}

// TestStopSilent: connections on which nothing happens delay a stop by nothing, in
// virtual time, in which any polling would show.
func TestStopSilent(t *testing.T) {
	for name, handler := range waiting {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				const many = 2000
				r := serveSim(t, &tcpserver.Server{Handler: handler})
				clients := make([]net.Conn, many)
				for i := range clients {
					clients[i] = r.client()
				}
				time.Sleep(time.Second)
				if n := r.Stats().Running; n != many {
					t.Fatalf("%d handlers run, want %d", n, many)
				}
				begin := time.Now()
				if err := r.wait(); err != nil {
					t.Error(err)
				}
				if took := since(begin); took > 10*time.Millisecond {
					t.Errorf("the stop took %v", took)
				}
				for _, c := range clients {
					if err := ended(c); err != io.EOF {
						t.Fatalf("a client read %v, want EOF", err)
					}
					c.Close()
				}
			})
		})
	}
}

// TestStopSilentReal is the same on real sockets, where only a clear excess says
// something.
func TestStopSilentReal(t *testing.T) {
	const many = 500
	r := serveReal(t, &tcpserver.Server{Handler: upper})
	clients := make([]net.Conn, many)
	for i := range clients {
		clients[i] = r.client()
		defer clients[i].Close()
	}
	for r.Stats().Running != many {
		runtime.Gosched()
	}
	begin := time.Now()
	if err := r.wait(); err != nil {
		t.Error(err)
	}
	if took := since(begin); took > 2*time.Second {
		t.Errorf("the stop took %v", took)
	}
	for _, c := range clients {
		if err := ended(c); err != io.EOF {
			t.Fatalf("a client read %v, want EOF", err)
		}
	}
}

// TestStopFinishesRequest: what is under way when the stop begins is answered: a
// request that the handler works on, half of one, and a reply being streamed.
func TestStopFinishesRequest(t *testing.T) {
	t.Run("working", func(t *testing.T) {
		inBubble(t, func(t *testing.T) {
			r := serveSim(t, &tcpserver.Server{Handler: tcpserver.Respond(
				func(_ context.Context, q []byte) ([]byte, error) {
					time.Sleep(3 * time.Second)
					return []byte("done"), nil
				})})
			c := r.client()
			defer c.Close()
			c.Write([]byte("work\n"))
			time.Sleep(time.Second)
			begin := time.Now()
			r.stop()
			if got, _ := io.ReadAll(c); string(got) != "done\n" {
				t.Errorf("client read %q", got)
			}
			if err := r.wait(); err != nil || since(begin) != 2*time.Second {
				t.Errorf("Serve returned %v after %v", err, since(begin))
			}
		})
	})
	t.Run("half a request", func(t *testing.T) {
		inBubble(t, func(t *testing.T) {
			r := serveSim(t, &tcpserver.Server{Handler: upper})
			c := r.client()
			defer c.Close()
			c.Write([]byte("hel"))
			synctest.Wait()
			r.stop()
			time.Sleep(time.Second)
			if got := ask(t, c, "lo"); got != "HELLO" {
				t.Errorf("client read %q", got)
			}
			if err := ended(c); err != io.EOF {
				t.Errorf("then %v, want EOF", err)
			}
			if err := r.wait(); err != nil {
				t.Error(err)
			}
		})
	})
	t.Run("streamed reply", func(t *testing.T) {
		inBubble(t, func(t *testing.T) {
			r := serveSim(t, &tcpserver.Server{Handler: func(_ context.Context, c *sockets.Conn) error {
				go func() { // while the handler waits for input in a Read
					for range 20 {
						c.Write([]byte("."))
						time.Sleep(90 * time.Millisecond)
					}
				}()
				_, err := c.Read(make([]byte, 1))
				return err
			}})
			c := r.client()
			defer c.Close()
			synctest.Wait()
			begin := time.Now()
			r.stop()
			got, _ := io.ReadAll(c)
			if len(got) != 20 {
				t.Errorf("client read %d pieces, want 20", len(got))
			}
			if err := r.wait(); err != nil || since(begin) != 19*90*time.Millisecond+100*time.Millisecond {
				t.Errorf("Serve returned %v after %v", err, since(begin))
			}
		})
	})
}

// TestStopServesQueue: connections that wait in the accept queue when the stop
// begins are served the request that they sent, none is reset, and one that sends
// nothing is closed in order.
func TestStopServesQueue(t *testing.T) {
	const many = 50
	check := func(t *testing.T, s *tcpserver.Server, ln net.Listener, dial func(context.Context, string, string) (net.Conn, error)) {
		var clients []net.Conn
		for i := range many {
			c, err := dial(t.Context(), "tcp", ln.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if i != 0 {
				c.Write([]byte("hello\n"))
			}
			clients = append(clients, c)
		}
		r := serve(t, s, ln)
		r.stop() // before or just after the loop has started
		for i, c := range clients {
			got, err := io.ReadAll(c)
			want := "HELLO\n"
			if i == 0 {
				want = ""
			}
			if string(got) != want || err != nil {
				t.Errorf("client %d read %q, %v", i, got, err)
			}
		}
		if err := r.wait(); err != nil {
			t.Error(err)
		}
		if n := s.Stats().Served; n != many {
			t.Errorf("served %d, want %d", n, many)
		}
	}
	for _, conns := range []int{0, 1} {
		name := map[int]string{0: "no limit", 1: "one at a time"}[conns]
		t.Run("real, "+name, func(t *testing.T) {
			s := &tcpserver.Server{Handler: upper, Limits: tcpserver.Limits{Conns: conns}, Timeouts: tcpserver.Timeouts{Grace: time.Minute}}
			ln, err := s.Listen(t.Context(), "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			check(t, s, ln, new(net.Dialer).DialContext)
		})
		t.Run("virtual, "+name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				s := &tcpserver.Server{Handler: upper, Limits: tcpserver.Limits{Conns: conns}}
				n := simnet.New(simnet.Options{})
				ln, err := n.Listen(t.Context(), "tcp", "127.0.0.1:0")
				if err != nil {
					t.Fatal(err)
				}
				check(t, s, ln, n.DialContext)
			})
		})
	}
}

// TestStopWithSilentQueue: many in the queue that say nothing take a stop no longer
// than one, however few may be served at once, and a request among them is answered.
func TestStopWithSilentQueue(t *testing.T) {
	for name, s := range map[string]*tcpserver.Server{
		"plain": {Handler: upper, Limits: tcpserver.Limits{Conns: 1}},
		"TLS":   {Handler: upper, Limits: tcpserver.Limits{Conns: 1, Handshakes: 1}, TLS: serverTLS()},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				n := simnet.New(simnet.Options{Trace: -1})
				ln, err := n.Listen(t.Context(), "tcp", "127.0.0.1:0")
				if err != nil {
					t.Fatal(err)
				}
				var all []net.Conn
				for range 100 {
					c, err := n.DialContext(t.Context(), "tcp", ln.Addr().String())
					if err != nil {
						t.Fatal(err)
					}
					defer c.Close()
					all = append(all, c)
				}
				answered := make(chan error, 1)
				go func() {
					last := all[99]
					if s.TLS != nil {
						last = tls.Client(last, clientTLS())
					}
					last.Write([]byte("hello\n"))
					_, err := io.ReadFull(last, make([]byte, 6))
					answered <- err
				}()
				synctest.Wait()
				r := serve(t, s, ln)
				begin := time.Now()
				if err := r.wait(); err != nil || since(begin) > 250*time.Millisecond { // after its handshake one has 100 ms more
					t.Errorf("Serve returned %v after %v", err, since(begin))
				}
				if err := <-answered; err != nil {
					t.Errorf("the one that asks: %v", err)
				}
				for _, c := range all[:99] {
					if err := ended(c); err != io.EOF {
						t.Fatalf("a silent one read %v", err)
					}
				}
			})
		})
	}
}

// TestStopResetsNobodyInTheQueue: who waits for a turn that does not come before the
// grace period is over reads EOF, whatever it had sent.
func TestStopResetsNobodyInTheQueue(t *testing.T) {
	for _, late := range []time.Duration{0, 500 * time.Millisecond} { // that the handler takes to end, with the slot
		inBubble(t, func(t *testing.T) {
			r := serveSim(t, &tcpserver.Server{
				Handler: func(ctx context.Context, c *sockets.Conn) error {
					defer time.Sleep(late)
					return busy(nil)(ctx, c)
				},
				Limits:   tcpserver.Limits{Conns: 1, Overload: tcpserver.Block},
				Timeouts: tcpserver.Timeouts{Grace: time.Second},
			})
			first := r.client()
			defer first.Close()
			hello(t, first)
			var all []net.Conn
			for i := range 20 {
				c := r.client()
				defer c.Close()
				c.Write(make([]byte, i*i*100))
				all = append(all, c)
			}
			synctest.Wait()
			var drained *sockets.DrainError
			if err := r.wait(); !errors.As(err, &drained) || len(drained.CutOff) != 1 {
				t.Errorf("Serve returned %v", err)
			}
			for i, c := range all {
				if err := ended(c); err != io.EOF {
					t.Errorf("client %d read %v, want EOF", i, err)
				}
			}
			if st := r.Stats(); st.Unserved != 20 {
				t.Errorf("%+v", st)
			}
		})
	}
}

// endless is a listener that always has another connection, each after a while.
type endless struct {
	after  time.Duration
	stops  atomic.Bool
	closed atomic.Bool
	given  int // since the stop began
	wake   chan struct{}
}

func (l *endless) Accept() (net.Conn, error) {
	<-l.wake
	time.Sleep(l.after)
	if l.closed.Load() {
		return nil, net.ErrClosed
	}
	l.given++
	server, client := net.Pipe()
	client.Close()
	return server, nil
}

func (l *endless) SetDeadline(at time.Time) error {
	if !at.IsZero() && l.stops.CompareAndSwap(false, true) {
		close(l.wake)
	}
	return nil
}

func (l *endless) Close() error { l.closed.Store(true); return nil }
func (*endless) Addr() net.Addr { return &net.UnixAddr{Name: "endless", Net: "unix"} }

// TestStopTakesNotForEver: others may go on dialling; the queue that a stop takes is
// bounded in number and in time.
func TestStopTakesNotForEver(t *testing.T) {
	for after, want := range map[time.Duration]int{0: 4096, time.Millisecond: 50} {
		inBubble(t, func(t *testing.T) {
			ln := &endless{after: after, wake: make(chan struct{})}
			r := serve(t, &tcpserver.Server{Handler: upper, Limits: tcpserver.Limits{Conns: -1}}, ln)
			synctest.Wait()
			begin := time.Now()
			if err := r.wait(); err != nil || since(begin) > 60*time.Millisecond {
				t.Errorf("Serve returned %v after %v", err, since(begin))
			}
			if ln.given < want || ln.given > want+1 { // and the one that Accept was about to give
				t.Errorf("%d were taken, one every %v; want %d", ln.given, after, want)
			}
		})
	}
}

// TestStopCutsOff: a handler that heeds nothing loses its connection when the grace
// period ends, is abandoned a second later and named; one that heeds its connection
// or its context ends in that second, and learns why.
func TestStopCutsOff(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		release := make(chan struct{})
		causes := make(chan error, 2)
		handler := func(ctx context.Context, c *sockets.Conn) error {
			q, err := c.ReadMessage()
			switch {
			case err != nil:
				return err
			case string(q) == "deaf":
				<-release
			case string(q) == "context":
				<-ctx.Done()
				causes <- context.Cause(ctx)
				return ctx.Err()
			case string(q) == "read":
				_, err = c.Read(make([]byte, 1)) // between two idle points: busy
				causes <- err
			}
			return err
		}
		s := &tcpserver.Server{Handler: handler, Timeouts: tcpserver.Timeouts{Grace: 3 * time.Second}}
		r := serveSim(t, s)
		for _, what := range []string{"deaf", "context", "read"} {
			c := r.client()
			defer c.Close()
			c.Write([]byte(what + "\n"))
		}
		time.Sleep(time.Second)
		begin := time.Now()
		err := r.wait()
		if took := since(begin); took != 4*time.Second {
			t.Errorf("Serve returned after %v, want the grace period and a second", took)
		}
		var drained *sockets.DrainError
		if !errors.As(err, &drained) || len(drained.CutOff) != 2 || len(drained.Abandoned) != 1 {
			t.Fatalf("Serve returned %v", err)
		}
		a := drained.Abandoned[0]
		if a.ID == 0 || !a.Remote.IsValid() || a.Phase != "handler" || a.Age != 5*time.Second || a.Quiet != 5*time.Second || a.Read != 5 {
			t.Errorf("abandoned: %+v", a)
		}
		if text := err.Error(); !strings.Contains(text, a.Remote.String()) || !strings.Contains(text, "abandoned") {
			t.Errorf("the error does not name it: %s", text)
		}
		for range 2 {
			if cause := <-causes; !errors.Is(cause, sockets.ErrCutOff) {
				t.Errorf("a handler saw %v", cause)
			}
		}
		close(release)
		synctest.Wait()
		if n := s.Stats().Running; n != 0 {
			t.Errorf("Running is %d after the abandoned handler ended", n)
		}
	})
}

// TestStopWithoutGrace: a negative Grace cuts off at once.
func TestStopWithoutGrace(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := serveSim(t, &tcpserver.Server{
			Handler: func(ctx context.Context, c *sockets.Conn) error {
				<-ctx.Done()
				return nil
			},
			Timeouts: tcpserver.Timeouts{Grace: -1},
		})
		c := r.client()
		defer c.Close()
		synctest.Wait()
		begin := time.Now()
		var drained *sockets.DrainError
		if err := r.wait(); !errors.As(err, &drained) || since(begin) != 0 {
			t.Errorf("Serve returned %v after %v", err, since(begin))
		}
	})
}

// TestStopUnderDialling: however dialling and stopping meet, every connection is
// served, refused or ended, and nothing is left.
func TestStopUnderDialling(t *testing.T) {
	rounds := 500
	if testing.Short() {
		rounds = 50
	}
	for round := range rounds {
		s := &tcpserver.Server{Handler: upper}
		r := serveReal(t, s)
		ctx, stop := context.WithCancel(t.Context())
		var dialers sync.WaitGroup
		for range 8 {
			dialers.Go(func() {
				for ctx.Err() == nil {
					c, err := net.Dial("tcp", r.addr)
					if err != nil {
						return // refused: the listener is closed
					}
					c.SetDeadline(time.Now().Add(10 * time.Second))
					c.Write([]byte("x\n"))
					if _, err := io.ReadAll(c); errors.Is(err, context.DeadlineExceeded) || sockets.IsTimeout(err) {
						t.Error("a connection was left open")
					}
					c.Close()
				}
			})
		}
		for s.Stats().Accepted < 3 {
			runtime.Gosched()
		}
		r.stop()
		if round%10 != 0 { // in every tenth they go on until they are refused
			stop()
		}
		if err := r.wait(); err != nil {
			t.Fatal(err)
		}
		stop()
		dialers.Wait()
	}
}

// TestStopTwiceAndAgain: stopping again changes nothing, a Server serves again
// after it was stopped, and Serve with a context that has ended returns.
func TestStopTwiceAndAgain(t *testing.T) {
	s := &tcpserver.Server{Handler: upper}
	for range 3 {
		r := serveReal(t, s)
		c := r.client()
		if got := ask(t, c, "again"); got != "AGAIN" {
			t.Errorf("got %q", got)
		}
		c.Close()
		r.stop()
		r.stop()
		if err := r.wait(); err != nil {
			t.Error(err)
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := s.ListenAndServe(ctx, "127.0.0.1:0"); err == nil {
		return
	} else if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// TestServeSeveral: one Server on several listeners; the stop of one call leaves
// the connections of the other alone.
func TestServeSeveral(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := &tcpserver.Server{Handler: upper, Limits: tcpserver.Limits{Conns: 2, Overload: tcpserver.Block}}
		a, b := serveSim(t, s), serveSim(t, s)
		ca, cb := a.client(), b.client()
		ask(t, ca, "x")
		ask(t, cb, "x")
		waits := a.client() // the limit covers both
		defer waits.Close()
		waits.Write([]byte("late\n"))
		time.Sleep(time.Second)
		if n := s.Stats().Running; n != 2 {
			t.Errorf("Running is %d, want 2", n)
		}
		b.stop()
		if err := <-b.done; err != nil {
			t.Error(err)
		}
		if err := ended(cb); err != io.EOF {
			t.Errorf("client of the stopped one read %v", err)
		}
		if got := ask(t, ca, "still"); got != "STILL" {
			t.Errorf("client of the other got %q", got)
		}
		buf := make([]byte, 10)
		if n, err := waits.Read(buf); string(buf[:n]) != "LATE\n" {
			t.Errorf("the one that waited for a slot got %q, %v", buf[:n], err)
		}
		if err := a.wait(); err != nil {
			t.Error(err)
		}
		ca.Close()
		cb.Close()
	})
}
