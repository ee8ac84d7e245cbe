package tcpserver_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"example.com/sockets"
	"example.com/sockets/simnet"
	"example.com/sockets/tcpserver"
)

// final checks that err is want, and no timeout to anybody who asks, so that a loop
// which retries timeouts ends.
func final(t testing.TB, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s is %v, want %v", what, err, want)
	}
	var timeout net.Error
	if sockets.IsTimeout(err) || errors.As(err, &timeout) && timeout.Timeout() {
		t.Errorf("%s is a timeout: %v", what, err)
	}
}

// TestHandshakeTimeout: Prepare and TLS together may take so long, whatever deadlines
// they set and however the peer drips; then the socket is closed, and the error says
// why.
func TestHandshakeTimeout(t *testing.T) {
	stuck := func(ctx context.Context, c net.Conn) (net.Conn, error) {
		c.SetDeadline(time.Now().Add(time.Hour)) // its own affair
		_, err := io.ReadFull(c, make([]byte, 1000))
		return c, err
	}
	header := func(ctx context.Context, c net.Conn) (net.Conn, error) {
		_, err := io.ReadFull(c, make([]byte, 4))
		return c, err
	}
	heedsContext := func(ctx context.Context, c net.Conn) (net.Conn, error) {
		<-ctx.Done()
		return nil, context.Cause(ctx)
	}
	drip := func(c net.Conn) { // as a TLS client would begin
		for _, b := range []byte{22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3} {
			if _, err := c.Write([]byte{b}); err != nil {
				return
			}
			time.Sleep(time.Second)
		}
	}
	tests := []struct {
		name    string
		set     time.Duration
		tls     *tls.Config
		prepare func(context.Context, net.Conn) (net.Conn, error)
		client  func(net.Conn)
		want    time.Duration
	}{
		{"silent TLS, default", 0, serverTLS(), nil, func(net.Conn) {}, 10 * time.Second},
		{"dripping TLS", 3 * time.Second, serverTLS(), nil, drip, 3 * time.Second},
		{"silent Prepare", 3 * time.Second, nil, stuck, func(net.Conn) {}, 3 * time.Second},
		{"dripping Prepare", 3 * time.Second, nil, stuck, drip, 3 * time.Second},
		{"Prepare by its context", 3 * time.Second, nil, heedsContext, func(net.Conn) {}, 3 * time.Second},
		{"Prepare late, then silent TLS", 3 * time.Second, serverTLS(), header, func(c net.Conn) {
			time.Sleep(2 * time.Second)
			c.Write([]byte("head"))
		}, 3 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				var outcome error
				r := serveSim(t, &tcpserver.Server{
					Handler: upper, TLS: tt.tls, Prepare: tt.prepare,
					Timeouts: tcpserver.Timeouts{Handshake: tt.set},
					Trace:    &tcpserver.Trace{Handshake: func(_ *sockets.Conn, err error) { outcome = err }},
				})
				c := r.client()
				defer c.Close()
				begin := time.Now()
				var client sync.WaitGroup
				defer client.Wait()
				client.Go(func() { tt.client(c) })
				_, _ = io.Copy(io.Discard, c)
				if since(begin) != tt.want {
					t.Errorf("closed after %v, want %v", since(begin), tt.want)
				}
				synctest.Wait()
				final(t, "the handshake's end", outcome, sockets.ErrHandshake)
				if st := r.Stats(); st.Handshakes != 1 || st.Handshaking != 0 || st.Running != 0 {
					t.Errorf("%+v", st)
				}
				if err := r.wait(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// TestHandshakeLeavesNoDeadline: what Prepare set and forgot does not end the
// connection later, and Handshake is over when the handler begins.
func TestHandshakeLeavesNoDeadline(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := serveSim(t, &tcpserver.Server{Handler: upper, Prepare: func(_ context.Context, c net.Conn) (net.Conn, error) {
			return c, c.SetDeadline(time.Now().Add(time.Second))
		}})
		c := r.client()
		defer c.Close()
		time.Sleep(time.Hour)
		if got := ask(t, c, "late"); got != "LATE" {
			t.Errorf("got %q", got)
		}
		if err := r.wait(); err != nil {
			t.Error(err)
		}
	})
}

// TestPanicInHandshake: it ends its connection, and the gauges are right.
func TestPanicInHandshake(t *testing.T) {
	config := &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { panic("boom") }}
	tests := map[string]*tcpserver.Server{
		"Prepare": {Prepare: func(context.Context, net.Conn) (net.Conn, error) { panic("boom") }},
		"TLS":     {TLS: config},
	}
	for name, s := range tests {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				s.Handler = upper
				r := serveSim(t, s)
				c := tls.Client(r.client(), clientTLS())
				defer c.Close()
				if err := c.Handshake(); err == nil {
					t.Error("the handshake succeeds")
				}
				synctest.Wait()
				if st := r.Stats(); st.Panics != 1 || st.Handshaking != 0 || st.Running != 0 {
					t.Errorf("%+v", st)
				}
				if err := r.wait(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// TestLifetime: a connection is told within the last fifth of its life, not all in
// one moment. If it is idle it ends then, otherwise exactly at the end.
func TestLifetime(t *testing.T) {
	const life = 10 * time.Minute
	type end struct {
		err, cause error
		told, at   time.Duration
	}
	run := func(t *testing.T, many int, handler func(ctx context.Context, c *sockets.Conn) error, client func(net.Conn)) (ends []end) {
		var mu sync.Mutex
		begin := time.Now()
		r := serveSim(t, &tcpserver.Server{
			Timeouts: tcpserver.Timeouts{Lifetime: life},
			Handler: func(ctx context.Context, c *sockets.Conn) error {
				var told atomic.Int64
				go func() {
					select {
					case <-c.Draining():
						told.Store(int64(since(begin)))
					case <-ctx.Done():
					}
				}()
				err := handler(ctx, c)
				synctest.Wait()
				mu.Lock()
				defer mu.Unlock()
				ends = append(ends, end{err, context.Cause(ctx), time.Duration(told.Load()), since(begin)})
				return err
			},
		})
		var clients sync.WaitGroup
		defer clients.Wait()
		for range many {
			c := r.client()
			defer c.Close()
			clients.Go(func() { client(c) })
		}
		time.Sleep(2 * life)
		if st := r.Stats(); st.Running != 0 {
			t.Errorf("%+v", st)
		}
		if err := r.wait(); err != nil {
			t.Error(err)
		}
		return ends
	}
	inLastFifth := func(d time.Duration) bool { return d >= life-life/5 && d <= life }
	t.Run("idle", func(t *testing.T) {
		for name, handler := range waiting {
			if name == "Messages" {
				continue // see below
			}
			inBubble(t, func(t *testing.T) {
				var first, last = life, time.Duration(0)
				for _, e := range run(t, 20, handler, func(net.Conn) {}) {
					final(t, name, e.err, sockets.ErrLifetime)
					if !inLastFifth(e.at) || e.told != e.at {
						t.Errorf("%s: told after %v, ended after %v", name, e.told, e.at)
					}
					first, last = min(first, e.at), max(last, e.at)
				}
				if last-first < life/20 {
					t.Errorf("%s: they ended between %v and %v", name, first, last)
				}
			})
		}
	})
	t.Run("busy", func(t *testing.T) {
		inBubble(t, func(t *testing.T) {
			for _, e := range run(t, 3, func(ctx context.Context, c *sockets.Conn) error {
				<-ctx.Done()
				_, err := c.Write([]byte("x"))
				return err
			}, func(net.Conn) {}) {
				final(t, "a write", e.err, sockets.ErrLifetime)
				final(t, "the cause", e.cause, sockets.ErrLifetime)
				if e.at != life || !inLastFifth(e.told) {
					t.Errorf("told after %v, ended after %v", e.told, e.at)
				}
			}
		})
	})
	t.Run("between two requests", func(t *testing.T) {
		inBubble(t, func(t *testing.T) {
			ends := run(t, 1, upper, func(c net.Conn) {
				for {
					if _, err := c.Write([]byte("x\n")); err != nil {
						return
					}
					if _, err := c.Read(make([]byte, 2)); err != nil {
						return
					}
					time.Sleep(time.Second)
				}
			})
			if e := ends[0]; !inLastFifth(e.at) || e.told != e.at || e.err != nil && !errors.Is(e.err, sockets.ErrLifetime) {
				t.Errorf("told after %v, ended after %v with %v", e.told, e.at, e.err)
			}
		})
	})
	t.Run("ended before", func(t *testing.T) {
		inBubble(t, func(t *testing.T) {
			ends := run(t, 1, func(_ context.Context, c *sockets.Conn) error {
				return errors.New("enough")
			}, func(net.Conn) {})
			if e := ends[0]; e.at != 0 || e.told != 0 {
				t.Errorf("%+v", e)
			}
		})
	})
}

// TestLifetimeAndStop: a stop during the last fifth, or before it, is a stop.
func TestLifetimeAndStop(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := serveSim(t, &tcpserver.Server{Handler: upper, Timeouts: tcpserver.Timeouts{Lifetime: time.Hour}})
		c := r.client()
		defer c.Close()
		ask(t, c, "x")
		begin := time.Now()
		if err := r.wait(); err != nil || since(begin) > 5*time.Millisecond {
			t.Errorf("Serve returned %v after %v", err, since(begin))
		}
	})
}

// TestMinRate: a peer that is slower than so many bytes a second, after 5 s for free,
// is ended; the time that the handler takes is not the peer's.
func TestMinRate(t *testing.T) {
	const rate = 100
	// drip sends n bytes, so many at a time, a second apart, and then a newline.
	drip := func(n, each int) func(net.Conn) {
		return func(c net.Conn) {
			for ; n > 0; n -= each {
				if _, err := c.Write(make([]byte, each)); err != nil {
					return
				}
				time.Sleep(time.Second)
			}
			c.Write([]byte("\n"))
		}
	}
	read := func(_ context.Context, c *sockets.Conn) error {
		_, err := c.ReadMessage()
		return err
	}
	own := func(_ context.Context, c *sockets.Conn) error {
		if err := c.Await(); err != nil {
			return err
		}
		_, err := io.ReadFull(c, make([]byte, 30_000))
		return err
	}
	tests := []struct {
		name    string
		handler sockets.Handler
		client  func(net.Conn)
		want    error
		after   time.Duration // 0: as long as it takes
	}{
		// 100 bytes are worth a second beyond the five.
		{"message, nothing more", read, func(c net.Conn) { c.Write(make([]byte, 50)) }, sockets.ErrMinRate, 5500 * time.Millisecond},
		{"message, slow", read, drip(1000, 10), sockets.ErrMinRate, 5600 * time.Millisecond},
		{"message, half as fast", read, drip(6000, 60), sockets.ErrMinRate, 12800 * time.Millisecond},
		{"message, fast enough for minutes", read, drip(50_000, 101), nil, 0},
		{"Read after Await, slow", own, drip(6000, 60), sockets.ErrMinRate, 12800 * time.Millisecond},
		{"Read after Await, fast enough", own, drip(30_300, 101), nil, 0},
		{"before a message", read, func(c net.Conn) {
			time.Sleep(time.Hour)
			c.Write([]byte("x\n"))
		}, nil, time.Hour},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				var outcome error
				var took time.Duration
				r := serveSim(t, &tcpserver.Server{
					Timeouts: tcpserver.Timeouts{MinRate: rate, Message: -1, Write: -1},
					Framing:  sockets.Lines(1 << 20),
					Handler: func(ctx context.Context, c *sockets.Conn) error {
						begin := time.Now()
						outcome = tt.handler(ctx, c)
						took = since(begin)
						return outcome
					},
				})
				c := r.client()
				var client sync.WaitGroup
				defer client.Wait()
				client.Go(func() { tt.client(c) })
				time.Sleep(3 * time.Hour)
				synctest.Wait()
				if tt.want == nil && outcome != nil || tt.want != nil && !errors.Is(outcome, tt.want) {
					t.Errorf("ended with %v, want %v", outcome, tt.want)
				}
				if tt.want != nil {
					final(t, tt.name, outcome, tt.want)
				}
				if tt.after > 0 && took != tt.after {
					t.Errorf("ended after %v, want %v", took, tt.after)
				}
				t.Logf("%v after %v", outcome, took)
				c.Close()
				if err := r.wait(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// TestMinRateWrite: the same for a peer that takes what is written: what it has not
// acknowledged it has not taken, however much the system has, and over TLS what is kept
// of a record that a deadline cut.
func TestMinRateWrite(t *testing.T) {
	const rate, window = 100, 4096 // of the client's socket
	tests := []struct {
		name   string
		tls    *tls.Config
		each   int // bytes that the client reads in a second
		ended  time.Duration
		served bool
	}{
		{"nothing taken", nil, 0, 5*time.Second + window*time.Second/rate, false},
		{"slow", nil, 50, 2 * time.Minute, false},
		{"fast enough", nil, 150, 0, true},
		{"TLS, nothing taken", serverTLS(), 0, time.Minute, false},
		{"TLS, slow", serverTLS(), 50, 2 * time.Minute, false},
		{"TLS, fast enough", serverTLS(), 150, 0, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				n := simnet.New(simnet.Options{Trace: -1, ReadBuffer: window})
				ln, err := n.Listen(t.Context(), "tcp", "127.0.0.1:0")
				if err != nil {
					t.Fatal(err)
				}
				var outcome error
				var took time.Duration
				r := serve(t, &tcpserver.Server{
					TLS: tt.tls, Timeouts: tcpserver.Timeouts{MinRate: rate, Write: -1},
					Handler: func(_ context.Context, c *sockets.Conn) error {
						begin := time.Now()
						_, outcome = c.Write(make([]byte, 500_000))
						took = since(begin)
						return outcome
					},
				}, ln)
				r.dial = n.DialContext
				raw := r.client()
				if tt.tls != nil {
					if err := tls.Client(raw, clientTLS()).Handshake(); err != nil {
						t.Fatal(err)
					}
				}
				var client sync.WaitGroup
				client.Go(func() {
					for tt.each > 0 {
						time.Sleep(time.Second)
						if _, err := io.ReadFull(raw, make([]byte, tt.each)); err != nil {
							return
						}
					}
				})
				time.Sleep(3 * time.Hour)
				synctest.Wait()
				switch {
				case tt.served && outcome != nil:
					t.Errorf("ended with %v after %v", outcome, took)
				case !tt.served:
					final(t, "the write", outcome, sockets.ErrMinRate)
				}
				if exact := tt.each == 0 && tt.tls == nil; took > tt.ended && !tt.served || exact && took != tt.ended {
					t.Errorf("ended after %v, want %v", took, tt.ended)
				}
				raw.Close()
				if err := r.wait(); err != nil {
					t.Error(err)
				}
				client.Wait()
			})
		})
	}
}

// TestMinRateComputing: what the handler does between its reads costs the peer
// nothing, for hours.
func TestMinRateComputing(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var outcome error
		r := serveSim(t, &tcpserver.Server{
			Timeouts: tcpserver.Timeouts{MinRate: 1 << 20},
			Handler: func(_ context.Context, c *sockets.Conn) error {
				if outcome = c.Await(); outcome != nil {
					return outcome
				}
				for range 100 {
					if _, outcome = io.ReadFull(c, make([]byte, 10)); outcome != nil {
						return outcome
					}
					time.Sleep(time.Minute)
					if _, outcome = c.Write([]byte("0123456789")); outcome != nil {
						return outcome
					}
				}
				return nil
			},
		})
		c := r.client()
		defer c.Close()
		c.Write(make([]byte, 1000)) // here all the time
		if got, err := io.ReadAll(c); len(got) != 1000 || err != nil || outcome != nil {
			t.Errorf("%d bytes, %v; the handler: %v", len(got), err, outcome)
		}
		if err := r.wait(); err != nil {
			t.Error(err)
		}
	})
}

