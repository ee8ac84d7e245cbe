package tcpserver_test

import (
	"context"
	"errors"
	"io"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"example.com/sockets"
	"example.com/sockets/tcpserver"
)

// TestBlockIsExact: under many racing dialers never more than Conns handlers run,
// all of them at some time, and every connection gets its turn, however the one
// before it ended.
func TestBlockIsExact(t *testing.T) {
	const limit, dialers, each = 3, 100, 3
	var running, most, ends, begun atomic.Int64
	full := make(chan struct{}) // as many as may run at once do
	handler := func(_ context.Context, c *sockets.Conn) error {
		n := running.Add(1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		defer running.Add(-1)
		if begun.Add(1) == limit {
			close(full)
		}
		<-full
		if _, err := c.ReadMessage(); err != nil {
			return err
		}
		switch ends.Add(1) % 5 { // every way to give a slot back
		case 0:
			panic("boom")
		case 1:
			runtime.Goexit()
		case 2:
			return c.Close()
		case 3:
			return errors.New("failed")
		}
		return c.WriteMessage([]byte("bye")) // and perhaps linger
	}
	r := serveReal(t, &tcpserver.Server{Handler: handler, Limits: tcpserver.Limits{Conns: limit, Overload: tcpserver.Block}})
	var first []net.Conn // all slots are taken once
	for range limit {
		first = append(first, r.client())
	}
	for running.Load() < limit {
		runtime.Gosched()
	}
	var all sync.WaitGroup
	for range dialers {
		all.Go(func() {
			for range each {
				c, err := net.Dial("tcp", r.addr)
				if err != nil {
					t.Error(err)
					return
				}
				c.SetDeadline(time.Now().Add(30 * time.Second))
				c.Write([]byte("hello\n"))
				if _, err := io.ReadAll(c); sockets.IsTimeout(err) {
					t.Error("a connection never had its turn")
				}
				c.Close()
			}
		})
	}
	for _, c := range first {
		c.Close()
	}
	all.Wait()
	if err := r.wait(); err != nil {
		t.Error(err)
	}
	if m := most.Load(); m != limit {
		t.Errorf("%d handlers ran at once, want exactly %d", m, limit)
	}
	if st := r.Stats(); st.Accepted != limit+dialers*each || st.Panics != dialers*each/5 {
		t.Errorf("%+v", st)
	}
}

// TestBlockWaitsAndIsStopped: at the limit one accepted connection waits; a slot
// that becomes free is its turn, and the end of the grace period its end.
func TestBlockWaitsAndIsStopped(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		release := make(chan struct{})
		r := serveSim(t, &tcpserver.Server{
			Handler: func(ctx context.Context, c *sockets.Conn) error {
				select {
				case <-release:
					return c.WriteMessage([]byte("served"))
				case <-ctx.Done():
					return nil
				}
			},
			Limits:   tcpserver.Limits{Conns: 1, Overload: tcpserver.Block},
			Timeouts: tcpserver.Timeouts{Grace: time.Second},
		})
		first, second, third := r.client(), r.client(), r.client()
		defer first.Close()
		defer second.Close()
		defer third.Close()
		synctest.Wait()
		if st := r.Stats(); st.Running != 1 || st.Accepted != 2 {
			t.Errorf("%+v, want one running and one in hand", st)
		}
		release <- struct{}{}
		if got, err := io.ReadAll(first); string(got) != "served\n" || err != nil {
			t.Errorf("first: %q, %v", got, err)
		}
		synctest.Wait()
		if st := r.Stats(); st.Running != 1 || st.Accepted != 3 {
			t.Errorf("%+v, want the second running and the third in hand", st)
		}
		begin := time.Now()
		var drained *sockets.DrainError
		if err := r.wait(); !errors.As(err, &drained) || since(begin) != time.Second {
			t.Errorf("Serve returned %v after %v", err, since(begin))
		}
		if err := ended(third); err != io.EOF {
			t.Errorf("third: %v, want EOF", err)
		}
		if n := r.Stats().Unserved; n != 1 {
			t.Errorf("%d unserved, want 1", n)
		}
	})
}

// TestTimeouts: each ends a connection at its time, and says which it was.
func TestTimeouts(t *testing.T) {
	const limit = 7 * time.Second
	big := make([]byte, 8<<20)
	tests := []struct {
		name    string
		set     tcpserver.Timeouts
		handler sockets.Handler
		client  func(net.Conn)
		want    error
		after   time.Duration
	}{
		{"Idle before the first message", tcpserver.Timeouts{Idle: limit}, upper, func(net.Conn) {}, sockets.ErrIdle, limit},
		{"Idle after a message", tcpserver.Timeouts{Idle: limit}, upper, func(c net.Conn) {
			time.Sleep(3 * time.Second)
			ask(t, c, "x")
		}, sockets.ErrIdle, 3*time.Second + limit},
		{"Idle in Read", tcpserver.Timeouts{Idle: limit}, func(_ context.Context, c *sockets.Conn) error {
			_, err := io.Copy(io.Discard, c)
			return err
		}, func(c net.Conn) {
			for range 4 {
				time.Sleep(2 * time.Second)
				c.Write([]byte("x"))
			}
		}, sockets.ErrIdle, 8*time.Second + limit},
		{"Message, dripping", tcpserver.Timeouts{Idle: time.Hour, Message: limit}, upper, func(c net.Conn) {
			for range 200 {
				c.Write([]byte("x"))
				time.Sleep(100 * time.Millisecond)
			}
		}, sockets.ErrMessage, limit},
		{"Write", tcpserver.Timeouts{Write: limit}, func(_ context.Context, c *sockets.Conn) error {
			_, err := c.Write(big)
			return err
		}, func(net.Conn) {}, sockets.ErrWrite, 2 * limit}, // the buffers took some at first
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				var outcome error
				var took time.Duration
				r := serveSim(t, &tcpserver.Server{Timeouts: tt.set, Handler: func(ctx context.Context, c *sockets.Conn) error {
					begin := time.Now()
					outcome = tt.handler(ctx, c)
					took = since(begin)
					return outcome
				}})
				c := r.client()
				defer c.Close()
				go tt.client(c)
				time.Sleep(time.Minute)
				if err := r.wait(); err != nil {
					t.Error(err)
				}
				var timeout net.Error
				if !errors.Is(outcome, tt.want) || sockets.IsTimeout(outcome) || errors.As(outcome, &timeout) && timeout.Timeout() {
					t.Errorf("the handler ended with %v, want %v and no timeout", outcome, tt.want)
				}
				if took != tt.after {
					t.Errorf("it ended after %v, want %v", took, tt.after)
				}
			})
		})
	}
}

// TestWriteGoesOn: a peer that takes a little now and then is no stuck one.
func TestWriteGoesOn(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		big := make([]byte, 4<<20)
		var outcome error
		r := serveSim(t, &tcpserver.Server{
			Timeouts: tcpserver.Timeouts{Write: 10 * time.Second},
			Handler: func(_ context.Context, c *sockets.Conn) error {
				_, outcome = c.Write(big)
				return outcome
			},
		})
		c := r.client()
		defer c.Close()
		total := 0
		for buf := make([]byte, 64<<10); total < len(big); {
			time.Sleep(4 * time.Second)
			n, err := c.Read(buf)
			if err != nil {
				t.Fatalf("after %d bytes: %v", total, err)
			}
			total += n
		}
		if err := r.wait(); err != nil || outcome != nil {
			t.Error(err, outcome)
		}
	})
}
