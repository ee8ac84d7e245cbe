package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"example.com/sockets"
	"example.com/sockets/client"
	"example.com/sockets/simnet"
)

// lineServer answers lines in upper case at the server's port 80, after a while if
// told so, and counts.
type lineServer struct {
	net.Listener
	delay time.Duration
	last  string      // the request that is answered by closing
	drop  atomic.Bool // every connection is closed at once

	goroutines sync.WaitGroup
	mu         sync.Mutex
	conns      []net.Conn
	open, most int             // connections, and the most at once
	accepts    []time.Duration // when they came
	got        []string        // requests
}

// serve starts s in w. It ends with the test.
func (s *lineServer) serve(w *world) {
	ln, err := w.server.Listen(w.t.Context(), "tcp", ":80")
	if err != nil {
		w.t.Fatal(err)
	}
	s.Listener = ln
	w.t.Cleanup(s.stop)
	s.goroutines.Go(func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.open++
			s.most = max(s.most, s.open)
			s.accepts = append(s.accepts, w.now())
			s.conns = append(s.conns, nc)
			s.mu.Unlock()
			s.goroutines.Go(func() { s.converse(nc) })
		}
	})
}

func (s *lineServer) stop() {
	s.Close()
	s.hangUp(func(c net.Conn) { c.Close() })
	s.goroutines.Wait()
}

// hangUp does something to all connections.
func (s *lineServer) hangUp(how func(net.Conn)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.conns {
		how(c)
	}
}

func (s *lineServer) converse(nc net.Conn) {
	defer func() {
		nc.Close()
		s.mu.Lock()
		s.open--
		s.mu.Unlock()
	}()
	if s.drop.Load() {
		return
	}
	c := sockets.NewConn(nc, nil)
	for line, err := range c.Messages() {
		if err != nil {
			return
		}
		s.mu.Lock()
		s.got = append(s.got, string(line))
		s.mu.Unlock()
		if string(line) == s.last {
			return
		}
		time.Sleep(s.delay)
		if c.WriteMessage(upper(line)) != nil {
			return
		}
	}
}

func (s *lineServer) requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.got)
}

func (s *lineServer) acceptTimes() []time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.accepts)
}

// newPool makes a pool that is closed, and found empty, when the test ends.
func newPool(w *world, p *client.Pool) *client.Pool {
	p.Address = "10.0.0.2:80"
	if p.Dialer.DialContext == nil {
		p.Dialer.DialContext = w.client.DialContext
	}
	w.t.Cleanup(func() {
		if err := p.Close(); err != nil {
			w.t.Errorf("Close: %v", err)
		}
		s := p.Stats()
		r := s.Retired
		if s.Open+s.Idle+s.Dialing+s.Waiting != 0 || s.Dialed != r.Idle+r.Lifetime+r.Ended+r.Reset+r.Unasked+r.Broken+r.Closed {
			w.t.Errorf("the counters do not add up: %+v", s)
		}
	})
	return p
}

func wantCall(t *testing.T, p *client.Pool, request string) {
	t.Helper()
	if reply, err := p.Call(t.Context(), []byte(request)); err != nil || string(reply) != strings.ToUpper(request) {
		t.Errorf("%s: got %q, %v", request, reply, err)
	}
}

func TestPoolIsBounded(t *testing.T) {
	for _, tt := range []struct{ conns, want int }{{0, 16}, {1, 1}, {3, 3}, {-1, 100}} {
		t.Run(fmt.Sprint(tt.conns), func(t *testing.T) {
			inWorld(t, simnet.Options{}, func(t *testing.T, w *world) {
				s := &lineServer{delay: 10 * ms}
				s.serve(w)
				p := newPool(w, &client.Pool{Conns: tt.conns})
				var calls sync.WaitGroup
				for i := range 100 {
					calls.Go(func() {
						for j := range 5 {
							wantCall(t, p, fmt.Sprint("call ", i, " ", j))
						}
					})
				}
				calls.Wait()
				if s.most != tt.want || len(s.acceptTimes()) != tt.want {
					t.Errorf("%d connections at once, %d in all, want %d", s.most, len(s.acceptTimes()), tt.want)
				}
				if got := p.Stats(); got.Calls != 500 || got.Failed != 0 || got.Dialed != int64(tt.want) || got.Idle != tt.want {
					t.Errorf("stats %+v", got)
				}
			})
		})
	}
}

// Who waited first is served first.
func TestPoolIsFair(t *testing.T) {
	inWorld(t, simnet.Options{}, func(t *testing.T, w *world) {
		s := &lineServer{delay: 10 * ms}
		s.serve(w)
		p := newPool(w, &client.Pool{Conns: 1})
		var calls sync.WaitGroup
		for i := range 50 {
			calls.Go(func() { wantCall(t, p, fmt.Sprintf("%02d", i)) })
			synctest.Wait()
		}
		calls.Wait()
		if got := s.requests(); !slices.IsSorted(got) || len(got) != 50 {
			t.Errorf("served in the order %v", got)
		}
	})
}

