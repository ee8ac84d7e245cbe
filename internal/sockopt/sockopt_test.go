package sockopt_test

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"go.uber.org/goleak"

	"example.com/sockets/internal/sockopt"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pair is a connection over real sockets.
func pair(t *testing.T, network, address string) (here, there net.Conn) {
	t.Helper()
	ln, err := new(net.ListenConfig).Listen(t.Context(), network, address)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if there, err = new(net.Dialer).DialContext(t.Context(), network, ln.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if here, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { here.Close(); there.Close() })
	return here, there
}

// soon waits until f has the wanted result: the system moves bytes in its own time.
func soon(t *testing.T, what string, f func(net.Conn) (int, bool), c net.Conn, want func(int) bool) {
	t.Helper()
	var n int
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		var ok bool
		if n, ok = f(c); !ok {
			t.Skipf("%s: the system can't tell", what)
		}
		if want(n) {
			return
		}
	}
	t.Errorf("%s: %d", what, n)
}

func is(want int) func(int) bool { return func(n int) bool { return n == want } }

func TestUnread(t *testing.T) {
	dir, err := os.MkdirTemp("", "s")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	for network, address := range map[string]string{"tcp": "127.0.0.1:0", "unix": filepath.Join(dir, "s")} {
		here, there := pair(t, network, address)
		soon(t, network+", nothing", sockopt.Unread, here, is(0))
		_, _ = there.Write(make([]byte, 10))
		_ = here.SetReadDeadline(time.Unix(1, 0)) // it is asked when one has passed
		soon(t, network+", ten bytes", sockopt.Unread, here, is(10))
		_ = here.SetReadDeadline(time.Time{})
		_, _ = io.ReadFull(here, make([]byte, 4))
		soon(t, network+", six", sockopt.Unread, here, is(6))
		there.Close()
		_, _ = io.ReadFull(here, make([]byte, 6))
		soon(t, network+", an EOF is no byte", sockopt.Unread, here, is(0))
		here.Close()
		if n, ok := sockopt.Unread(here); ok {
			t.Errorf("%s, closed: %d, and it says it knows", network, n)
		}
	}
}

func TestUnacked(t *testing.T) {
	here, there := pair(t, "tcp", "127.0.0.1:0")
	soon(t, "nothing", sockopt.Unacked, here, is(0))
	for n := 1; n > 0; { // until all buffers are full
		_ = here.SetWriteDeadline(time.Now().Add(20 * time.Millisecond))
		n, _ = here.Write(make([]byte, 1<<20))
	}
	soon(t, "a peer that does not read", sockopt.Unacked, here, func(n int) bool { return n > 0 })
	go func() { _, _ = io.Copy(io.Discard, there) }()
	soon(t, "a peer that does", sockopt.Unacked, here, is(0))
}

func TestNobodyCanTell(t *testing.T) {
	here, there := net.Pipe()
	defer here.Close()
	defer there.Close()
	for _, c := range []net.Conn{here, struct{ net.Conn }{here}} {
		if n, ok := sockopt.Unread(c); n != 0 || ok {
			t.Errorf("Unread: %d, %v", n, ok)
		}
		if n, ok := sockopt.Unacked(c); n != 0 || ok {
			t.Errorf("Unacked: %d, %v", n, ok)
		}
	}
}

// told is a connection that knows by itself.
type told struct{ net.Conn }

func (told) Unread() int  { return 3 }
func (told) Unacked() int { return 4 }

func TestConnectionsThatKnow(t *testing.T) {
	if n, ok := sockopt.Unread(told{}); n != 3 || !ok {
		t.Errorf("Unread: %d, %v", n, ok)
	}
	if n, ok := sockopt.Unacked(told{}); n != 4 || !ok {
		t.Errorf("Unacked: %d, %v", n, ok)
	}
}

func TestQueued(t *testing.T) {
	ln, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if sockopt.Queued(ln) {
		t.Error("one waits before anybody has dialled")
	}
	c, err := new(net.Dialer).DialContext(t.Context(), "tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if runtime.GOOS != "linux" {
		t.Skip("nobody knows here")
	}
	for end := time.Now().Add(5 * time.Second); !sockopt.Queued(ln) && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	if !sockopt.Queued(ln) {
		t.Error("none waits, and one has dialled")
	}
	if sockopt.Queued(struct{ net.Listener }{ln}) {
		t.Error("of a foreign listener nobody knows")
	}
}

func TestOpenFiles(t *testing.T) {
	if n, ok := sockopt.OpenFiles(); ok && n < 3 {
		t.Errorf("%d", n)
	}
}
