package sockets_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"example.com/sockets"
	"example.com/sockets/internal/connhook"
	"example.com/sockets/internal/guard"
	"example.com/sockets/simnet"
)

// bubble runs f in virtual time.
func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}

// listener is what simnet and net have in common.
type listener func(ctx context.Context, network, address string) (net.Listener, error)

// dialler likewise.
type dialler func(ctx context.Context, network, address string) (net.Conn, error)

// pairOver returns both ends of a connection, which end with the test.
func pairOver(t *testing.T, network, address string, listen listener, dial dialler) (here, there net.Conn) {
	t.Helper()
	ln, err := listen(t.Context(), network, address)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if there, err = dial(t.Context(), network, ln.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if here, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { here.Close(); there.Close() })
	return here, there
}

// simPair is a pair in memory: call it in a bubble.
func simPair(t *testing.T, o simnet.Options) (here, there net.Conn) {
	t.Helper()
	n := simnet.New(o)
	return pairOver(t, "tcp", "127.0.0.1:0", n.Listen, n.DialContext)
}

func tcpPair(t *testing.T) (here, there net.Conn) {
	t.Helper()
	return pairOver(t, "tcp", "127.0.0.1:0", new(net.ListenConfig).Listen, new(net.Dialer).DialContext)
}

func unixPair(t *testing.T) (here, there net.Conn) {
	t.Helper()
	dir, err := os.MkdirTemp("", "s") // t.TempDir is too long for a socket's name
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return pairOver(t, "unix", filepath.Join(dir, "s"), new(net.ListenConfig).Listen, new(net.Dialer).DialContext)
}

func pipePair(t *testing.T) (here, there net.Conn) {
	t.Helper()
	here, there = net.Pipe()
	t.Cleanup(func() { here.Close(); there.Close() })
	return here, there
}

// guarded is a Conn as a server makes it.
func guarded(nc net.Conn, l guard.Limits) (*sockets.Conn, *guard.Guard) {
	c, g := connhook.New(nc, connhook.Options{Limits: &l})
	return c.(*sockets.Conn), g
}

// conversation is a Conn over one end of a pair in memory, and the other end.
func conversation(t *testing.T, f sockets.Framing) (*sockets.Conn, net.Conn) {
	t.Helper()
	here, there := simPair(t, simnet.Options{})
	return sockets.NewConn(here, f), there
}

// send writes s or fails the test; it may be called from any goroutine.
func send(t *testing.T, to io.Writer, s string) {
	t.Helper()
	if n, err := io.WriteString(to, s); err != nil || n != len(s) {
		t.Errorf("sending %q: %d, %v", s, n, err)
	}
}

// wantMessage reads a message and compares it.
func wantMessage(t *testing.T, c *sockets.Conn, want string) {
	t.Helper()
	m, err := c.ReadMessage()
	if err != nil || string(m) != want {
		t.Errorf("message %q, %v; want %q", m, err, want)
	}
}

// wantError compares an error by errors.Is.
func wantError(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) || want == nil && err != nil {
		t.Errorf("%s: error %v, want %v", what, err, want)
	}
}

// wantTimeout wants a timeout in all its forms.
func wantTimeout(t *testing.T, what string, err error) {
	t.Helper()
	wantError(t, what, err, os.ErrDeadlineExceeded)
	wantError(t, what, err, context.DeadlineExceeded)
	var ne net.Error
	if !errors.As(err, &ne) || !ne.Timeout() || !sockets.IsTimeout(err) {
		t.Errorf("%s: %v is no net.Error that is a timeout", what, err)
	}
}

// wantFinal wants an error that no loop which retries timeouts spins on.
func wantFinal(t *testing.T, what string, err, want error) {
	t.Helper()
	wantError(t, what, err, want)
	var ne net.Error
	if sockets.IsTimeout(err) || errors.As(err, &ne) && ne.Timeout() {
		t.Errorf("%s: %v is a timeout", what, err)
	}
}

// took fails unless exactly want has passed since.
func took(t *testing.T, what string, since time.Time, want time.Duration) {
	t.Helper()
	if d := time.Since(since); d != want {
		t.Errorf("%s took %v, want %v", what, d, want)
	}
}
