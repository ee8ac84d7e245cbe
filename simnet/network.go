package simnet

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"time"
)

// Network is a network in memory. Everything in it is a packet that goes
// through one function, transmit: the packet gets its ordinal, the script says
// what becomes of it, the link says when it arrives, the trace writes it down,
// and the clock delivers it. Sockets only make packets and take them.
//
// A Network has no goroutine of its own and at most one timer, which runs only
// while something is on its way. It needs no Close. Its methods and those of its
// sockets are safe for concurrent use.
//
// Inside a testing/synctest bubble make the Network in the bubble: then all its
// time is virtual. Elsewhere it runs in real time.
type Network struct {
	clock
	opt   Options
	hosts []*Host
	paths map[pathKey]*path
	lines map[lineKey]*line
	rows  recorder
	local *Host
}

// Options configure a Network. The zero value is a perfect network: nothing is
// lost and nothing takes time. In limits zero is the stated default and a
// negative value is no limit.
type Options struct {
	// Script says which packets the network harms.
	Script Script
	// Link is what every link is like that SetLink does not name.
	Link Link
	// Seed decides jitter and which bit Corrupt flips.
	Seed uint64
	// Backlog is how many connections wait for Accept on a listener; 0: 4,096,
	// Linux's somaxconn. A SYN beyond is ignored, and the client tries again.
	Backlog int
	// ReadBuffer is how many bytes of a stream wait unread at its receiver;
	// 0: 256 KiB, at least 2. It is the window that the sender sees.
	ReadBuffer int
	// WriteBuffer is how many bytes a stream's sender has written and its peer
	// not yet taken, before Write blocks; 0: 256 KiB, at least 1.
	WriteBuffer int
	// Datagrams is how many datagrams wait on a socket before further ones are
	// lost in silence; 0: 256.
	Datagrams int
	// Trace is how many packets the trace takes; 0: 10,000 with at most 16 MiB
	// of payload, negative: the trace is off. A full trace says what is missing.
	Trace int
	// Label names a packet in trace and diagram; nil or an empty result: its
	// text if that is short and printable, otherwise its size. It is called with
	// the network locked, so it must not use the network.
	Label func(Packet) string
}

// New returns a network with one host, localhost, which Listen, ListenPacket and
// DialContext use. Host adds others.
func New(o Options) *Network {
	o.Backlog = limit(o.Backlog, 4096)
	o.Datagrams = limit(o.Datagrams, 256)
	o.ReadBuffer = max(2, limit(o.ReadBuffer, 256<<10))
	o.WriteBuffer = max(1, limit(o.WriteBuffer, 256<<10))
	if o.Trace == 0 {
		o.Trace = 10_000
	}
	n := &Network{opt: o, paths: map[pathKey]*path{}, lines: map[lineKey]*line{}}
	n.clock.arrive = n.arrive
	n.rows = recorder{start: time.Now(), most: o.Trace, label: o.Label}
	n.local = newHost(n, "localhost")
	n.local.addrs = automatic(1<<16 - 2) // how other hosts reach it
	n.hosts = append(n.hosts, n.local)
	return n
}

// limit reads a configured limit: zero is the default, negative none.
func limit(v, byDefault int) int {
	switch {
	case v == 0:
		return byDefault
	case v < 0:
		return 1 << 30
	}
	return v
}

// Listen is [Host.Listen] on localhost.
func (n *Network) Listen(ctx context.Context, network, address string) (net.Listener, error) {
	return n.local.Listen(ctx, network, address)
}

// ListenPacket is [Host.ListenPacket] on localhost.
func (n *Network) ListenPacket(ctx context.Context, network, address string) (net.PacketConn, error) {
	return n.local.ListenPacket(ctx, network, address)
}

// DialContext is [Host.DialContext] on localhost.
func (n *Network) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	return n.local.DialContext(ctx, network, address)
}

// Host returns the host with that name, and makes it if there is none. Its
// addresses are those given, or 10.0.0.k and fd00::k for the k-th host. Addresses
// given for a host that exists are added to it.
//
// The name is what scripts, links and the trace call the host, and it resolves
// to its addresses in Listen, ListenPacket and DialContext.
func (n *Network) Host(name string, addrs ...netip.Addr) *Host {
	n.lock()
	defer n.unlock()
	h := n.hostNamed(name)
	if h == nil {
		h = newHost(n, name)
		n.hosts = append(n.hosts, h)
		if len(addrs) == 0 {
			addrs = automatic(len(n.hosts) - 1)
		}
	}
	for _, a := range addrs {
		h.addrs = append(h.addrs, a.Unmap())
	}
	return h
}

// automatic returns the addresses of the k-th host.
func automatic(k int) []netip.Addr {
	four := [4]byte{10, 0, byte(k >> 8), byte(k)}
	six := [16]byte{0: 0xfd, 14: byte(k >> 8), 15: byte(k)}
	return []netip.Addr{netip.AddrFrom4(four), netip.AddrFrom16(six)}
}

func (n *Network) hostNamed(name string) *Host {
	for _, h := range n.hosts {
		if strings.EqualFold(h.name, name) {
			return h
		}
	}
	return nil
}

// hostOf returns the host that a packet to addr reaches from h, nil if none has
// the address. Loopback is always the sender itself.
func (n *Network) hostOf(h *Host, addr netip.Addr) *Host {
	if addr.IsLoopback() {
		return h
	}
	for _, other := range n.hosts {
		if other.owns(addr) {
			return other
		}
	}
	return nil
}
