package client_test

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"example.com/sockets"
	"example.com/sockets/client"
	"example.com/sockets/simnet"
)

// Restore runs on every new connection, before anybody gets it.
func TestPoolRestore(t *testing.T) {
	inWorld(t, simnet.Options{}, func(t *testing.T, w *world) {
		s := &lineServer{delay: 100 * ms}
		s.serve(w)
		p := newPool(w, &client.Pool{Conns: 1, Restore: func(ctx context.Context, c *sockets.Conn) error {
			_, err := c.Call(ctx, []byte("login"))
			return err
		}})
		for range 2 {
			var calls sync.WaitGroup
			for range 3 {
				calls.Go(func() { wantCall(t, p, "hello") })
			}
			calls.Wait()
			s.hangUp(func(c net.Conn) { c.Close() }) // between calls: dialled again for the next
			synctest.Wait()
		}
		want := []string{"login", "hello", "hello", "hello", "login", "hello", "hello", "hello"}
		if got := s.requests(); !slices.Equal(got, want) {
			t.Errorf("requests %q", got)
		}
	})
}

// A connection that can't be restored is one that could not be made.
func TestPoolRestoreFails(t *testing.T) {
	inWorld(t, simnet.Options{}, func(t *testing.T, w *world) {
		s := &lineServer{}
		s.serve(w)
		boom := errors.New("wrong password")
		p := newPool(w, &client.Pool{Restore: func(context.Context, *sockets.Conn) error { return boom }})
		_, err := p.Call(t.Context(), []byte("hello"))
		if !errors.Is(err, boom) || !sockets.NotSent(err) || !strings.HasPrefix(err.Error(), "call 10.0.0.2:80: restore 10.0.0.1:") {
			t.Errorf("got %v", err)
		}
		if got := p.Stats(); got.DialFailed != 1 || got.Open != 0 || len(s.requests()) != 0 {
			t.Errorf("stats %+v", got)
		}
		synctest.Wait()
		if s.open != 0 {
			t.Errorf("%d connections are open", s.open)
		}
	})
}

// What Restore leaves unread would answer the first call.
func TestPoolRestoreLeavesSomething(t *testing.T) {
	inWorld(t, simnet.Options{}, func(t *testing.T, w *world) {
		(&lineServer{}).serve(w)
		p := newPool(w, &client.Pool{Restore: func(_ context.Context, c *sockets.Conn) error {
			c.WriteMessage([]byte("one"))
			c.WriteMessage([]byte("two"))
			time.Sleep(time.Second)
			_, err := c.ReadMessage()
			return err
		}})
		if _, err := p.Call(t.Context(), []byte("hello")); err == nil || !sockets.NotSent(err) {
			t.Errorf("got %v", err)
		}
	})
}

// The wait for a connection and the call have one time limit together.
func TestPoolTimeout(t *testing.T) {
	inWorld(t, simnet.Options{}, func(t *testing.T, w *world) {
		s := &lineServer{delay: time.Hour}
		s.serve(w)
		p := newPool(w, &client.Pool{Conns: 1, Dialer: client.Dialer{Timeout: 3 * time.Second}})
		go p.Do(t.Context(), func(context.Context, *sockets.Conn) error { time.Sleep(2 * time.Second); return nil })
		synctest.Wait()
		if _, err := p.Call(t.Context(), []byte("hello")); !sockets.IsTimeout(err) || w.now() != 3*time.Second {
			t.Errorf("at %v: %v", w.now(), err)
		}
		p.Close()
	})
}

