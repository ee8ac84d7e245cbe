package simnet

import (
	"net"
	"net/netip"
	"syscall"
	"time"
)

// Read is ReadFrom without the sender.
func (c *PacketConn) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil // as the net package does; ReadFrom takes a datagram even so
	}
	d, err := c.receive()
	return copy(b, d.data), err
}

// ReadFrom returns the next datagram and its sender, a *net.UDPAddr that later
// calls may return again. What b has no room for is cut off in silence, as on
// Linux. An empty datagram is n = 0 without an error.
func (c *PacketConn) ReadFrom(b []byte) (int, net.Addr, error) {
	n, from, err := c.ReadFromUDP(b)
	if err != nil {
		return 0, nil, err
	}
	return n, from, nil
}

// ReadFromUDP is ReadFrom with the type of the address.
func (c *PacketConn) ReadFromUDP(b []byte) (int, *net.UDPAddr, error) {
	d, err := c.receive()
	if err != nil {
		return 0, nil, err
	}
	return copy(b, d.data), c.sender(d.from), nil
}

// ReadFromUDPAddrPort is ReadFrom with the sender as a value. A socket for both
// families shows an IPv4 sender mapped into IPv6, as the real one does.
func (c *PacketConn) ReadFromUDPAddrPort(b []byte) (int, netip.AddrPort, error) {
	d, err := c.receive()
	return copy(b, d.data), d.from, err
}

// ReadMsgUDPAddrPort is ReadFromUDPAddrPort that tells of a truncation by MSG_TRUNC
// in flags. There are no control messages: oobn is 0.
func (c *PacketConn) ReadMsgUDPAddrPort(b, _ []byte) (n, oobn, flags int, addr netip.AddrPort, err error) {
	d, err := c.receive()
	if len(d.data) > len(b) {
		flags = msgTrunc
	}
	return copy(b, d.data), 0, flags, d.from, err
}

// ReadMsgUDP is ReadMsgUDPAddrPort with the sender as a *net.UDPAddr.
func (c *PacketConn) ReadMsgUDP(b, oob []byte) (n, oobn, flags int, addr *net.UDPAddr, err error) {
	n, oobn, flags, from, err := c.ReadMsgUDPAddrPort(b, oob)
	if err != nil {
		return n, oobn, flags, nil, err
	}
	return n, oobn, flags, c.sender(from), nil
}

// sender returns the address to show for a sender, the same one every time; the
// table starts anew before it grows large.
func (c *PacketConn) sender(from netip.AddrPort) *net.UDPAddr {
	c.n.lock()
	defer c.n.unlock()
	if a := c.known[from]; a != nil {
		return a
	}
	if c.known == nil || len(c.known) >= 1024 {
		c.known = map[netip.AddrPort]*net.UDPAddr{}
	}
	a := udpAddr(from)
	c.known[from] = a
	return a
}

// Write sends one datagram to the connected peer, an empty one for an empty b. If
// an earlier datagram found no socket there, Write returns ECONNREFUSED once and
// sends nothing. It never blocks: what the network or the receiver has no room
// for is lost. Longer than the link's MTU allows: EMSGSIZE.
func (c *PacketConn) Write(b []byte) (int, error) {
	if !c.remote.IsValid() {
		return 0, c.opError("write", sysError("write", syscall.EDESTADDRREQ), nil)
	}
	return c.send(b, c.remote)
}

// WriteTo sends one datagram to a *net.UDPAddr, as Write does. On a connected
// socket it matches net.ErrWriteToConnected.
func (c *PacketConn) WriteTo(b []byte, to net.Addr) (int, error) {
	a, ok := to.(*net.UDPAddr)
	if !ok {
		return 0, c.opError("write", syscall.EINVAL, to)
	}
	return c.WriteToUDPAddrPort(b, a.AddrPort())
}

// WriteToUDP is WriteTo.
func (c *PacketConn) WriteToUDP(b []byte, to *net.UDPAddr) (int, error) {
	return c.WriteToUDPAddrPort(b, to.AddrPort())
}

// WriteToUDPAddrPort is WriteTo with the address as a value.
func (c *PacketConn) WriteToUDPAddrPort(b []byte, to netip.AddrPort) (int, error) {
	if c.remote.IsValid() {
		return 0, c.opError("write", net.ErrWriteToConnected, udpAddr(to))
	}
	return c.send(b, to)
}

// WriteMsgUDPAddrPort is WriteToUDPAddrPort, or Write if to is not valid. Control
// messages are taken and mean nothing.
func (c *PacketConn) WriteMsgUDPAddrPort(b, oob []byte, to netip.AddrPort) (n, oobn int, err error) {
	if c.remote.IsValid() && !to.IsValid() {
		n, err = c.Write(b)
	} else {
		n, err = c.WriteToUDPAddrPort(b, to)
	}
	return n, len(oob), err
}

// LocalAddr is the socket's address, a *net.UDPAddr.
func (c *PacketConn) LocalAddr() net.Addr { return c.laddr }

// RemoteAddr is the peer that the socket is connected to, a *net.UDPAddr, or nil.
func (c *PacketConn) RemoteAddr() net.Addr {
	if c.raddr == nil {
		return nil
	}
	return c.raddr
}

// SetDeadline is SetReadDeadline and SetWriteDeadline.
func (c *PacketConn) SetDeadline(t time.Time) error {
	return c.setDeadlines(t, true, true)
}

// SetReadDeadline bounds reading, also a call that already waits; zero: no bound.
func (c *PacketConn) SetReadDeadline(t time.Time) error {
	return c.setDeadlines(t, true, false)
}

// SetWriteDeadline makes writes fail from then on, although none waits; zero: never.
func (c *PacketConn) SetWriteDeadline(t time.Time) error {
	return c.setDeadlines(t, false, true)
}

func (c *PacketConn) setDeadlines(t time.Time, read, write bool) error {
	c.n.lock()
	defer c.n.unlock()
	if c.closed {
		return opError("set", c.network, nil, c.laddr, net.ErrClosed)
	}
	if read {
		c.readBy.set(t, c.readable)
	}
	if write {
		c.writeBy.at = t
	}
	return nil
}
