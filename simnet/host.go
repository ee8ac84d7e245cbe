package simnet

import (
	"context"
	"net"
	"net/netip"
	"strconv"
	"syscall"
)

// Host is one machine of a Network: addresses, ports and the sockets on them.
// [Network.Host] makes one. Every host has 127.0.0.0/8 and ::1 to itself.
type Host struct {
	n     *Network
	name  string
	addrs []netip.Addr
	udp   map[uint16][]*PacketConn
	tcp   map[uint16][]*listener
	ports map[uint16]int // TCP connections per local port
	next  uint16         // where the search for a free port goes on
}

func newHost(n *Network, name string) *Host {
	return &Host{n: n, name: name, udp: map[uint16][]*PacketConn{}, tcp: map[uint16][]*listener{}, ports: map[uint16]int{}}
}

// Name is what scripts, links and the trace call the host.
func (h *Host) Name() string { return h.name }

// Addr is the host's first address, by which others reach it.
func (h *Host) Addr() netip.Addr {
	h.n.lock()
	defer h.n.unlock()
	return h.addrs[0]
}

// Listen is net.ListenConfig.Listen on this host, for "tcp", "tcp4" and "tcp6".
// The host in address may be empty (every address), a literal or a host's name;
// the port is a number, and 0 takes a free one from 49152 up (RFC 6335). Errors are *net.OpError and
// match syscall.EADDRINUSE or syscall.EADDRNOTAVAIL as the real ones do. ctx is
// not looked at: nothing here waits.
//
// The listener has SetDeadline, and Close resets the connections that wait in
// its queue. Its connections are *Conn.
func (h *Host) Listen(_ context.Context, network, address string) (net.Listener, error) {
	h.n.lock()
	defer h.n.unlock()
	at, err := h.resolve(network, "tcp", address, true)
	if err == nil {
		at, err = h.bind("tcp", network, at)
	}
	if err != nil {
		return nil, listenError(network, at, err)
	}
	l := newListener(h, network, at)
	h.tcp[at.Port()] = append(h.tcp[at.Port()], l)
	return l, nil
}

// ListenPacket is net.ListenConfig.ListenPacket on this host, for "udp", "udp4"
// and "udp6"; addresses and errors are those of Listen. The result is a
// *PacketConn.
func (h *Host) ListenPacket(_ context.Context, network, address string) (net.PacketConn, error) {
	h.n.lock()
	defer h.n.unlock()
	at, err := h.resolve(network, "udp", address, true)
	if err == nil {
		at, err = h.bind("udp", network, at)
	}
	if err != nil {
		return nil, listenError(network, at, err)
	}
	return h.addPacketConn(network, at, netip.AddrPort{}), nil
}

// DialContext is net.Dialer.DialContext on this host, for TCP and UDP, so it can
// stand wherever code lets its dial function be given. The result is a *Conn or
// a connected *PacketConn. Errors are *net.OpError: nobody listens:
// syscall.ECONNREFUSED; no host has the address: syscall.EHOSTUNREACH; no answer
// in about two minutes: syscall.ETIMEDOUT; ctx ended: its error.
func (h *Host) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	h.n.lock()
	defer h.n.unlock()
	transport := "tcp"
	if len(network) >= 3 && network[:3] == "udp" {
		transport = "udp"
	}
	to, err := h.resolve(network, transport, address, false)
	if err == nil && ctx.Err() != nil {
		err = ctx.Err()
	}
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: err}
	}
	if transport == "udp" {
		return h.dialUDP(network, to)
	}
	return h.dialTCP(ctx, network, to)
}

// resolve turns an address into a literal one, without DNS: names are those of
// the network's hosts.
func (h *Host) resolve(network, transport, address string, listen bool) (netip.AddrPort, error) {
	if network != transport && network != transport+"4" && network != transport+"6" {
		return netip.AddrPort{}, net.UnknownNetworkError(network)
	}
	name, service, err := net.SplitHostPort(address)
	if err != nil {
		return netip.AddrPort{}, err
	}
	port, err := parsePort(network, service)
	if err != nil {
		return netip.AddrPort{}, err
	}
	family := network[len(transport):]
	addr, err := h.lookup(family, name, listen)
	if err != nil {
		return netip.AddrPort{}, err
	}
	if family == "4" && !addr.Is4() || family == "6" && !addr.Is6() {
		return netip.AddrPort{}, &net.AddrError{Err: "no suitable address found", Addr: name}
	}
	return netip.AddrPortFrom(addr, port), nil
}

