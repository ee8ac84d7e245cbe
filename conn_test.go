package sockets_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/sockets"
	"example.com/sockets/addr"
	"example.com/sockets/internal/connhook"
	"example.com/sockets/internal/guard"
	"example.com/sockets/simnet"
)

var _ net.Conn = (*sockets.Conn)(nil)

func TestDeadlines(t *testing.T) {
	reads := map[string]func(*sockets.Conn) error{
		"Read":        func(c *sockets.Conn) error { _, err := c.Read(make([]byte, 1)); return err },
		"ReadMessage": func(c *sockets.Conn) error { _, err := c.ReadMessage(); return err },
		"Await":       (*sockets.Conn).Await,
		"WriteTo":     func(c *sockets.Conn) error { _, err := c.WriteTo(io.Discard); return err },
		"Write": func(c *sockets.Conn) error {
			_, err := c.Write(make([]byte, 1<<20))
			return err
		},
		"ReadFrom": func(c *sockets.Conn) error { _, err := c.ReadFrom(endless{}); return err },
	}
	for name, op := range reads {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c, _ := conversation(t, nil)
				start := time.Now()
				if err := c.SetDeadline(start.Add(time.Minute)); err != nil {
					t.Fatal(err)
				}
				err := op(c)
				wantTimeout(t, "ahead", err)
				took(t, "ahead", start, time.Minute)
				if s := err.Error(); strings.Count(s, "127.0.0.1:") != 2 {
					t.Errorf("error %q does not name both ends once", s)
				}
				wantTimeout(t, "passed", op(c))
				took(t, "passed", start, time.Minute)

				// While it waits: sooner, later, none.
				_ = c.SetDeadline(time.Time{})
				time.AfterFunc(time.Second, func() { _ = c.SetDeadline(start.Add(time.Hour)) })
				time.AfterFunc(2*time.Second, func() { _ = c.SetDeadline(start.Add(2 * time.Hour)) })
				time.AfterFunc(3*time.Second, func() { _ = c.SetDeadline(time.Time{}) })
				time.AfterFunc(24*time.Hour, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
				wantTimeout(t, "moved", op(c))
				took(t, "moved", start, time.Minute+24*time.Hour)

				_ = c.SetDeadline(time.Now().Add(1<<63 - 1)) // far away
				time.AfterFunc(time.Hour, func() { c.Close() })
				wantFinal(t, "closed", op(c), net.ErrClosed)
			})
		})
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

func TestCloseIsIdempotent(t *testing.T) {
	pairs := map[string]func(*testing.T) (net.Conn, net.Conn){"tcp": tcpPair, "unix": unixPair, "pipe": pipePair}
	for name, pair := range pairs {
		here, _ := pair(t)
		c := sockets.NewConn(here, nil)
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				if err := c.Close(); err != nil {
					t.Errorf("%s: Close: %v", name, err)
				}
			})
		}
		wg.Wait()
		c.Abort(errors.New("too late"))
		_, err := c.Read(make([]byte, 1))
		wantFinal(t, name+": Read", err, net.ErrClosed)
	}
}

func TestConcurrentUse(t *testing.T) {
	pairs := map[string]func(*testing.T) (net.Conn, net.Conn){"tcp": tcpPair, "unix": unixPair, "pipe": pipePair}
	for name, pair := range pairs {
		t.Run(name, func(t *testing.T) {
			here, there := pair(t)
			c := sockets.NewConn(here, nil)
			go func() { _, _ = io.Copy(there, there) }()
			var wg sync.WaitGroup
			wg.Go(func() {
				for _, err := range c.Messages() {
					if err != nil && !sockets.IsTimeout(err) {
						wantFinal(t, "read", err, net.ErrClosed)
						return
					}
				}
			})
			for i := range 4 {
				wg.Go(func() {
					for j := 0; ; j++ {
						if err := c.WriteMessage([]byte(fmt.Sprintf("message %d of %d", j, i))); err != nil {
							wantFinal(t, "write", err, net.ErrClosed)
							return
						}
						_, _ = c.Local(), c.Remote()
						_ = c.SetReadDeadline(time.Now().Add(time.Hour))
						_ = c.SetWriteDeadline(time.Time{})
					}
				})
			}
			for range 20 {
				runtime.Gosched()
			}
			time.Sleep(10 * time.Millisecond) // real sockets, real time
			wg.Go(func() { c.Close() })
			wg.Go(func() { c.Abort(nil) })
			wg.Wait()
		})
	}
}

