package listen_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"example.com/sockets/internal/listen"
)

// group is a group of four listeners, or a skip where the system has none.
func group(t *testing.T, address string) *listen.Group {
	t.Helper()
	ln, err := listen.TCP(t.Context(), address, 4)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	g, ok := ln.(*listen.Group)
	if !ok {
		t.Skipf("no groups here: %T", ln)
	}
	return g
}

// TestOne: without a group the caller gets the net package's own types.
func TestOne(t *testing.T) {
	for _, n := range []int{-1, 0, 1} {
		ln, err := listen.TCP(t.Context(), "127.0.0.1:0", n)
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		pc, err := listen.UDP(t.Context(), "127.0.0.1:0", n)
		if err != nil {
			t.Fatal(err)
		}
		defer pc.Close()
		_, tcp := ln.(*net.TCPListener)
		_, udp := pc.(*net.UDPConn)
		if !tcp || !udp {
			t.Errorf("%d sockets are %T and %T", n, ln, pc)
		}
	}
}

// TestGroup: all members have the port that the first was given, and each gets a
// share of the connections.
func TestGroup(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", ":0", "0.0.0.0:0", "[::1]:0", "localhost:0"} {
		t.Run(address, func(t *testing.T) {
			g := group(t, address)
			members := g.Members()
			if len(members) != 4 {
				t.Fatalf("%d members", len(members))
			}
			dials(t, g.Addr(), 100)
			for i, m := range members {
				if m.Addr().String() != g.Addr().String() || m.Addr().(*net.TCPAddr).Port == 0 {
					t.Errorf("member %d of %v has %v", i, g.Addr(), m.Addr())
				}
				m.(*net.TCPListener).SetDeadline(time.Now().Add(time.Second))
				c, err := m.Accept()
				if err != nil {
					t.Fatalf("member %d of %v got nothing: %v", i, g.Addr(), err)
				}
				c.Close()
			}
		})
	}
}

// dials makes n connections, which end with the test.
func dials(t *testing.T, to net.Addr, n int) {
	t.Helper()
	for range n {
		c, err := net.Dial(to.Network(), to.String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
	}
}

// TestNobodyJoins: a second opener is refused as long as one member lives, whether
// it wants a group or one socket, the same address, a wildcard or a part of it.
func TestNobodyJoins(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", ":0"} {
		g := group(t, address)
		_, port, _ := net.SplitHostPort(g.Addr().String())
		members := g.Members()
		for len(members) > 0 {
			for _, other := range []string{g.Addr().String(), "127.0.0.1:" + port, ":" + port} {
				for _, n := range []int{1, 2} {
					ln, err := listen.TCP(t.Context(), other, n)
					if err == nil {
						ln.Close()
					}
					if !errors.Is(err, syscall.EADDRINUSE) {
						t.Errorf("%d sockets on %s, beside %d on %s: %v", n, other, len(members), g.Addr(), err)
					}
				}
			}
			members[0].Close()
			members = members[1:]
		}
		ln, err := listen.TCP(t.Context(), "127.0.0.1:"+port, 2)
		if err != nil {
			t.Errorf("after the last has closed: %v", err)
			continue
		}
		ln.Close()
	}
}

// TestOtherAddress: a port may be held on several addresses.
func TestOtherAddress(t *testing.T) {
	_, port, _ := net.SplitHostPort(group(t, "127.0.0.1:0").Addr().String())
	ln, err := listen.TCP(t.Context(), "127.0.0.2:"+port, 2)
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
}

// TestGroupAccept: who doesn't know of members gets the connections of all.
func TestGroupAccept(t *testing.T) {
	g := group(t, "127.0.0.1:0")
	dials(t, g.Addr(), 50)
	for i := range 50 {
		c, err := g.Accept()
		if err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
		c.Close()
	}
	if m := g.Members(); len(m) != 1 || m[0] != net.Listener(g) {
		t.Errorf("after Accept the members are %v", m)
	}
	for range 2 {
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := g.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept after Close: %v", err)
	}
	if err := g.SetDeadline(time.Time{}); !errors.Is(err, net.ErrClosed) {
		t.Errorf("SetDeadline after Close: %v", err)
	}
}

// TestGroupDeadline: a deadline that passes, or is set to one that has passed, ends
// an Accept, and a connection that waits is taken before one that is ahead.
func TestGroupDeadline(t *testing.T) {
	g := group(t, "127.0.0.1:0")
	timed := func(t *testing.T, err error) {
		t.Helper()
		var op *net.OpError
		if !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &op) || !op.Timeout() {
			t.Errorf("got %v, want a timeout", err)
		}
	}
	g.SetDeadline(time.Now())
	_, err := g.Accept()
	timed(t, err)
	g.SetDeadline(time.Now().Add(10 * time.Millisecond))
	_, err = g.Accept()
	timed(t, err)

	g.SetDeadline(time.Time{})
	woken := make(chan error)
	go func() {
		_, err := g.Accept()
		woken <- err
	}()
	g.SetDeadline(time.Unix(1, 0))
	timed(t, <-woken)

	dials(t, g.Addr(), 1)
	g.SetDeadline(time.Now().Add(5 * time.Second))
	c, err := g.Accept()
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}

// TestGroupClose: Close wakes every Accept, and ends what nobody has accepted.
func TestGroupClose(t *testing.T) {
	g := group(t, "127.0.0.1:0")
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for {
				c, err := g.Accept()
				if errors.Is(err, net.ErrClosed) {
					return
				}
				if err != nil {
					t.Error(err)
					return
				}
				io.Copy(c, c)
				c.Close()
			}
		})
	}
	c, err := net.Dial("tcp", g.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c.Write([]byte("x"))
	if _, err := c.Read(make([]byte, 1)); err != nil {
		t.Error(err)
	}
	c.Close()
	if err := g.Close(); err != nil {
		t.Error(err)
	}
	all.Wait()
}

// TestFails: what can't be opened leaves nothing open.
func TestFails(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, address := range []string{"192.0.2.1:0", "127.0.0.1", "nowhere.invalid:0"} {
		if ln, err := listen.TCP(ctx, address, 3); err == nil {
			ln.Close()
			t.Errorf("TCP on %q worked", address)
		}
		if pc, err := listen.UDP(ctx, address, 3); err == nil {
			pc.Close()
			t.Errorf("UDP on %q worked", address)
		}
	}
}