// The only connection is in use, and somebody waits for it.
func TestPoolWaiters(t *testing.T) {
	inWorld(t, simnet.Options{}, func(t *testing.T, w *world) {
		(&lineServer{}).serve(w)
		p := newPool(w, &client.Pool{Conns: 1})
		boom := errors.New("boom")
		hold := func(how error) {
			go p.Do(t.Context(), func(ctx context.Context, c *sockets.Conn) error {
				time.Sleep(time.Second)
				return how
			})
			synctest.Wait()
		}
		for _, how := range []error{nil, boom} { // given back, or broken
			hold(how)
			start := w.now()
			wantCall(t, p, "hello")
			if d := w.now() - start; d != time.Second {
				t.Errorf("%v: waited %v", how, d)
			}
		}
		hold(nil)
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(50*ms, func() { cancel(boom) })
		start := w.now()
		_, err := p.Call(ctx, []byte("hello"))
		if d := w.now() - start; !errors.Is(err, boom) || !sockets.NotSent(err) || d != 50*ms {
			t.Errorf("cancelled after %v: %v", d, err)
		}
		wantCall(t, p, "hello") // the place is free again
		hold(nil)
		time.AfterFunc(100*ms, func() { p.Close() })
		_, err = p.Call(t.Context(), []byte("hello"))
		if !errors.Is(err, net.ErrClosed) || !sockets.NotSent(err) {
			t.Errorf("closed: %v", err)
		}
	})
}

// Callers come, wait, lose patience, break things and leave, at random.
func TestPoolStress(t *testing.T) {
	rounds := 400
	if testing.Short() {
		rounds = 100
	}
	inWorld(t, simnet.Options{Trace: -1}, func(t *testing.T, w *world) {
		s := &lineServer{delay: ms}
		s.serve(w)
		open := &counter{}
		own := errors.New("own")
		p := newPool(w, &client.Pool{
			Conns: 2, Idle: 5 * ms, Lifetime: 50 * ms,
			Dialer: client.Dialer{DialContext: open.dial(w.client.DialContext)},
		})
		var calls sync.WaitGroup
		var done atomic.Int64
		for i := range 8 {
			calls.Go(func() {
				for j := range rounds {
					ctx, cancel := context.WithTimeout(t.Context(), time.Duration(1+(i*7+j*13)%40)*ms/4)
					switch k := (i + j) % 5; k {
					case 0:
						p.Do(ctx, func(context.Context, *sockets.Conn) error { return own })
					case 1:
						p.Do(ctx, func(ctx context.Context, c *sockets.Conn) error { return c.Close() })
					default:
						request := fmt.Sprint(i, " ", j)
						reply, err := p.Call(ctx, []byte(request))
						if err == nil {
							done.Add(1)
						}
						if err == nil && string(reply) != request || err != nil && !sockets.IsTimeout(err) {
							t.Errorf("%s: got %q, %v", request, reply, err)
						}
					}
					cancel()
				}
			})
		}
		calls.Wait()
		if open.most.Load() > 2 || done.Load() < int64(rounds) {
			t.Errorf("%d connections at once, %d calls answered", open.most.Load(), done.Load())
		}
	})
}

// A dial that is slow blocks nobody who does not need it, and what it makes is kept
// when the caller has left.
func TestPoolSlowDial(t *testing.T) {
	inWorld(t, simnet.Options{}, func(t *testing.T, w *world) {
		(&lineServer{}).serve(w)
		var slow atomic.Bool
		p := newPool(w, &client.Pool{Dialer: client.Dialer{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			if slow.Load() {
				time.Sleep(2 * time.Second)
			}
			return w.client.DialContext(ctx, network, address)
		}}})
		wantCall(t, p, "hello")
		slow.Store(true)
		release := make(chan struct{})
		go p.Do(t.Context(), func(context.Context, *sockets.Conn) error { <-release; return nil })
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := p.Call(ctx, []byte("impatient")); !sockets.IsTimeout(err) || !sockets.NotSent(err) || w.now() != time.Second {
			t.Errorf("at %v: %v", w.now(), err)
		}
		close(release)
		synctest.Wait()
		wantCall(t, p, "quick") // with the connection that was given back
		if s := p.Stats(); w.now() != time.Second || s.Dialing != 1 {
			t.Errorf("at %v: %+v", w.now(), s)
		}
		time.Sleep(3 * time.Second)
		if s := p.Stats(); s.Dialed != 2 || s.Idle != 2 {
			t.Errorf("the connection was not kept: %+v", s)
		}
	})
}