// TestMessageDrip: the clock of a message runs from its first byte to its last,
// however often a byte comes in between, and not over what follows it.
func TestMessageDrip(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var outcome error
		var at time.Duration
		begin := time.Now()
		r := serveSim(t, &tcpserver.Server{
			Timeouts: tcpserver.Timeouts{Message: 10 * time.Second},
			Handler: func(ctx context.Context, c *sockets.Conn) error {
				outcome = upper(ctx, c)
				at = since(begin)
				return outcome
			},
		})
		c := r.client()
		defer c.Close()
		go io.Copy(io.Discard, c)
		c.Write([]byte("one\n"))
		time.Sleep(time.Minute)
		c.Write([]byte("x"))
		time.Sleep(9 * time.Second) // in time
		c.Write([]byte("\n"))
		time.Sleep(time.Minute)
		from := since(begin)
		for range 2000 {
			c.Write([]byte("x"))
			time.Sleep(10 * time.Millisecond)
		}
		synctest.Wait()
		if final(t, "dripping", outcome, sockets.ErrMessage); at-from != 10*time.Second {
			t.Errorf("ended after %v", at-from)
		}
		if err := r.wait(); err != nil {
			t.Error(err)
		}
	})
}

// counting counts how often a deadline is set.
type counting struct {
	net.Conn
	reads, writes atomic.Int64
}

