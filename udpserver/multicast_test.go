package udpserver_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"example.com/sockets/addr"
	"example.com/sockets/udpserver"
)

// A site's own group (RFC 2365).
const (
	group4 = "239.255.78.1:0"
	group6 = "[ff05::78:1]:0"
)

// within is how to send so that nothing leaves this host: over the loopback
// interface, to which Linux has no way for IPv6 groups, or another, but no link.
func within(t *testing.T, group string) udpserver.Multicast {
	t.Helper()
	v6 := strings.HasPrefix(group, "[")
	all, err := net.Interfaces()
	if err != nil {
		t.Skip(err)
	}
	for _, i := range all {
		addresses, _ := i.Addrs()
		fits := slices.ContainsFunc(addresses, func(a net.Addr) bool { return (a.(*net.IPNet).IP.To4() == nil) == v6 })
		if i.Flags&net.FlagUp != 0 && fits && (i.Flags&net.FlagLoopback != 0) != v6 && (!v6 || i.Flags&net.FlagMulticast != 0) {
			return udpserver.Multicast{Interfaces: []string{i.Name}, TTL: -1}
		}
	}
	t.Skipf("no interface for %s", group)
	return udpserver.Multicast{}
}

// open opens a socket of s that is closed with the test.
func open(t *testing.T, s *udpserver.Server, address string) *net.UDPConn {
	t.Helper()
	pc, err := s.ListenPacket(t.Context(), address)
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pc.Close() })
	pc.SetReadDeadline(time.Now().Add(10 * time.Second))
	return pc.(*net.UDPConn)
}

func portOf(c net.PacketConn) uint16 { return uint16(c.LocalAddr().(*net.UDPAddr).Port) }

// at is the address of a group with the port of a member.
func at(group string, c net.PacketConn) netip.AddrPort {
	return netip.AddrPortFrom(netip.MustParseAddrPort(group).Addr(), portOf(c))
}

func write(t *testing.T, c *net.UDPConn, to netip.AddrPort, messages ...string) {
	t.Helper()
	for _, m := range messages {
		if _, err := c.WriteToUDPAddrPort([]byte(m), to); err != nil {
			t.Fatal(err)
		}
	}
}

// A question to a group is answered from a member's own address, by each engine, one
// by one and many at once.
func TestGroup(t *testing.T) {
	for _, group := range []string{group4, group6} {
		for name, engine := range map[string]udpserver.Engine{"single": udpserver.EngineSingle, "batch": udpserver.EngineBatch, "trains": udpserver.EngineTrains} {
			t.Run(group+name, func(t *testing.T) { testGroup(t, group, engine) })
		}
	}
}

func testGroup(t *testing.T, group string, engine udpserver.Engine) {
	m := within(t, group)
	asked := make(chan *udpserver.Datagram, 20)
	s := &udpserver.Server{Engine: engine, Multicast: m, Sockets: 4, Handler: func(_ context.Context, d *udpserver.Datagram) error {
		asked <- d.Clone()
		d.Reply(d.Data)
		return d.Reply([]byte("more"))
	}}
	member := open(t, s, group)
	to := at(group, member)
	c := open(t, &udpserver.Server{Multicast: m}, ":0")
	questions := []string{"one", "two", "", "four", "five"}
	write(t, c, to, questions...) // read together
	serveOn(t, s, member)
	var got []string
	buf := make([]byte, 100)
	for range 2 * len(questions) {
		n, from, err := c.ReadFromUDPAddrPort(buf)
		if err != nil {
			t.Fatal(err)
		}
		if from.Addr().Unmap().IsMulticast() || from.Port() != to.Port() {
			t.Errorf("answered from %v", from)
		}
		got = append(got, string(buf[:n]))
	}
	want := append([]string{"more", "more", "more", "more", "more"}, questions...)
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	for range questions {
		next(t, asked)
	}
	write(t, c, to, "last") // the system has been asked to tell all
	d := next(t, asked)
	if bound := member.LocalAddr().(*net.UDPAddr).IP.IsMulticast(); bound != udpserver.Supported().Members || bound && d.To.AddrPort() != to {
		t.Errorf("To is %v", d.To)
	}
	if i, err := net.InterfaceByName(m.Interfaces[0]); udpserver.Supported().Asked && (err != nil || d.Interface != i.Index) {
		t.Errorf("Interface is %d, want %+v, %v", d.Interface, i, err)
	}
}

// next is what comes out of c.
func next[T any](t *testing.T, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(10 * time.Second):
		t.Fatal("nothing comes")
	}
	return v
}

