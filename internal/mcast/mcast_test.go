package mcast_test

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/sockets/internal/mcast"
)

// A site's own group, and none that anybody else uses (RFC 2365, RFC 7346).
var (
	groups4 = [2]netip.Addr{netip.MustParseAddr("239.255.77.1"), netip.MustParseAddr("239.255.77.2")}
	groups6 = [2]netip.Addr{netip.MustParseAddr("ff05::77:1"), netip.MustParseAddr("ff05::77:2")}
	ofLink  = netip.MustParseAddr("ff02::77:1")
)

// loopback is the interface on which nothing leaves this host.
func loopback(t *testing.T) net.Interface {
	t.Helper()
	return first(t, net.FlagLoopback|net.FlagUp, 0)
}

// first is the first interface that has the flags wanted, and not the others.
func first(t *testing.T, want, not net.Flags) net.Interface {
	t.Helper()
	all, err := net.Interfaces()
	if err != nil {
		t.Skip(err)
	}
	i := slices.IndexFunc(all, func(i net.Interface) bool { return i.Flags&(want|not) == want })
	if i < 0 {
		t.Skipf("no interface is %v", want)
	}
	return all[i]
}

// within makes o that of a socket of which nothing leaves this host, on an
// interface that loops what it sends. Linux has no way to an IPv6 group over the
// loopback interface.
func within(t *testing.T, o mcast.Options, group netip.Addr) mcast.Options {
	t.Helper()
	i := loopback(t)
	if group.Is6() || o.NoLoopback {
		i = first(t, net.FlagUp|net.FlagMulticast, net.FlagLoopback)
	}
	addresses, _ := i.Addrs()
	if !slices.ContainsFunc(addresses, func(a net.Addr) bool { return (a.(*net.IPNet).IP.To4() != nil) == group.Is4() }) {
		t.Skipf("no address of %s is of the family", i.Name)
	}
	o.Interfaces, o.TTL = []string{i.Name}, -1
	return o
}

// listen returns a member of the group.
func listen(t *testing.T, o mcast.Options, group netip.AddrPort) *net.UDPConn {
	t.Helper()
	if o.Interfaces == nil {
		o = within(t, o, group.Addr())
	}
	c, err := o.Listen(t.Context(), group)
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func portOf(c net.PacketConn) uint16 { return uint16(c.LocalAddr().(*net.UDPAddr).Port) }

func write(t *testing.T, from *net.UDPConn, to netip.AddrPort, message string) {
	t.Helper()
	if _, err := from.WriteToUDPAddrPort([]byte(message), to); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, c *net.UDPConn) (string, netip.AddrPort) {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(10 * time.Second))
	buf := make([]byte, 1500)
	n, from, err := c.ReadFromUDPAddrPort(buf)
	if err != nil {
		t.Fatal(err)
	}
	return string(buf[:n]), netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
}

// Two members at one port hear what is sent to the group, the sender too, and
// neither what is sent to another group at that port nor what is sent to the host.
func TestMembers(t *testing.T) {
	for _, groups := range [][2]netip.Addr{groups4, groups6} {
		t.Run(groups[0].String(), func(t *testing.T) {
			a := listen(t, mcast.Options{}, netip.AddrPortFrom(groups[0], 0))
			port := portOf(a)
			to, elsewhere := netip.AddrPortFrom(groups[0], port), netip.AddrPortFrom(groups[1], port)
			b := listen(t, mcast.Options{}, to)
			if got := a.LocalAddr().(*net.UDPAddr).AddrPort(); got != to && got.Addr().IsMulticast() {
				t.Errorf("bound to %v, want %v", got, to)
			}
			other := listen(t, mcast.Options{}, elsewhere)
			bound := a.LocalAddr().(*net.UDPAddr).IP.IsMulticast()
			if bound { // where the system binds to a group
				write(t, other, elsewhere, "not for you")
				host := netip.MustParseAddr("127.0.0.1")
				if to.Addr().Is6() {
					host = netip.IPv6Loopback()
				}
				b.WriteToUDPAddrPort([]byte("unicast"), netip.AddrPortFrom(host, port))
			}
			write(t, a, to, "hello")
			for _, c := range []*net.UDPConn{a, b} {
				got, from := read(t, c)
				if got != "hello" || from.Port() != port || !isHosts(from.Addr()) {
					t.Errorf("got %q from %v", got, from)
				}
			}
		})
	}
}

