package simnet

import (
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"
)

// PacketConn is a UDP socket in memory, connected (DialContext) or not
// (ListenPacket). It behaves as a *net.UDPConn on Linux does, and has its methods
// that read and write datagrams. Concurrent use is safe.
type PacketConn struct {
	n             *Network
	host          *Host
	network       string
	local, remote netip.AddrPort // remote is invalid unless connected
	laddr, raddr  *net.UDPAddr
	queue         fifo[datagram]
	broken        error // what the next Read or Write reports, once
	closed        bool
	readBy        deadline
	writeBy       deadline // only looked at: no write waits
	readable      *sync.Cond
	known         map[netip.AddrPort]*net.UDPAddr // senders, so that ReadFrom need not allocate
}

type datagram struct {
	data []byte
	from netip.AddrPort
}

func (h *Host) addPacketConn(network string, local, remote netip.AddrPort) *PacketConn {
	c := &PacketConn{n: h.n, host: h, network: network, local: local, remote: remote, laddr: udpAddr(local)}
	if remote.IsValid() {
		c.raddr = udpAddr(remote)
	}
	c.readable = h.n.cond()
	h.udp[local.Port()] = append(h.udp[local.Port()], c)
	return c
}

// dialUDP connects a new socket. That sends nothing, so it can't find out whether
// anybody is there.
func (h *Host) dialUDP(network string, to netip.AddrPort) (net.Conn, error) {
	from, err := h.bind("udp", network, netip.AddrPortFrom(h.source(to.Addr()), 0))
	if err != nil {
		return nil, opError("dial", network, nil, udpAddr(to), err)
	}
	return h.addPacketConn(network, from, to), nil
}

// receive waits for a datagram. What waits is hidden by an error that an earlier
// datagram caused and by a deadline that has passed, as on real sockets.
func (c *PacketConn) receive() (datagram, error) {
	c.n.lock()
	defer c.n.unlock()
	for {
		switch {
		case c.closed:
			return datagram{}, c.opError("read", net.ErrClosed, nil)
		case c.readBy.expired():
			return datagram{}, c.opError("read", errTimeout, nil)
		case c.broken != nil:
			return datagram{}, c.opError("read", c.takeError("read"), nil)
		case c.queue.len() > 0:
			return c.queue.pop(), nil
		}
		c.readable.Wait()
	}
}

// send makes a packet of b.
func (c *PacketConn) send(b []byte, to netip.AddrPort) (int, error) {
	c.n.lock()
	defer c.n.unlock()
	to = netip.AddrPortFrom(to.Addr().Unmap().WithZone(""), to.Port())
	call := "sendto"
	if c.remote.IsValid() {
		call = "write"
	}
	if err := c.sendError(call, to); err != nil {
		return 0, c.opError("write", err, udpAddr(to))
	}
	if to.Addr().IsUnspecified() {
		to = netip.AddrPortFrom(loopback(to.Addr().Is4()), to.Port())
	}
	from := c.local
	if from.Addr().IsUnspecified() {
		from = netip.AddrPortFrom(c.host.source(to.Addr()), from.Port())
	}
	dst := c.n.hostOf(c.host, to.Addr())
	p := &packet{path: c.path(dst, from, to), of: c}
	p.Packet = Packet{Network: "udp", From: p.path.from, To: p.path.to, Source: from, Destination: to, carried: -1}
	if len(b) > p.path.line.mtu(to.Addr())-p.headers() {
		return 0, c.opError("write", sysError(call, syscall.EMSGSIZE), udpAddr(to))
	}
	p.Data = append([]byte(nil), b...)
	c.n.transmit(p, "")
	return len(b), nil
}

