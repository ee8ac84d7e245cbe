package simnet

import (
	"context"
	"net"
	"net/netip"
	"syscall"
	"time"
)

const (
	synTimeout = time.Second            // RFC 6298 (2.1), before there is a round trip
	synTries   = 6                      // tcp_syn_retries of Linux: gives up after 127 s
	dataTries  = 15                     // tcp_retries2 of Linux: gives up after about 15 min
	minTimeout = 200 * time.Millisecond // TCP_RTO_MIN of Linux
	maxTimeout = 2 * time.Minute        // TCP_RTO_MAX of Linux
)

// dialTCP sends the SYN and waits for what comes back.
func (h *Host) dialTCP(ctx context.Context, network string, to netip.AddrPort) (net.Conn, error) {
	dst := h.n.hostOf(h, to.Addr())
	raddr := tcpAddr(to)
	if dst == nil {
		return nil, dialError(network, raddr, syscall.EHOSTUNREACH)
	}
	from, err := h.bind("tcp", network, netip.AddrPortFrom(h.source(to.Addr()), 0))
	if err != nil {
		return nil, dialError(network, raddr, err)
	}
	h.ports[from.Port()]++
	c := h.n.newConn(h, network, from, to)
	client, server := h.n.names(h, dst, true)
	c.out, c.in = h.n.path("tcp", client, server), h.n.path("tcp", server, client)
	stop := context.AfterFunc(ctx, func() {
		h.n.lock()
		defer h.n.unlock()
		c.writable.Broadcast()
	})
	defer stop()
	c.transmit(&segment{conn: c, flags: "SYN"})
	for !c.open && !c.dead && ctx.Err() == nil {
		c.writable.Wait()
	}
	if c.open {
		return c, nil
	}
	if !c.dead {
		c.fail(ctx.Err())
	}
	c.release()
	return nil, dialError(network, raddr, c.takeError())
}

// names are what the trace calls the two ends of a flow.
func (n *Network) names(from, to *Host, fromClient bool) (string, string) {
	if from != to {
		return from.name, to.name
	}
	client, server := "client", "server"
	if from != n.local {
		client, server = from.name+":client", from.name+":server"
	}
	if fromClient {
		return client, server
	}
	return server, client
}

// answer takes a SYN at its destination.
func (h *Host) answer(syn *segment, p *packet) (Fate, string) {
	client := syn.conn
	if client.peer != nil {
		return Delivered, "" // a duplicate
	}
	l := h.listenerAt(p.Destination)
	if l == nil {
		client.n.transmitReset(client.in, p.Destination, p.Source, client, "no listener")
		return Refused, "no listener"
	}
	if l.queue.len()+len(l.begun) >= h.n.opt.Backlog {
		syn.lost() // Linux says nothing and lets the client try again
		return Lost, "accept queue full"
	}
	syn.done = true
	s := h.n.newConn(h, l.network, p.Destination, p.Source)
	s.laddr = tcpAddr(seen(l.network, l.local.Addr(), p.Destination))
	s.raddr = tcpAddr(seen(l.network, l.local.Addr(), p.Source))
	s.peer, client.peer = client, s
	s.out, s.in = client.in, client.out
	s.listener = l
	s.received = 1
	h.ports[s.local.Port()]++
	l.begun[s] = struct{}{}
	s.transmit(&segment{conn: s, flags: "SYN ACK"})
	return Delivered, ""
}

// established is called at the client by the SYN ACK and at the server by the
// acknowledgement of it, or by data that comes in its place.
func (c *Conn) established() {
	if c.open || c.dead {
		return
	}
	c.open = true
	c.writable.Broadcast()
	if c.listener == nil {
		c.received = 1
		c.acknowledge()
		return
	}
	l := c.listener
	c.listener = nil
	if l.closed {
		return
	}
	delete(l.begun, c)
	l.queue.push(c)
	l.cond.Signal()
}