// isHosts reports whether a datagram from a can be answered.
func isHosts(a netip.Addr) bool {
	if a.IsUnspecified() {
		return false
	}
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(a, 0)))
	if err != nil {
		return false
	}
	c.Close()
	return true
}

// A group of a link is bound to its interface.
func TestGroupOfALink(t *testing.T) {
	o := within(t, mcast.Options{}, ofLink)
	group := netip.AddrPortFrom(ofLink.WithZone(o.Interfaces[0]), 0)
	c := listen(t, o, group)
	local := c.LocalAddr().(*net.UDPAddr).AddrPort()
	if local.Addr() != group.Addr() && local.Addr().IsMulticast() {
		t.Errorf("bound to %v", local)
	}
	write(t, c, netip.AddrPortFrom(group.Addr(), local.Port()), "hello")
	if got, _ := read(t, c); got != "hello" {
		t.Errorf("got %q", got)
	}
}

// Without names all interfaces are joined on, and at least one there is.
func TestEveryInterface(t *testing.T) {
	families(t, func(t *testing.T, group netip.Addr) {
		within(t, mcast.Options{}, group) // or skip
		c := listen(t, mcast.Options{Interfaces: []string{}, TTL: -1}, netip.AddrPortFrom(group, 0))
		to := netip.AddrPortFrom(group, portOf(c))
		write(t, listen(t, mcast.Options{}, to), to, "hello")
		if got, _ := read(t, c); got != "hello" {
			t.Errorf("got %q", got)
		}
		write(t, c, to, "myself")
		if got, _ := read(t, c); got != "myself" {
			t.Errorf("got %q", got)
		}
	})
}

func families(t *testing.T, run func(t *testing.T, group netip.Addr)) {
	for _, group := range []netip.Addr{groups4[0], groups6[0]} {
		t.Run(group.String(), func(t *testing.T) { run(t, group) })
	}
}

// Who has joined on one interface does not hear the group on another, whoever else
// on the host has joined there.
func TestOneInterface(t *testing.T) {
	a := listen(t, mcast.Options{}, netip.AddrPortFrom(groups4[0], 0)) // loopback
	to := netip.AddrPortFrom(groups4[0], portOf(a))
	o := within(t, mcast.Options{NoLoopback: true}, groups4[0])
	o.NoLoopback = false
	b := listen(t, o, to)
	write(t, b, to, "elsewhere")
	if got, _ := read(t, b); got != "elsewhere" {
		t.Errorf("got %q", got)
	}
	write(t, a, to, "here")
	if got, _ := read(t, a); got != "here" {
		t.Errorf("got %q", got)
	}
}