// Abort's cause is what everybody sees.
func TestAbortCause(t *testing.T) {
	bubble(t, func(t *testing.T) {
		cause := errors.New("cause")
		here, _ := simPair(t, simnet.Options{})
		c, g := guarded(here, guard.Limits{})
		var ctx context.Context = g
		derived, cancel := context.WithTimeout(ctx, time.Hour)
		defer cancel()
		var wg sync.WaitGroup
		wg.Go(func() {
			_, err := c.ReadMessage()
			wantFinal(t, "the reader", err, cause)
		})
		wg.Go(func() {
			_, err := c.Write(make([]byte, 1<<20))
			wantFinal(t, "the writer", err, cause)
		})
		wg.Go(func() {
			<-derived.Done()
			wantError(t, "the derived context", context.Cause(derived), cause)
			wantError(t, "the context", context.Cause(ctx), cause)
			wantError(t, "its Err", ctx.Err(), context.Canceled)
		})
		synctest.Wait()
		start := time.Now()
		c.Abort(cause)
		wg.Wait()
		took(t, "Abort", start, 0)
		c.Abort(errors.New("another"))
		c.Close()
		wantError(t, "after another Abort", context.Cause(ctx), cause)
	})
}

func TestContext(t *testing.T) {
	type key struct{}
	parent, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, "value"))
	open := func(t *testing.T) (*sockets.Conn, context.Context) {
		here, _ := pipePair(t)
		c, g := connhook.New(here, connhook.Options{Parent: parent})
		return c.(*sockets.Conn), g
	}
	t.Run("values, and nothing else, come from the parent", func(t *testing.T) {
		c, ctx := open(t)
		if v := ctx.Value(key{}); v != "value" {
			t.Errorf("value %v", v)
		}
		if _, ok := ctx.Deadline(); ok {
			t.Error("it has a deadline")
		}
		cancel()
		select {
		case <-ctx.Done():
			t.Error("it ends with its parent")
		default:
		}
		wantError(t, "Err", ctx.Err(), nil)
		c.Close()
		<-ctx.Done()
		wantError(t, "cause", context.Cause(ctx), net.ErrClosed)
	})
	t.Run("asked for when all is over", func(t *testing.T) {
		c, ctx := open(t)
		cause := errors.New("cause")
		c.Abort(cause)
		wantError(t, "Err", ctx.Err(), context.Canceled)
		wantError(t, "cause", context.Cause(ctx), cause)
		<-ctx.Done()
		child, cancel := context.WithCancel(ctx)
		defer cancel()
		<-child.Done()
		wantError(t, "cause of a child", context.Cause(child), cause)
	})
	t.Run("what is derived costs no goroutine", func(t *testing.T) {
		c, ctx := open(t)
		ran := make(chan struct{})
		before := runtime.NumGoroutine()
		for range 100 {
			child, cancel := context.WithTimeout(ctx, time.Hour)
			defer cancel()
			defer context.AfterFunc(child, func() {})()
		}
		context.AfterFunc(ctx, func() { close(ran) })
		if n := runtime.NumGoroutine(); n > before {
			t.Errorf("%d goroutines more", n-before)
		}
		c.Close()
		<-ran
	})
	t.Run("Err is nil until Done is closed", func(t *testing.T) {
		for range 200 {
			c, ctx := open(t)
			done := ctx.Done()
			go c.Close()
			for ctx.Err() == nil {
				runtime.Gosched()
			}
			select {
			case <-done:
			default:
				t.Fatal("Err is set and Done is not closed")
			}
			wantError(t, "cause", context.Cause(ctx), net.ErrClosed)
		}
	})
}