func TestGroupErrors(t *testing.T) {
	for _, tt := range []struct {
		m       udpserver.Multicast
		address string
		want    string
	}{
		{udpserver.Multicast{Interfaces: []string{"absent0"}}, group4, `listen 239.255.78.1:0/udp: there is no interface "absent0"`},
		{udpserver.Multicast{Interfaces: []string{"absent0"}}, "127.0.0.1:0", `listen 127.0.0.1:0/udp: there is no interface "absent0"`},
		{udpserver.Multicast{TTL: 256}, "127.0.0.1:0", "a TTL of 256"},
	} {
		pc, err := (&udpserver.Server{Multicast: tt.m}).ListenPacket(t.Context(), tt.address)
		if err == nil {
			pc.Close()
		}
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.address, err, tt.want)
		}
	}
	member := open(t, &udpserver.Server{Multicast: within(t, group4)}, group4)
	if !udpserver.Supported().Members {
		return // the wildcard is what it has
	}
	open(t, &udpserver.Server{}, fmt.Sprint("127.0.0.1:", portOf(member))) // what is sent to the host has room beside it
	member = open(t, &udpserver.Server{Multicast: within(t, group4)}, group4)
	pc, err := (&udpserver.Server{}).ListenPacket(t.Context(), fmt.Sprint(":", portOf(member)))
	if err == nil {
		pc.Close()
		t.Error("the wildcard, whose owner would hear the group's datagrams, is free")
	}
}

// The name of a group is as good as its address.
func TestGroupByName(t *testing.T) {
	answer := netip.MustParseAddrPort(group4).Addr().As4()
	before := net.DefaultResolver
	defer func() { net.DefaultResolver = before }()
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		here, there := net.Pipe()
		go serveName(there, answer)
		return here, nil
	}}
	c := open(t, &udpserver.Server{Multicast: within(t, group4)}, "group.example.:0")
	other := open(t, &udpserver.Server{Multicast: within(t, group4)}, fmt.Sprint("239.255.78.1:", portOf(c)))
	write(t, other, at(group4, c), "hello")
	if got := receive(t, c); got != "hello" {
		t.Errorf("got %q", got)
	}
}

// serveName answers a question over a stream (RFC 1035, 4.2.2): of type A with an
// address, of another with nothing.
func serveName(c net.Conn, a [4]byte) {
	defer c.Close()
	var size [2]byte
	io.ReadFull(c, size[:])
	m := make([]byte, binary.BigEndian.Uint16(size[:]))
	if _, err := io.ReadFull(c, m); err != nil {
		return
	}
	end := 12 + strings.Index(string(m[12:]), "\x00") + 5
	isA := m[end-3] == 1
	m = m[:end]             // the header and the question
	m[2], m[3] = 0x85, 0x80 // an answer, of one who knows
	copy(m[6:], []byte{0, 0, 0, 0, 0, 0})
	if isA {
		m[7] = 1
		m = append(m, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4)
		m = append(m, a[:]...)
	}
	c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(m))), m...))
}

// A broadcast comes to the wildcard and is answered from the host's own address; what
// the server broadcasts itself is heard by others only.
func TestBroadcast(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the loopback network's broadcasts are Linux's")
	}
	broadcast := netip.MustParseAddr("127.255.255.255")
	for name, engine := range map[string]udpserver.Engine{"single": udpserver.EngineSingle, "trains": udpserver.EngineTrains} {
		t.Run(name, func(t *testing.T) {
			var to addr.Endpoint
			var asked atomic.Value
			s := &udpserver.Server{Engine: engine, Handler: func(_ context.Context, d *udpserver.Datagram) error {
				asked.Store(d.To)
				if err := d.SendTo(to, []byte("to all")); err != nil {
					t.Error(err)
				}
				return d.Reply(d.Data)
			}}
			pc := open(t, s, ":0")
			to = addr.Of(addr.UDP, broadcast, portOf(pc))
			stop := serveOn(t, s, pc)
			c := open(t, &udpserver.Server{}, ":0")
			write(t, c, to.AddrPort(), "who?")
			buf := make([]byte, 100)
			n, from, err := c.ReadFromUDPAddrPort(buf)
			if err != nil || string(buf[:n]) != "who?" || from.Addr().Unmap() != netip.MustParseAddr("127.0.0.1") {
				t.Errorf("%q from %v, %v", buf[:n], from, err)
			}
			stop()
			if st := ledger(t, s); st.Handled != 1 || st.Sent != 2 || st.Dropped.Self != 1 {
				t.Errorf("stats %+v", st)
			}
			if got := asked.Load(); got != to {
				t.Errorf("To is %v, want %v", got, to)
			}
		})
	}
}
