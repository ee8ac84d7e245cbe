package sockets_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/sockets"
	"example.com/sockets/internal/connhook"
	"example.com/sockets/simnet"
)

// echo answers each line after d.
func echo(c net.Conn, d time.Duration) {
	lines := bufio.NewScanner(c)
	for lines.Scan() {
		time.Sleep(d)
		_, _ = io.WriteString(c, lines.Text()+"\n")
	}
}

func TestCallsTakeTurns(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, there := conversation(t, nil)
		go echo(there, time.Second)
		start := time.Now()
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() {
				// Its reply is another's to overwrite: see Call.
				if _, err := c.Call(t.Context(), []byte("x")); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		took(t, "five calls", start, 5*time.Second)
		there.Close()
	})
}

// What has come before the request is not its reply: a greeting that was not read, half
// a message, or the second copy of an earlier reply.
func TestCallTakesNothingFromBefore(t *testing.T) {
	for name, before := range map[string]string{"a message": "one\ntwo\n", "half of one": "one\ntw"} {
		bubble(t, func(t *testing.T) {
			c, there := conversation(t, nil)
			defer there.Close()
			go io.WriteString(there, before)
			if m, err := c.ReadMessage(); string(m) != "one" {
				t.Fatalf("%s: %q, %v", name, m, err)
			}
			for range 2 {
				_, err := c.Call(t.Context(), []byte("x"))
				if !sockets.NotSent(err) || !strings.Contains(err.Error(), "unread") {
					t.Errorf("%s: %v", name, err)
				}
			}
			if strings.HasSuffix(before, "tw") {
				go io.WriteString(there, "o\n")
			}
			if m, err := c.ReadMessage(); string(m) != "two" {
				t.Errorf("%s: %q, %v", name, m, err)
			}
			go echo(there, 0)
			if reply, err := c.Call(t.Context(), []byte("x")); string(reply) != "x" {
				t.Errorf("%s: %q, %v", name, reply, err)
			}
		})
	}
}

func TestCallEnds(t *testing.T) {
	odd := errors.New("odd")
	cancelled := func(ctx context.Context) context.Context {
		ctx, cancel := context.WithCancelCause(ctx)
		time.AfterFunc(time.Second, func() { cancel(odd) })
		return ctx
	}
	tests := []struct {
		name    string
		ctx     func(context.Context) context.Context
		peer    func(there net.Conn)
		want    error
		after   time.Duration
		timeout bool
	}{
		{"cancelled", cancelled, nil, context.Canceled, time.Second, false},
		{"cancelled, the cause", cancelled, nil, odd, time.Second, false},
		{"timed out", func(ctx context.Context) context.Context {
			ctx, cancel := context.WithTimeoutCause(ctx, 3*time.Second, odd)
			_ = cancel // when the bubble ends
			context.AfterFunc(ctx, cancel)
			return ctx
		}, nil, odd, 3 * time.Second, true},
		{"no deadline", func(ctx context.Context) context.Context { return ctx }, nil, context.DeadlineExceeded, 10 * time.Second, true},
		{"no context", func(context.Context) context.Context { return context.Background() }, nil, context.DeadlineExceeded, 10 * time.Second, true},
		{"drips", func(context.Context) context.Context { return context.Background() }, func(there net.Conn) {
			for range 20 {
				time.Sleep(time.Second)
				_, _ = io.WriteString(there, "x")
			}
		}, context.DeadlineExceeded, 10 * time.Second, true},
		{"EOF", func(ctx context.Context) context.Context { return ctx }, func(there net.Conn) {
			time.Sleep(time.Second)
			_, _ = there.Read(make([]byte, 100))
			there.Close()
		}, io.ErrUnexpectedEOF, time.Second, false},
		{"EOF inside", func(ctx context.Context) context.Context { return ctx }, func(there net.Conn) {
			_, _ = there.Read(make([]byte, 100))
			_, _ = io.WriteString(there, "half")
			there.Close()
		}, io.ErrUnexpectedEOF, 0, false},
		{"too long", func(ctx context.Context) context.Context { return ctx }, func(there net.Conn) {
			_, _ = io.WriteString(there, strings.Repeat("x", 101)+"\n")
		}, sockets.ErrTooLong, 0, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c, there := conversation(t, sockets.Lines(100))
				var peer sync.WaitGroup
				defer peer.Wait()
				if tt.peer != nil {
					peer.Go(func() { tt.peer(there) })
				}
				start := time.Now()
				reply, first := c.Call(tt.ctx(t.Context()), []byte("request"))
				took(t, "the call", start, tt.after)
				wantError(t, "the call", first, tt.want)
				if reply != nil || sockets.NotSent(first) || sockets.IsTimeout(first) != tt.timeout || errors.Is(first, io.EOF) {
					t.Errorf("%q, %v: NotSent %v, timeout %v", reply, first, sockets.NotSent(first), sockets.IsTimeout(first))
				}
				if tt.timeout {
					wantTimeout(t, "the call", first)
				}

				// Nobody can tell the late reply from the next.
				_, _ = io.WriteString(there, "late\n")
				synctest.Wait()
				if m, err := c.ReadMessage(); !isEndBy(err, first) || m != nil {
					t.Errorf("ReadMessage: %q, %v", m, err)
				}
				if err := c.WriteMessage([]byte("x")); !isEndBy(err, first) {
					t.Errorf("WriteMessage: %v", err)
				}
				_, err := c.Call(t.Context(), []byte("next"))
				if !isEndBy(err, first) {
					t.Errorf("the next call: %v", err)
				}
				if !sockets.NotSent(err) {
					t.Errorf("the next call: %v, and NotSent is false", err)
				}
				wantError(t, "Close", c.Close(), nil)
			})
		})
	}
}