func TestAddresses(t *testing.T) {
	mapped := &net.TCPAddr{IP: net.ParseIP("::ffff:192.0.2.1"), Port: 7}
	tests := []struct {
		name string
		pair func(*testing.T) (net.Conn, net.Conn)
		want bool
	}{
		{"tcp", tcpPair, true},
		{"unix", unixPair, false},
		{"pipe", pipePair, false},
		{"no address at all", func(*testing.T) (net.Conn, net.Conn) { return &feed{}, &feed{} }, false},
	}
	for _, tt := range tests {
		here, there := tt.pair(t)
		a, b := sockets.NewConn(here, nil), sockets.NewConn(there, nil)
		if a.Local() != b.Remote() || a.Remote() != b.Local() {
			t.Errorf("%s: %v-%v at one end, %v-%v at the other", tt.name, a.Local(), a.Remote(), b.Local(), b.Remote())
		}
		if a.Local().IsValid() != tt.want || a.Remote().IsValid() != tt.want {
			t.Errorf("%s: %v, %v; valid should be %v", tt.name, a.Local(), a.Remote(), tt.want)
		}
	}
	c := sockets.NewConn(addressed{&feed{}, mapped}, nil)
	want := addr.FromAddrPort(addr.TCP, netip.MustParseAddrPort("192.0.2.1:7"))
	if c.Remote() != want || c.Local() != want {
		t.Errorf("a mapped address is %v", c.Remote())
	}
}

type addressed struct {
	*feed
	a net.Addr
}

func (a addressed) LocalAddr() net.Addr  { return a.a }
func (a addressed) RemoteAddr() net.Addr { return a.a }

// On a socket of both families an IPv4 peer is still an IPv4 peer.
func TestRemoteIsNeverMapped(t *testing.T) {
	ln, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "[::]:0")
	if err != nil {
		t.Skip("no IPv6 here: ", err)
	}
	defer ln.Close()
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	there, err := new(net.Dialer).DialContext(t.Context(), "tcp4", "127.0.0.1:"+port)
	if err != nil {
		t.Skip("a listener on [::] takes no IPv4 here: ", err)
	}
	defer there.Close()
	here, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	c := sockets.NewConn(here, nil)
	defer c.Close()
	if r, l := c.Remote().Addr(), c.Local().Addr(); !r.Is4() || !l.Is4() {
		t.Errorf("%v -> %v", r, l)
	}
}

func TestIDsDiffer(t *testing.T) {
	seen := map[uint64]bool{}
	for range 100 {
		id := sockets.NewConn(&feed{}, nil).ID()
		if seen[id] || id == 0 {
			t.Errorf("ID %d", id)
		}
		seen[id] = true
	}
}

func TestDrainingOfClientIsNeverClosed(t *testing.T) {
	c := sockets.NewConn(&feed{}, nil)
	ch := c.Draining()
	c.Close()
	select {
	case <-ch:
		t.Error("closed")
	default:
	}
	if ch != c.Draining() {
		t.Error("another channel the second time")
	}
}

func TestDeadlineOfNetConnIsVoid(t *testing.T) {
	bubble(t, func(t *testing.T) {
		here, there := simPair(t, simnet.Options{})
		c, _ := guarded(here, guard.Limits{Idle: time.Hour})
		if c.NetConn() != here {
			t.Error("NetConn is another")
		}
		_ = c.NetConn().SetReadDeadline(time.Now().Add(time.Minute))
		time.AfterFunc(2*time.Minute, func() { send(t, there, "late\n") })
		wantMessage(t, c, "late")
	})
}

// Connections may be values that cannot be compared.
func TestIncomparableConnections(t *testing.T) {
	bubble(t, func(t *testing.T) {
		here, _ := simPair(t, simnet.Options{})
		c, g := guarded(incomparable{here, nil}, guard.Limits{Idle: time.Hour})
		time.AfterFunc(time.Second, func() { g.Drain(0) })
		wantFinal(t, "Await", c.Await(), sockets.ErrDraining)
		c.Abort(nil)
	})
}

type incomparable struct {
	net.Conn
	f func()
}

func TestErrorsNameTheOperation(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, _ := conversation(t, nil)
		c.Close()
		_, read := c.Read(make([]byte, 1))
		_, message := c.ReadMessage()
		_, write := c.Write(nil)
		_, call := c.Call(t.Context(), nil)
		for err, want := range map[error]string{
			read: "read", message: "read message", write: "write", call: "call",
			c.Await(): "await", c.WriteMessage(nil): "write message", c.CloseWrite(): "close write",
		} {
			want := want + " " + c.Local().String() + " -> " + c.Remote().String() + ": "
			if err == nil || !strings.HasPrefix(err.Error(), want) {
				t.Errorf("%v, want it to begin with %q", err, want)
			}
		}
	})
}