// Why a connection ends, and when; the next call has another one, and no request is
// seen twice.
func TestPoolRetires(t *testing.T) {
	tests := []struct {
		name  string
		pool  *client.Pool
		after time.Duration
		do    func(net.Conn)
		count func(client.Retired) int64
	}{
		{"idle", &client.Pool{}, time.Minute, nil, func(r client.Retired) int64 { return r.Idle }},
		{"own idle", &client.Pool{Idle: time.Second}, time.Second, nil, func(r client.Retired) int64 { return r.Idle }},
		{"lifetime", &client.Pool{Idle: -1, Lifetime: time.Hour}, time.Hour, nil, func(r client.Retired) int64 { return r.Lifetime }},
		{"ended", &client.Pool{}, 10 * time.Second, func(c net.Conn) { c.Close() }, func(r client.Retired) int64 { return r.Ended }},
		{"reset", &client.Pool{}, 10 * time.Second, func(c net.Conn) { c.(*simnet.Conn).SetLinger(0); c.Close() }, func(r client.Retired) int64 { return r.Reset }},
		{"unasked", &client.Pool{}, 10 * time.Second, func(c net.Conn) { c.Write([]byte("goodbye\n")) }, func(r client.Retired) int64 { return r.Unasked }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, simnet.Options{}, func(t *testing.T, w *world) {
				s := &lineServer{}
				s.serve(w)
				p := newPool(w, tt.pool)
				wantCall(t, p, "first")
				if tt.do != nil {
					time.AfterFunc(tt.after, func() { s.hangUp(tt.do) })
				}
				time.Sleep(tt.after * 9 / 10)
				synctest.Wait()
				if got := p.Stats(); tt.name != "lifetime" && got.Idle != 1 {
					t.Errorf("before: %+v", got)
				}
				time.Sleep(tt.after / 10)
				synctest.Wait()
				if got := p.Stats(); tt.count(got.Retired) != 1 || got.Open != 0 {
					t.Errorf("after: %+v", got)
				}
				wantCall(t, p, "second")
				if got := s.requests(); !slices.Equal(got, []string{"first", "second"}) || len(s.acceptTimes()) != 2 {
					t.Errorf("%d connections, requests %q", len(s.acceptTimes()), got)
				}
			})
		})
	}
}

// A connection is used for no longer than its lifetime, though it is never idle.
func TestPoolLifetimeInUse(t *testing.T) {
	inWorld(t, simnet.Options{}, func(t *testing.T, w *world) {
		s := &lineServer{delay: 100 * ms}
		s.serve(w)
		p := newPool(w, &client.Pool{Lifetime: 10 * time.Second})
		for range 1000 {
			wantCall(t, p, "hello")
		}
		if n := p.Stats().Retired.Lifetime; n < 9 || n > 12 {
			t.Errorf("%d connections ended in 100 s", n)
		}
	})
}

// A request that was sent and not answered is not sent again, whatever the server
// did with it, and its connection is not used again.
func TestPoolMaybeSent(t *testing.T) {
	inWorld(t, simnet.Options{}, func(t *testing.T, w *world) {
		s := &lineServer{last: "transfer"}
		s.serve(w)
		p := newPool(w, &client.Pool{})
		wantCall(t, p, "hello")
		_, err := p.Call(t.Context(), []byte("transfer"))
		if err == nil || sockets.NotSent(err) || !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("got %v", err)
		}
		wantCall(t, p, "again")
		if got := s.requests(); !slices.Equal(got, []string{"hello", "transfer", "again"}) {
			t.Errorf("requests %q", got)
		}
		if got := p.Stats(); got.Retired.Broken != 1 || got.Repeated != 0 {
			t.Errorf("stats %+v", got)
		}
	})
}

// A call that timed out leaves a reply behind, which nobody must get.
func TestPoolTimeoutBreaks(t *testing.T) {
	inWorld(t, simnet.Options{}, func(t *testing.T, w *world) {
		s := &lineServer{delay: time.Second}
		s.serve(w)
		p := newPool(w, &client.Pool{Conns: 1})
		ctx, cancel := context.WithTimeout(t.Context(), 500*ms)
		defer cancel()
		if _, err := p.Call(ctx, []byte("slow")); !sockets.IsTimeout(err) || sockets.NotSent(err) || w.now() != 500*ms {
			t.Errorf("at %v: %v", w.now(), err)
		}
		wantCall(t, p, "next")
	})
}

