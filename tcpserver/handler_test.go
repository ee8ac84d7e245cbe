package tcpserver_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/sockets"
	"example.com/sockets/tcpserver"
)

// TestHandlerEnds: however a handler ends, its connection is closed, its end is
// counted and logged as it deserves, and the next connection is served.
func TestHandlerEnds(t *testing.T) {
	ends := map[string]struct {
		end   func(c *sockets.Conn) error
		log   string // what the log must have; "": nothing but start and stop
		count func(tcpserver.Stats) int64
	}{
		"nil":      {func(*sockets.Conn) error { return nil }, "", served},
		"EOF":      {func(*sockets.Conn) error { return io.EOF }, "", served},
		"draining": {func(*sockets.Conn) error { return fmt.Errorf("x: %w", sockets.ErrDraining) }, "", served},
		"closed":   {func(c *sockets.Conn) error { c.Close(); _, err := c.Read(make([]byte, 1)); return err }, "", served},
		"error":    {func(*sockets.Conn) error { return errors.New("no luck") }, `err="no luck"`, failed},
		"panic":    {func(*sockets.Conn) error { panic("boom") }, "handler_test.go", panics},
		"nil map":  {func(*sockets.Conn) error { return nilMap() }, "nil map", panics},
		"Goexit":   {func(*sockets.Conn) error { runtime.Goexit(); return nil }, "Goexit", failed},
		"abort":    {func(c *sockets.Conn) error { c.Abort(errors.New("enough")); return c.Await() }, "enough", failed},
	}
	for name, tt := range ends {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				var log logged
				first := true
				r := serveSim(t, &tcpserver.Server{Logger: log.logger(), Handler: func(ctx context.Context, c *sockets.Conn) error {
					if first {
						first = false
						return tt.end(c)
					}
					return upper(ctx, c)
				}})
				c := r.client()
				if _, err := io.ReadAll(c); err != nil {
					t.Errorf("client read %v, want EOF", err)
				}
				c.Close()
				next := r.client()
				if got := ask(t, next, "next"); got != "NEXT" {
					t.Errorf("the next connection got %q", got)
				}
				next.Close()
				synctest.Wait()
				st := r.Stats()
				if want := served(st) - tt.count(tcpserver.Stats{Served: 1}); tt.count(st) != 1+tt.count(tcpserver.Stats{Served: 1}) || want < 0 {
					t.Errorf("counted as %+v", st)
				}
				if err := r.wait(); err != nil {
					t.Error(err)
				}
				text := log.String()
				if tt.log == "" && strings.Contains(text, "level=WARN") || !strings.Contains(text, tt.log) || strings.Contains(text, "level=ERROR") != (tt.count(tcpserver.Stats{Panics: 1}) == 1) {
					t.Errorf("log:\n%s", text)
				}
			})
		})
	}
}

func nilMap() error {
	m := map[string]map[string]int{}
	m["missing"]["x"] = 1
	return nil
}

func served(s tcpserver.Stats) int64 { return s.Served }
func failed(s tcpserver.Stats) int64 { return s.Failed }
func panics(s tcpserver.Stats) int64 { return s.Panics }

// TestCrash: with Crash a panic ends the process, with the handler in the stack.
func TestCrash(t *testing.T) {
	if os.Getenv("SOCKETS_TEST_CRASH") != "" {
		s := &tcpserver.Server{Crash: true, Handler: crashingHandler}
		ln, err := s.Listen(t.Context(), "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		c, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		t.Fatal("Serve returned: ", s.Serve(t.Context(), ln))
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestCrash$")
	cmd.Env = append(os.Environ(), "SOCKETS_TEST_CRASH=1")
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "panic: crash on purpose") || !strings.Contains(string(out), "crashingHandler") {
		t.Errorf("%v\n%s", err, out)
	}
}

func crashingHandler(context.Context, *sockets.Conn) error { panic("crash on purpose") }

// TestContext: the handler's context carries the values of Serve's, is not ended by
// the stop, and ends with the connection, with the cause.
func TestContext(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		type key struct{}
		var value any
		var during, after error
		s := &tcpserver.Server{Handler: func(ctx context.Context, c *sockets.Conn) error {
			value = ctx.Value(key{})
			<-c.Draining()
			time.Sleep(time.Second)
			during = ctx.Err()
			c.Abort(errors.New("enough"))
			after = context.Cause(ctx)
			return nil
		}}
		ctx, stop := context.WithCancel(context.WithValue(t.Context(), key{}, "value"))
		r := serveSim(t, &tcpserver.Server{Handler: upper}) // for its dialler
		if err := r.wait(); err != nil {
			t.Fatal(err)
		}
		server, client := net.Pipe()
		done := make(chan error, 1)
		go func() { done <- s.Serve(ctx, &oneConn{conn: server, closed: make(chan struct{})}) }()
		synctest.Wait()
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		client.Close()
		if value != "value" || during != nil || after == nil || after.Error() != "enough" {
			t.Errorf("value %v, Err during the drain %v, cause in the end %v", value, during, after)
		}
	})
}

// oneConn is a listener that has one connection, and knows no deadline.
type oneConn struct {
	conn   net.Conn
	closed chan struct{}
}

func (l *oneConn) Accept() (net.Conn, error) {
	if c := l.conn; c != nil {
		l.conn = nil
		return c, nil
	}
	<-l.closed
	return nil, net.ErrClosed
}

func (l *oneConn) Close() error {
	close(l.closed)
	return nil
}

func (*oneConn) Addr() net.Addr { return &net.UnixAddr{Name: "one", Net: "unix"} }

// TestConns: the iteration shows the open connections, holds no lock, and one can
// be closed by what it shows.
func TestConns(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := serveSim(t, &tcpserver.Server{Handler: upper})
		ids := map[uint64]bool{}
		for range 3 {
			c := r.client()
			defer c.Close()
		}
		synctest.Wait()
		for c := range r.Conns() {
			if ids[c.ID()] || !c.Remote().IsValid() {
				t.Errorf("connection %d, %v", c.ID(), c.Remote())
			}
			ids[c.ID()] = true
			if len(ids) == 2 {
				c.Abort(sockets.ErrEvicted)
				synctest.Wait()
				r.Stats() // would block if a lock were held
			}
		}
		if st := r.Stats(); len(ids) != 3 || st.Running != 2 {
			t.Errorf("saw %d connections; %+v", len(ids), st)
		}
		for range r.Conns() {
			break
		}
		if err := r.wait(); err != nil {
			t.Error(err)
		}
	})
}