// A socket that is bound to every address does not hear a group because another
// one on this host has joined it.
func TestNoMember(t *testing.T) {
	families(t, func(t *testing.T, group netip.Addr) {
		member := listen(t, mcast.Options{}, netip.AddrPortFrom(group, 0))
		network, host := "udp4", netip.MustParseAddr("127.0.0.1")
		if group.Is6() {
			network, host = "udp6", netip.IPv6Loopback()
		}
		c, err := net.ListenUDP(network, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if err := (mcast.Options{}).Apply(c); err != nil {
			t.Fatal(err)
		}
		write(t, member, netip.AddrPortFrom(group, portOf(c)), "the group")
		write(t, c, netip.AddrPortFrom(host, portOf(c)), "unicast")
		if got, _ := read(t, c); got != "unicast" {
			t.Errorf("got %q", got)
		}
	})
}

// NoLoopback keeps from this host what is sent; what others send is still heard.
func TestNoLoopback(t *testing.T) {
	families(t, func(t *testing.T, group netip.Addr) {
		a := listen(t, mcast.Options{NoLoopback: true}, netip.AddrPortFrom(group, 0))
		to := netip.AddrPortFrom(group, portOf(a))
		o := within(t, mcast.Options{NoLoopback: true}, group)
		o.NoLoopback = false
		b := listen(t, o, to)
		if loops(a, group) || !loops(b, group) {
			t.Errorf("Loops: %v and %v", loops(a, group), loops(b, group))
		}
		write(t, a, to, "one")
		write(t, b, to, "two")
		if got, _ := read(t, b); got != "two" {
			t.Errorf("got %q", got)
		}
	})
	o := mcast.Options{NoLoopback: true, Interfaces: []string{loopback(t).Name}}
	if a := listen(t, o, netip.AddrPortFrom(groups4[0], 0)); !loops(a, groups4[0]) {
		t.Error("the loopback interface does not loop")
	}
}

func loops(c *net.UDPConn, group netip.Addr) bool {
	v4, v6 := mcast.Loops(c)
	return group.Is4() && v4 || group.Is6() && v6
}

// A socket that is no member sends from the interface that is named, to both
// families where it has both, and can be answered.
func TestApply(t *testing.T) {
	families(t, func(t *testing.T, group netip.Addr) {
		member := listen(t, mcast.Options{}, netip.AddrPortFrom(group, 0))
		for _, local := range []net.IP{nil, net.IPv4(127, 0, 0, 1)} {
			if local != nil && group.Is6() {
				continue
			}
			c, err := net.ListenUDP("udp", &net.UDPAddr{IP: local})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if err := within(t, mcast.Options{}, group).Apply(c); err != nil {
				t.Fatal(err)
			}
			write(t, c, netip.AddrPortFrom(group, portOf(member)), "hello")
			got, from := read(t, member)
			if got != "hello" || from.Port() != portOf(c) || !isHosts(from.Addr()) {
				t.Errorf("got %q from %v", got, from)
			}
			write(t, member, from, "answer")
			if got, from := read(t, c); got != "answer" || from.Addr().IsMulticast() || from.Port() != portOf(member) {
				t.Errorf("got %q from %v", got, from)
			}
		}
	})
}

func TestShared(t *testing.T) {
	if !mcast.Shared(listen(t, mcast.Options{}, netip.AddrPortFrom(groups4[0], 0))) {
		t.Error("a member does not share its port")
	}
	c, err := net.ListenUDP("udp", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if mcast.Shared(c) {
		t.Error("an ordinary socket shares its port")
	}
	c.Close()
	if err := (mcast.Options{TTL: 2}).Apply(c); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a closed socket: %v", err)
	}
}

func TestErrors(t *testing.T) {
	lo := loopback(t).Name
	all, err := net.Interfaces()
	if err != nil {
		t.Skip(err)
	}
	down, second := "", ""
	for _, i := range all {
		switch {
		case i.Flags&net.FlagUp == 0:
			down = i.Name
		case i.Name != lo && i.Flags&net.FlagMulticast != 0:
			second = i.Name
		}
	}
	for _, tt := range []struct {
		name  string
		o     mcast.Options
		group netip.Addr
		want  string
		needs string
	}{
		{"no such interface", mcast.Options{Interfaces: []string{lo, "absent0"}}, groups4[0], `there is no interface "absent0", but `, "x"},
		{"no such zone", mcast.Options{}, ofLink.WithZone("absent0"), `there is no interface "absent0"`, "x"},
		{"no such number", mcast.Options{Interfaces: []string{"-1"}}, groups4[0], `there is no interface "-1"`, "x"},
		{"no name", mcast.Options{Interfaces: []string{""}}, groups4[0], `there is no interface ""`, "x"},
		{"down", mcast.Options{Interfaces: []string{down}}, groups4[0], fmt.Sprintf("interface %q is down", down), down},
		{"zone and another", mcast.Options{Interfaces: []string{second}}, ofLink.WithZone(lo), "name one interface", second},
		{"several links", mcast.Options{Interfaces: []string{lo, second}}, ofLink, "another one on each link", second},
		{"TTL", mcast.Options{Interfaces: []string{lo}, TTL: 256}, groups4[0], "a TTL of 256", "x"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.needs == "" {
				t.Skip("no such interface here")
			}
			c, err := tt.o.Listen(t.Context(), netip.AddrPortFrom(tt.group, 0))
			if errors.Is(err, errors.ErrUnsupported) {
				t.Skip(err)
			}
			if err == nil {
				c.Close()
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
	// The same interface twice, in whatever words, is one.
	c, err := mcast.Options{Interfaces: []string{lo, lo, fmt.Sprint(loopback(t).Index)}}.Listen(t.Context(), netip.AddrPortFrom(groups4[0], 0))
	if err != nil && !errors.Is(err, errors.ErrUnsupported) {
		t.Error(err)
	}
	if err == nil {
		c.Close()
	}
}

// A deadline ends a read: the socket is one that the runtime waits for.
func TestDeadline(t *testing.T) {
	c := listen(t, mcast.Options{}, netip.AddrPortFrom(groups4[0], 0))
	c.SetReadDeadline(time.Now().Add(time.Millisecond))
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error(err)
	}
}
