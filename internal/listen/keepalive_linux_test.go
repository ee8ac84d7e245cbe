package listen_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"example.com/sockets/internal/listen"
)

// TestKeepAlive: connections have the net package's keep-alive, whichever transport
// the system has negotiated, on a lone listener and on each member of a group.
func TestKeepAlive(t *testing.T) {
	want := keepAlive(t, byNet(t))
	if want[0] != 1 {
		t.Fatalf("the net package's keep-alive is %v", want)
	}
	for _, n := range []int{1, 4} {
		ln, err := listen.TCP(t.Context(), "127.0.0.1:0", n)
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		members := []net.Listener{ln}
		if g, ok := ln.(*listen.Group); ok {
			members = g.Members()
		}
		for _, multipath := range []bool{false, true} {
			for _, m := range members {
				if got := keepAlive(t, accepted(t, m, multipath)); got != want {
					t.Errorf("%d listeners, multipath %v: keep-alive is %v, want %v", n, multipath, got, want)
				}
			}
		}
	}
}

// byNet is a connection that the net package has accepted with its defaults.
func byNet(t *testing.T) net.Conn {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return accepted(t, ln, false)
}

// accepted dials until ln itself gets a connection.
func accepted(t *testing.T, ln net.Listener, multipath bool) net.Conn {
	t.Helper()
	var d net.Dialer
	d.SetMultipathTCP(multipath)
	for range 200 {
		c, err := d.DialContext(t.Context(), "tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		if !waits(t, ln) {
			continue
		}
		c, err = ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	t.Fatal("no connection came")
	return nil
}

// waits reports whether ln has a connection in its queue.
func waits(t *testing.T, ln net.Listener) (ready bool) {
	t.Helper()
	control(t, ln, func(fd int) error {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
		ready = n > 0
		return err
	})
	return ready
}

func keepAlive(t *testing.T, c net.Conn) (values [4]int) {
	t.Helper()
	names := [4][2]int{
		{unix.SOL_SOCKET, unix.SO_KEEPALIVE},
		{unix.IPPROTO_TCP, unix.TCP_KEEPIDLE},
		{unix.IPPROTO_TCP, unix.TCP_KEEPINTVL},
		{unix.IPPROTO_TCP, unix.TCP_KEEPCNT},
	}
	control(t, c, func(fd int) (err error) {
		for i, n := range names {
			if values[i], err = unix.GetsockoptInt(fd, n[0], n[1]); err != nil {
				return err
			}
		}
		return nil
	})
	return values
}

func control(t *testing.T, s any, f func(fd int) error) {
	t.Helper()
	raw, err := s.(syscall.Conn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if e := raw.Control(func(fd uintptr) { err = f(int(fd)) }); e != nil || err != nil {
		t.Fatal(e, err)
	}
}

// TestAcceptCost: for each connection one option is set, TCP_NODELAY by the net
// package, where its own listener sets five.
func TestAcceptCost(t *testing.T) {
	strace, err := exec.LookPath("strace")
	if err != nil || exec.Command(strace, "-o", os.DevNull, os.Args[0], "-test.run=^$").Run() != nil {
		t.Skip("no strace here")
	}
	const many = 20
	calls := func(what string) int {
		trace := filepath.Join(t.TempDir(), "trace")
		p := start(t, fmt.Sprintf("%s %d", what, many), strace, "-f", "-qq", "-e", "trace=setsockopt", "-o", trace)
		defer p.end()
		fmt.Fprintln(p.in, "go")
		at := p.says(t)
		for range many {
			c, err := net.Dial("tcp", at)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
		}
		if got := p.says(t); got != "accepted" {
			t.Fatal(got)
		}
		p.end()
		lines, err := os.ReadFile(trace)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Count(string(lines), "setsockopt(")
	}
	ours, theirs := calls("accept"), calls("accept-by-net")
	if ours < many || ours >= 2*many || theirs < 5*many {
		t.Errorf("for %d connections %d options are set, by the net package %d", many, ours, theirs)
	}
}