// sendError is why nothing can be sent to an address; the order is the kernel's.
func (c *PacketConn) sendError(call string, to netip.AddrPort) error {
	switch {
	case c.closed:
		return net.ErrClosed
	case c.writeBy.expired():
		return errTimeout
	case c.broken != nil:
		return c.takeError(call)
	case !to.Addr().IsValid():
		return &net.AddrError{Err: "missing address"}
	case to.Port() == 0:
		return sysError(call, syscall.EINVAL)
	case c.local.Addr().Is4() != to.Addr().Is4() && !c.dual():
		return &net.AddrError{Err: "address of the other family", Addr: to.Addr().String()}
	case c.local.Addr().IsLoopback() && !to.Addr().IsLoopback() && !to.Addr().IsUnspecified():
		return sysError(call, syscall.EINVAL) // nobody could answer
	}
	return nil
}

// dual reports whether the socket is for IPv4 and IPv6.
func (c *PacketConn) dual() bool {
	return c.local.Addr() == netip.IPv6Unspecified() && c.network == "udp"
}

// path is the way to a socket of dst, a host or nil.
func (c *PacketConn) path(dst *Host, from, to netip.AddrPort) *path {
	if dst == nil {
		return c.n.path("udp", c.host.name, to.Addr().String())
	}
	client := c.remote.IsValid()
	if !client {
		other := dst.packetConnAt(to, from)
		client = (other == nil || !other.remote.IsValid()) && from.Port() > to.Port()
	}
	a, b := c.n.names(c.host, dst, client)
	return c.n.path("udp", a, b)
}

// arrive takes a datagram of c's at its destination.
func (c *PacketConn) arrive(p *packet) (Fate, string) {
	dst := c.n.hostOf(c.host, p.Destination.Addr())
	if dst == nil {
		return Lost, "no such host"
	}
	to := dst.packetConnAt(p.Destination, p.Source)
	switch {
	case to == nil:
		c.unreachable(p)
		return Refused, "no socket"
	case to.queue.len() >= c.n.opt.Datagrams:
		return Lost, "receive queue full"
	}
	to.queue.push(datagram{p.Data, seen(to.network, to.local.Addr(), p.Source)})
	to.readable.Signal()
	return Delivered, ""
}

// lost does nothing: that is UDP.
func (c *PacketConn) lost() {}

// unreachable brings the ICMP message about p back. Only a connected socket is
// told, and once.
func (c *PacketConn) unreachable(p *packet) {
	back := c.n.line(p.To, p.From)
	if c.remote != p.Destination || back.down {
		return
	}
	c.n.after(time.Now().Add(back.Latency), c.n.path("udp", p.To, p.From), func() {
		c.broken = syscall.ECONNREFUSED
		c.readable.Broadcast()
	})
}

// packetConnAt finds the socket for a datagram: a connected one goes before one
// bound to the address, and that before one bound to every address.
func (h *Host) packetConnAt(to, from netip.AddrPort) *PacketConn {
	var found *PacketConn
	best := 0
	for _, c := range h.udp[to.Port()] {
		rank := 1
		switch {
		case !covers(c.network, c.local.Addr(), to.Addr()) || c.remote.IsValid() && c.remote != from:
			continue
		case c.remote.IsValid():
			rank = 3
		case !c.local.Addr().IsUnspecified():
			rank = 2
		}
		if rank > best {
			found, best = c, rank
		}
	}
	return found
}

// Close frees the port and ends calls that wait, with net.ErrClosed. Datagrams on
// their way still arrive.
func (c *PacketConn) Close() error {
	c.n.lock()
	defer c.n.unlock()
	if c.closed {
		return c.opError("close", net.ErrClosed, nil)
	}
	c.closed = true
	c.queue = fifo[datagram]{}
	c.readBy.stop()
	c.writeBy.stop()
	remove(c.host.udp, c.local.Port(), c)
	c.readable.Broadcast()
	return nil
}

// takeError returns what an earlier datagram met; the socket tells it once.
func (c *PacketConn) takeError(call string) error {
	err := c.broken
	c.broken = nil
	if errno, ok := err.(syscall.Errno); ok {
		return sysError(call, errno)
	}
	return err
}

func (c *PacketConn) opError(op string, err error, to net.Addr) error {
	if to == nil && c.raddr != nil {
		to = c.raddr
	}
	return opError(op, c.network, c.laddr, to, err)
}
