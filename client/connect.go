package client

import (
	"net"
	"net/netip"

	"example.com/sockets/addr"
)

// Connect makes of pc, on which anybody's datagrams come in, a connection to one
// peer: for Dialer.DialContext where the socket has to be a net.PacketConn, such as
// one with faults or options of its own. Datagrams from elsewhere are dropped, by
// address and port; an IPv4-mapped address is the IPv4 address. Unlike a connected
// socket it can't learn that the peer's port is unreachable.
//
// From now on pc belongs to the connection, whose Close closes it.
func Connect(pc net.PacketConn, to addr.Endpoint) net.Conn {
	c := &connected{PacketConn: pc, to: to, addr: net.UDPAddrFromAddrPort(to.AddrPort())}
	c.fast, _ = pc.(addrPortConn)
	return c
}

// connected is a net.PacketConn that talks to one peer.
type connected struct {
	net.PacketConn
	to   addr.Endpoint
	addr *net.UDPAddr
	fast addrPortConn // nil: the PacketConn allocates an address per datagram
}

// addrPortConn is what *net.UDPConn and its like have.
type addrPortConn interface {
	ReadFromUDPAddrPort(b []byte) (int, netip.AddrPort, error)
}

// Read returns the next datagram of the peer.
func (c *connected) Read(b []byte) (int, error) {
	for {
		n, from, err := c.readFrom(b)
		if err != nil || from == c.to {
			return n, err
		}
	}
}

func (c *connected) readFrom(b []byte) (int, addr.Endpoint, error) {
	if c.fast != nil {
		n, from, err := c.fast.ReadFromUDPAddrPort(b)
		return n, addr.FromAddrPort(addr.UDP, from), err
	}
	n, from, err := c.ReadFrom(b)
	e, _ := addr.From(from)
	return n, e, err
}

// Write sends one datagram to the peer.
func (c *connected) Write(b []byte) (int, error) { return c.WriteTo(b, c.addr) }

// RemoteAddr is the peer's address.
func (c *connected) RemoteAddr() net.Addr { return c.addr }

var _ net.Conn = (*connected)(nil)