func (c *counting) SetReadDeadline(t time.Time) error {
	c.reads.Add(1)
	return c.Conn.SetReadDeadline(t)
}

func (c *counting) SetWriteDeadline(t time.Time) error {
	c.writes.Add(1)
	return c.Conn.SetWriteDeadline(t)
}

// TestDeadlinesAreLazy: with every timeout set a message costs no timer operation for
// its read. (What is below TLS can be counted; a plain TCP socket, which is armed by
// the same rule, can't, see BenchmarkTimeouts.)
func TestDeadlinesAreLazy(t *testing.T) {
	const messages = 300
	var below *counting
	r := serveReal(t, &tcpserver.Server{
		Handler: upper, TLS: serverTLS(),
		Prepare: func(_ context.Context, c net.Conn) (net.Conn, error) {
			below = &counting{Conn: c}
			return below, nil
		},
		Timeouts: tcpserver.Timeouts{
			Idle: time.Hour, Message: time.Minute, Write: time.Minute, MinRate: 1, Lifetime: time.Hour,
		},
	})
	c := tls.Client(r.client(), clientTLS())
	defer c.Close()
	for range messages {
		ask(t, c, "x")
	}
	if reads := below.reads.Load(); reads > 20 {
		t.Errorf("%d deadlines for %d reads", reads, messages)
	}
	if writes := below.writes.Load(); writes > 2*messages+20 { // TLS can't be written lazily
		t.Errorf("%d deadlines for %d writes", writes, messages)
	}
	if err := r.wait(); err != nil {
		t.Error(err)
	}
}

// BenchmarkTimeouts is what all timeouts together add to an echoed line.
func BenchmarkTimeouts(b *testing.B) {
	for _, set := range []bool{false, true} {
		b.Run(fmt.Sprint("set=", set), func(b *testing.B) {
			times := tcpserver.Timeouts{Idle: -1, Message: -1, Write: -1}
			if set {
				times = tcpserver.Timeouts{Idle: time.Hour, Message: time.Minute, Write: time.Minute, MinRate: 1, Lifetime: time.Hour}
			}
			r := serveReal(b, &tcpserver.Server{Handler: upper, Timeouts: times})
			c := r.client()
			line := []byte("a line of forty bytes, or nearly so....\n")
			buf := make([]byte, len(line))
			for b.Loop() {
				if _, err := c.Write(line); err != nil {
					b.Fatal(err)
				}
				if _, err := io.ReadFull(c, buf); err != nil {
					b.Fatal(err)
				}
			}
			c.Close()
			r.wait()
		})
	}
}