// While there is no server a call fails as soon as its dial does, and dials have
// pauses of 1, 2, 4 s between them, whatever the number of callers.
func TestPoolServerDown(t *testing.T) {
	inWorld(t, simnet.Options{}, func(t *testing.T, w *world) {
		var dials []time.Duration
		var mu sync.Mutex
		p := newPool(w, &client.Pool{Dialer: client.Dialer{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			mu.Lock()
			dials = append(dials, w.now())
			mu.Unlock()
			return w.client.DialContext(ctx, network, address)
		}}})
		var calls sync.WaitGroup
		for range 50 {
			calls.Go(func() {
				for w.now() < 12*time.Second {
					_, err := p.Call(t.Context(), []byte("hello"))
					if !errors.Is(err, syscall.ECONNREFUSED) || !sockets.NotSent(err) {
						t.Errorf("at %v: %v", w.now(), err)
					}
				}
			})
			synctest.Wait()
		}
		calls.Wait()
		if len(dials) != 5 {
			t.Fatalf("dialled at %v", dials)
		}
		for i, want := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second} {
			if d := dials[i+1] - dials[i]; !near(d, want) {
				t.Errorf("pause %d was %v, want %v", i+1, d, want)
			}
		}
	})
}

// Many callers at once: the dials that began together count as one failure.
func TestPoolServerDownAtOnce(t *testing.T) {
	inWorld(t, simnet.Options{Link: simnet.Link{Latency: 10 * ms}}, func(t *testing.T, w *world) {
		p := newPool(w, &client.Pool{})
		for _, want := range []struct {
			took  time.Duration
			dials int64
		}{{0, 16}, {time.Second, 17}, {2 * time.Second, 18}} {
			start := w.now()
			calls(50, func(int) {
				if _, err := p.Call(t.Context(), []byte("hello")); !errors.Is(err, syscall.ECONNREFUSED) {
					t.Errorf("at %v: %v", w.now(), err)
				}
			})
			if d := w.now() - start - 20*ms; !near(d, want.took) || p.Stats().DialFailed != want.dials {
				t.Errorf("took %v, want %v; %+v", d, want.took, p.Stats())
			}
		}
	})
}

// A server that accepts and ends the connection at once is dialled with pauses, too:
// they begin anew only when a connection has lasted.
func TestPoolAcceptThenDrop(t *testing.T) {
	inWorld(t, simnet.Options{}, func(t *testing.T, w *world) {
		s := &lineServer{}
		s.drop.Store(true)
		s.serve(w)
		p := newPool(w, &client.Pool{Conns: 1})
		for w.now() < 20*time.Second {
			if _, err := p.Call(t.Context(), []byte("hello")); err == nil {
				t.Error("a call succeeded")
			}
			time.Sleep(10 * ms)
		}
		if times := s.acceptTimes(); len(times) < 4 || len(times) > 6 {
			t.Errorf("dialled at %v", times)
		}
		s.drop.Store(false)
		for range 100 {
			p.Call(t.Context(), []byte("hello"))
			time.Sleep(100 * ms)
		}
		s.hangUp(func(c net.Conn) { c.Close() })
		synctest.Wait()
		start := w.now()
		wantCall(t, p, "hello")
		if d := w.now() - start; d != 0 {
			t.Errorf("a connection that had lasted was dialled again after %v", d)
		}
	})
}

// Whoever waits in vain is told why the last dial failed.
func TestPoolTimeoutTellsOfDials(t *testing.T) {
	inWorld(t, simnet.Options{}, func(t *testing.T, w *world) {
		p := newPool(w, &client.Pool{})
		p.Call(t.Context(), []byte("hello"))
		ctx, cancel := context.WithTimeout(t.Context(), 500*ms)
		defer cancel()
		_, err := p.Call(ctx, []byte("hello"))
		if !sockets.IsTimeout(err) || !errors.Is(err, syscall.ECONNREFUSED) || !sockets.NotSent(err) || w.now() != 500*ms {
			t.Errorf("at %v: %v", w.now(), err)
		}
	})
}