// Where NotSent is true the connection is as before.
func TestCallNotSent(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, there := conversation(t, sockets.Lines(10))
		go echo(there, time.Minute)
		over, cancel := context.WithCancelCause(t.Context())
		cancel(errors.New("too late"))
		short, stop := context.WithTimeout(t.Context(), 5*time.Second)
		defer stop()
		var wg sync.WaitGroup
		wg.Go(func() {
			long, stop := context.WithTimeout(t.Context(), time.Hour)
			defer stop()
			if reply, err := c.Call(long, []byte("first")); string(reply) != "first" || err != nil {
				t.Errorf("%q, %v", reply, err)
			}
		})
		synctest.Wait()
		start := time.Now()
		tests := []struct {
			name    string
			ctx     context.Context
			request string
			want    error
			after   time.Duration // since start
		}{
			{"context over", over, "x", context.Canceled, 0},
			{"its end while it waits", short, "x", context.DeadlineExceeded, 5 * time.Second},
			{"the default while it waits", t.Context(), "x", context.DeadlineExceeded, 15 * time.Second},
		}
		for _, tt := range tests {
			_, err := c.Call(tt.ctx, []byte(tt.request))
			wantError(t, tt.name, err, tt.want)
			took(t, tt.name, start, tt.after)
			if !sockets.NotSent(err) {
				t.Errorf("%s: NotSent(%v) is false", tt.name, err)
			}
		}
		wg.Wait()
		for request, want := range map[string]error{"a\nb": sockets.ErrDelimiter, "far too long": sockets.ErrTooLong} {
			_, err := c.Call(t.Context(), []byte(request))
			wantError(t, request, err, want)
			if !sockets.NotSent(err) {
				t.Errorf("%q: NotSent(%v) is false", request, err)
			}
		}
		long, stop := context.WithTimeout(t.Context(), time.Hour)
		defer stop()
		if reply, err := c.Call(long, []byte("last")); string(reply) != "last" || err != nil {
			t.Errorf("%q, %v", reply, err)
		}
		there.Close()
	})
}

// A call that ends while a real socket takes nothing has sent nothing, and the
// next one works.
func TestCallNotSentWhenSocketIsFull(t *testing.T) {
	here, there := unixPair(t) // of which nothing moves on by itself
	c := sockets.NewConn(here, nil)
	filled := 0
	for _, size := range []int{1 << 20, 1} {
		for refused := 0; refused < 3; { // once may be a deadline that passed before the try
			_ = c.SetWriteDeadline(time.Now().Add(20 * time.Millisecond))
			n, _ := c.Write(make([]byte, size))
			if filled += n; n > 0 {
				refused = 0
			} else {
				refused++
			}
		}
	}
	_ = c.SetWriteDeadline(time.Time{})
	for _, how := range []func() (context.Context, context.CancelFunc){
		func() (context.Context, context.CancelFunc) {
			return context.WithTimeout(t.Context(), 10*time.Millisecond)
		},
		func() (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(10*time.Millisecond, cancel)
			return ctx, cancel
		},
	} {
		ctx, cancel := how()
		_, err := c.Call(ctx, []byte("request"))
		cancel()
		if err == nil || !sockets.NotSent(err) {
			t.Fatalf("call: %v, NotSent %v", err, sockets.NotSent(err))
		}
	}
	go func() {
		_, _ = io.CopyN(io.Discard, there, int64(filled))
		echo(there, 0)
	}()
	if reply, err := c.Call(t.Context(), []byte("next")); string(reply) != "next" || err != nil {
		t.Errorf("the next call: %q, %v", reply, err)
	}
}

