package listen_test

import (
	"errors"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"example.com/sockets/internal/listen"
)

func packets(t *testing.T, address string) *listen.Packets {
	t.Helper()
	pc, err := listen.UDP(t.Context(), address, 4)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pc.Close() })
	p, ok := pc.(*listen.Packets)
	if !ok {
		t.Skipf("no groups here: %T", pc)
	}
	return p
}

// TestPackets: all members have one port, each gets the datagrams of some senders,
// and all those of one.
func TestPackets(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "[::1]:0", "localhost:0"} {
		p := packets(t, address)
		senders(t, p.LocalAddr(), 100, 2)
		for i, m := range p.Members() {
			if m.LocalAddr().String() != p.LocalAddr().String() {
				t.Errorf("member %d of %v has %v", i, p.LocalAddr(), m.LocalAddr())
			}
			m.SetDeadline(time.Now().Add(time.Second))
			for n := range 2 {
				if _, _, err := m.ReadFrom(make([]byte, 10)); err != nil {
					t.Fatalf("member %d of %v got %d datagrams: %v", i, p.LocalAddr(), n, err)
				}
			}
		}
	}
}

// senders makes n, each of which sends as many datagrams and ends with the test.
func senders(t *testing.T, to net.Addr, n, each int) {
	t.Helper()
	for range n {
		c, err := net.Dial("udp", to.String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		for range each {
			if _, err := c.Write([]byte("hello")); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestNobodyJoinsPackets: as for TCP. The system gives the port of a group to
// another one when asked for any, unless the first of that is bound alone.
func TestNobodyJoinsPackets(t *testing.T) {
	p := packets(t, "127.0.0.1:0")
	for _, n := range []int{1, 2} {
		pc, err := listen.UDP(t.Context(), p.LocalAddr().String(), n)
		if err == nil {
			pc.Close()
		}
		if !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("%d sockets beside a group: %v", n, err)
		}
	}
	ports := make(map[string]bool)
	for range 200 {
		at := packets(t, "127.0.0.1:0").LocalAddr().String()
		if ports[at] {
			t.Errorf("two groups were given %s", at)
		}
		ports[at] = true
	}
}

// TestPacketsReadFrom: who doesn't know of members gets the datagrams of all, and
// replies from the address that was asked.
func TestPacketsReadFrom(t *testing.T) {
	p := packets(t, "127.0.0.1:0")
	senders(t, p.LocalAddr(), 50, 1)
	buf := make([]byte, 3)
	for i := range 50 {
		n, _, err := p.ReadFrom(buf)
		if err != nil || string(buf[:n]) != "hel" {
			t.Fatalf("datagram %d is %q, %v", i, buf[:n], err)
		}
	}
	c, err := net.Dial("udp", p.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.Write([]byte("ask"))
	n, from, err := p.ReadFrom(buf)
	if err != nil || string(buf[:n]) != "ask" {
		t.Fatalf("%q, %v", buf[:n], err)
	}
	p.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := p.WriteTo(buf, from); err != nil {
		t.Fatal(err)
	}
	c.SetReadDeadline(time.Now().Add(5 * time.Second))
	if n, err := c.Read(buf); err != nil || string(buf[:n]) != "ask" {
		t.Errorf("the reply is %q, %v", buf[:n], err)
	}
	p.SetReadDeadline(time.Now())
	if _, _, err := p.ReadFrom(buf); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("after the deadline: %v", err)
	}
	if m := p.Members(); len(m) != 1 || m[0] != net.PacketConn(p) {
		t.Errorf("after ReadFrom the members are %v", m)
	}
	for range 2 {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, _, err := p.ReadFrom(buf); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	if err := p.SetDeadline(time.Time{}); !errors.Is(err, net.ErrClosed) {
		t.Errorf("SetDeadline after Close: %v", err)
	}
}