// Close waits for calls in progress, as long as Grace allows, and for nothing else.
func TestPoolClose(t *testing.T) {
	stubborn := make(chan struct{})
	tests := []struct {
		name  string
		grace time.Duration
		f     func(ctx context.Context, c *sockets.Conn) error
		ends  time.Duration
		cut   int
		left  int
	}{
		{"idle", 0, nil, 0, 0, 0},
		{"in time", 0, func(context.Context, *sockets.Conn) error { time.Sleep(time.Second); return nil }, time.Second, 0, 0},
		{"too long", 0, func(_ context.Context, c *sockets.Conn) error { _, err := c.ReadMessage(); return err }, 5 * time.Second, 1, 0},
		{"no grace", -1, func(_ context.Context, c *sockets.Conn) error { _, err := c.ReadMessage(); return err }, 0, 1, 0},
		{"stubborn", time.Second, func(context.Context, *sockets.Conn) error { <-stubborn; return nil }, 2 * time.Second, 0, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, simnet.Options{}, func(t *testing.T, w *world) {
				stubborn = make(chan struct{})
				(&lineServer{}).serve(w)
				p := newPool(w, &client.Pool{Grace: tt.grace})
				wantCall(t, p, "hello")
				var user sync.WaitGroup
				if tt.f != nil {
					user.Go(func() { p.Do(t.Context(), tt.f) })
				}
				synctest.Wait()
				err := p.Close()
				if w.now() != tt.ends {
					t.Errorf("ended at %v, want %v", w.now(), tt.ends)
				}
				var drain *sockets.DrainError
				if errors.As(err, &drain) != (tt.cut+tt.left > 0) {
					t.Fatalf("got %v", err)
				}
				if drain != nil && (len(drain.CutOff) != tt.cut || len(drain.Abandoned) != tt.left) {
					t.Errorf("got %v", err)
				}
				close(stubborn)
				user.Wait()
				synctest.Wait()
				if _, err := p.Call(t.Context(), nil); !errors.Is(err, net.ErrClosed) || !sockets.NotSent(err) {
					t.Errorf("afterwards: %v", err)
				}
			})
		})
	}
}

// Close ends a dial, and a pause between dials.
func TestPoolCloseWhileDialling(t *testing.T) {
	inWorld(t, simnet.Options{}, func(t *testing.T, w *world) {
		w.Partition("client", "server")
		p := newPool(w, &client.Pool{})
		var calls sync.WaitGroup
		for range 3 {
			calls.Go(func() {
				_, err := p.Call(t.Context(), []byte("hello"))
				if !errors.Is(err, net.ErrClosed) || !sockets.NotSent(err) || w.now() != time.Second {
					t.Errorf("at %v: %v", w.now(), err)
				}
			})
		}
		time.Sleep(time.Second)
		p.Close()
		calls.Wait()
	})
}

// The zero Pool can be closed, twice.
func TestPoolCloseUnused(t *testing.T) {
	var p client.Pool
	for range 2 {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}
}

// On real sockets, with the server in the same process.
func TestPoolReal(t *testing.T) {
	address := listen(t, "tcp", "127.0.0.1:0").Addr().String()
	p := &client.Pool{Address: address, Conns: 4}
	defer p.Close()
	var calls sync.WaitGroup
	for range 16 {
		calls.Go(func() {
			for range 200 {
				wantCall(t, p, "hello")
			}
		})
	}
	calls.Wait()
	if got := p.Stats(); got.Dialed > 4 || got.Failed != 0 {
		t.Errorf("stats %+v", got)
	}
}

// An idle connection is not read ahead of its next user: what is the reply stays in
// order through thousands of hand-overs.
func TestPoolHandsOver(t *testing.T) {
	rounds := 5000
	if testing.Short() {
		rounds = 1000
	}
	address := listen(t, "tcp", "127.0.0.1:0").Addr().String()
	p := &client.Pool{Address: address, Conns: 1}
	defer p.Close()
	for range rounds {
		wantCall(t, p, "hello")
	}
	if got := p.Stats(); got.Dialed != 1 {
		t.Errorf("stats %+v", got)
	}
}

var _ io.Closer = (*client.Pool)(nil)