// A write that failed before its first byte, on a connection that was used before,
// proves that nothing was executed: the call is made on another one. On a new one
// it is not. Only a real socket can prove it.
func TestPoolRepeatsWhatWasNotSent(t *testing.T) {
	p := newPeerTCP(t)
	var last *net.TCPConn
	var dead bool
	pool := &client.Pool{Address: p.Addr().String(), Dialer: client.Dialer{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		nc, err := new(net.Dialer).DialContext(ctx, network, address)
		if err == nil {
			last = nc.(*net.TCPConn)
			if dead {
				last.CloseWrite()
			}
		}
		return nc, err
	}}}
	defer pool.Close()
	wantCall(t, pool, "hello")
	last.CloseWrite() // a write fails now, though the peer has not closed
	wantCall(t, pool, "again")
	if got := pool.Stats(); got.Repeated != 1 || got.Dialed != 2 || got.Failed != 0 || got.Retired.Broken != 1 {
		t.Errorf("stats %+v", got)
	}
	last.CloseWrite()
	dead = true
	_, err := pool.Call(t.Context(), []byte("never"))
	if !errors.Is(err, syscall.EPIPE) || !sockets.NotSent(err) {
		t.Errorf("got %v", err)
	}
	if got := pool.Stats(); got.Dialed != 3 {
		t.Errorf("stats %+v", got)
	}
}

// newPeerTCP answers lines on real sockets, and goes on when the client has ended
// its sending.
func newPeerTCP(t *testing.T) net.Listener {
	ln := must(net.Listen("tcp", "127.0.0.1:0"))(t)
	var conns sync.WaitGroup
	stop := make(chan struct{})
	t.Cleanup(func() { close(stop); ln.Close(); conns.Wait() })
	conns.Go(func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			conns.Go(func() {
				defer nc.Close()
				c := sockets.NewConn(nc, nil)
				for line := range c.Messages() {
					c.WriteMessage(upper(line))
				}
				<-stop
			})
		}
	})
	return ln
}

// A request that the framing refuses is the caller's mistake, not the connection's.
func TestPoolRefusedRequest(t *testing.T) {
	inWorld(t, simnet.Options{}, func(t *testing.T, w *world) {
		(&lineServer{}).serve(w)
		p := newPool(w, &client.Pool{})
		wantCall(t, p, "hello")
		if _, err := p.Call(t.Context(), []byte("two\nlines")); !errors.Is(err, sockets.ErrDelimiter) || !sockets.NotSent(err) {
			t.Errorf("got %v", err)
		}
		if got := p.Stats(); got.Idle != 1 || got.Repeated != 0 {
			t.Errorf("stats %+v", got)
		}
	})
}

func TestPoolDo(t *testing.T) {
	boom := errors.New("boom")
	tests := []struct {
		name  string
		f     func(ctx context.Context, c *sockets.Conn) error
		err   error
		again bool // the connection is used again
	}{
		{"in order", func(ctx context.Context, c *sockets.Conn) error {
			_, err := c.Call(ctx, []byte("one"))
			return err
		}, nil, true},
		{"deadline", func(ctx context.Context, c *sockets.Conn) error { return c.SetDeadline(time.Now()) }, nil, true},
		{"error", func(context.Context, *sockets.Conn) error { return boom }, boom, false},
		{"closed", func(_ context.Context, c *sockets.Conn) error { return c.Close() }, nil, false},
		{"unread", func(_ context.Context, c *sockets.Conn) error {
			c.WriteMessage([]byte("one"))
			c.WriteMessage([]byte("two"))
			time.Sleep(time.Second)
			_, err := c.ReadMessage()
			return err
		}, nil, false},
		{"broken", func(ctx context.Context, c *sockets.Conn) error {
			ctx, cancel := context.WithCancel(ctx)
			time.AfterFunc(time.Second, cancel)
			c.Call(ctx, []byte("stuck"))
			return nil
		}, nil, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, simnet.Options{}, func(t *testing.T, w *world) {
				s := &lineServer{}
				if tt.name == "broken" {
					s.delay = 2 * time.Second
				}
				s.serve(w)
				p := newPool(w, &client.Pool{Conns: 1})
				if err := p.Do(t.Context(), tt.f); !errors.Is(err, tt.err) {
					t.Errorf("got %v", err)
				}
				wantCall(t, p, "next")
				if want := map[bool]int64{true: 1, false: 2}[tt.again]; p.Stats().Dialed != want {
					t.Errorf("stats %+v", p.Stats())
				}
			})
		})
	}
}

// A panic leaves no connection behind.
func TestPoolDoPanics(t *testing.T) {
	inWorld(t, simnet.Options{}, func(t *testing.T, w *world) {
		(&lineServer{}).serve(w)
		p := newPool(w, &client.Pool{Conns: 1})
		func() {
			defer func() { recover() }()
			p.Do(t.Context(), func(context.Context, *sockets.Conn) error { panic("boom") })
		}()
		wantCall(t, p, "next")
	})
}