func TestCallLimitOfDialer(t *testing.T) {
	for limit, want := range map[time.Duration]time.Duration{0: 10 * time.Second, time.Minute: time.Minute, -1: 24 * time.Hour} {
		bubble(t, func(t *testing.T) {
			here, there := simPair(t, simnet.Options{})
			conn, _ := connhook.New(here, connhook.Options{Call: limit})
			time.AfterFunc(24*time.Hour, func() { there.Close() })
			start := time.Now()
			if _, err := conn.(*sockets.Conn).Call(context.Background(), []byte("x")); err == nil {
				t.Error("no error")
			}
			took(t, fmt.Sprint("limit ", limit), start, want)
		})
	}
}

// A call's time is its own: what is done afterwards may take longer.
func TestCallLeavesNoDeadline(t *testing.T) {
	bubble(t, func(t *testing.T) {
		here, there := simPair(t, simnet.Options{})
		conn, _ := connhook.New(here, connhook.Options{Call: time.Second})
		c := conn.(*sockets.Conn)
		go echo(there, time.Second/2)
		for range 2 {
			if _, err := c.Call(t.Context(), []byte("x")); err != nil {
				t.Error(err)
			}
			time.AfterFunc(5*time.Second, func() { send(t, there, "pushed\n") })
			wantMessage(t, c, "pushed")
			if err := c.WriteMessage([]byte("y")); err != nil {
				t.Error(err)
			}
			wantMessage(t, c, "y")
		}
		there.Close()
	})
}

// The user's deadline holds for a call, too, and its end is the user's.
func TestCallUnderDeadline(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, there := conversation(t, nil)
		go echo(there, time.Second)
		_ = c.SetDeadline(time.Now().Add(5 * time.Second))
		if _, err := c.Call(t.Context(), []byte("x")); err != nil {
			t.Error(err)
		}
		start := time.Now()
		there.SetDeadline(time.Now())
		_, err := c.Call(t.Context(), []byte("x"))
		wantTimeout(t, "call", err)
		took(t, "call", start, 4*time.Second)
	})
}

// The end of one call's context never hits the next, however near it comes.
func TestCancelNearCompletion(t *testing.T) {
	rounds := 10_000
	if raceEnabled || testing.Short() { // where each takes far longer
		rounds = 3000
	}
	open := func() *sockets.Conn {
		here, there := tcpPair(t)
		go func() {
			_, _ = io.Copy(there, there)
			there.Close()
		}()
		return sockets.NewConn(here, nil)
	}
	c := open()
	for i := range rounds {
		ctx, cancel := context.WithCancel(t.Context())
		request := fmt.Sprint("request ", i)
		start := make(chan struct{})
		go func() {
			<-start
			cancel()
		}()
		if i%2 == 0 {
			close(start) // the cancel races with the call
		}
		reply, err := c.Call(ctx, []byte(request))
		if i%2 == 1 {
			close(start) // and here with what follows it
		}
		switch {
		case err == nil && string(reply) != request:
			t.Fatalf("call %d got %q", i, reply)
		case err != nil && sockets.NotSent(err):
			wantError(t, "not sent", err, context.Canceled)
		case err != nil:
			wantError(t, "cut", err, context.Canceled)
			c.Close() // as a pool does
			c = open()
		}
		if err == nil || sockets.NotSent(err) {
			probe := fmt.Sprint("probe ", i)
			if reply, err := c.Call(context.Background(), []byte(probe)); string(reply) != probe || err != nil {
				t.Fatalf("after call %d: %q, %v", i, reply, err)
			}
		}
		cancel()
	}
	c.Close()
}

// The same where the watcher surely runs between the reply and the end of the
// call.
func TestCancelAfterReply(t *testing.T) {
	bubble(t, func(t *testing.T) {
		here, there := simPair(t, simnet.Options{})
		conn, g := connhook.New(here, connhook.Options{})
		c := conn.(*sockets.Conn)
		go echo(there, 0)
		ctx, cancel := context.WithCancel(t.Context())
		stop := g.BeginCall(ctx, time.Time{})
		cancel()
		synctest.Wait() // the watcher has run
		g.EndCall(stop)
		if reply, err := c.Call(t.Context(), []byte("next")); string(reply) != "next" || err != nil {
			t.Errorf("the next call: %q, %v", reply, err)
		}
		there.Close()
	})
}

// What ends a conversation for good should not look like a timeout to be retried.
func TestBrokenConversationIsNoTimeout(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, _ := conversation(t, nil)
		_, first := c.Call(deadline(t, time.Second), []byte("x"))
		wantTimeout(t, "the call", first)
		if _, err := c.ReadMessage(); err == nil || sockets.IsTimeout(err) {
			t.Errorf("what follows it: %v", err)
		}
	})
}