// parsePort takes numbers only: names are in a file, and what reads it can't be
// used from several synctest bubbles.
func parsePort(network, service string) (uint16, error) {
	port, err := strconv.ParseUint(service, 10, 16)
	if err != nil {
		return 0, &net.DNSError{Err: "unknown port", Name: network + "/" + service, IsNotFound: true}
	}
	return uint16(port), nil
}

// lookup finds the address that a name stands for.
func (h *Host) lookup(family, name string, listen bool) (netip.Addr, error) {
	addr, err := netip.ParseAddr(name)
	switch {
	case err == nil && (listen || !addr.IsUnspecified()):
		return addr.Unmap().WithZone(""), nil
	case err == nil, name == "" && !listen, name == "localhost":
		return loopback(family != "6"), nil // to dial "any address" is to dial this host, as on Linux
	case name == "" && family == "4":
		return netip.IPv4Unspecified(), nil
	case name == "":
		return netip.IPv6Unspecified(), nil
	}
	if other := h.n.hostNamed(name); other != nil {
		for _, a := range other.addrs {
			if family == "" || a.Is4() == (family == "4") {
				return a, nil
			}
		}
	}
	return netip.Addr{}, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
}

// owns reports whether others reach h by an address.
func (h *Host) owns(a netip.Addr) bool {
	for _, own := range h.addrs {
		if own == a {
			return true
		}
	}
	return false
}

// source is the address that packets to dst carry when the socket names none.
func (h *Host) source(dst netip.Addr) netip.Addr {
	if !dst.IsLoopback() {
		for _, a := range h.addrs {
			if a.Is4() == dst.Is4() {
				return a
			}
		}
	}
	return loopback(dst.Is4())
}

func loopback(is4 bool) netip.Addr {
	if is4 {
		return netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	return netip.IPv6Loopback()
}

// bind checks that the address is this host's and free, and fills in port 0.
func (h *Host) bind(transport, network string, at netip.AddrPort) (netip.AddrPort, error) {
	a := at.Addr()
	if !a.IsUnspecified() && !a.IsLoopback() && !h.owns(a) {
		return at, sysError("bind", syscall.EADDRNOTAVAIL)
	}
	if at.Port() != 0 {
		if h.taken(transport, network, at) {
			return at, sysError("bind", syscall.EADDRINUSE)
		}
		return at, nil
	}
	for range 1 << 14 {
		at = netip.AddrPortFrom(a, 49152+h.next%(1<<14))
		h.next++
		if !h.taken(transport, network, at) && h.ports[at.Port()] == 0 {
			return at, nil
		}
	}
	return at, sysError("bind", syscall.EADDRINUSE)
}

// taken reports whether a socket has the address. TCP connections don't count: a
// server may listen again while those of its former self live, as Go's net package
// arranges with SO_REUSEADDR.
func (h *Host) taken(transport, network string, at netip.AddrPort) bool {
	if transport == "udp" {
		for _, c := range h.udp[at.Port()] {
			if overlap(network, at.Addr(), c.network, c.local.Addr()) {
				return true
			}
		}
		return false
	}
	for _, l := range h.tcp[at.Port()] {
		if overlap(network, at.Addr(), l.network, l.local.Addr()) {
			return true
		}
	}
	return false
}

// overlap reports whether two bound addresses share one.
func overlap(network1 string, a netip.Addr, network2 string, b netip.Addr) bool {
	return covers(network1, a, b) || covers(network2, b, a)
}

// covers reports whether a socket bound to a takes what is sent to dst. A socket
// on [::] takes IPv4 too, unless its network says 6.
func covers(network string, a, dst netip.Addr) bool {
	if a == dst {
		return true
	}
	return a.IsUnspecified() && (a.Is4() == dst.Is4() || a.Is6() && network[len(network)-1] != '6')
}
