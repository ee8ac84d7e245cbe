package simnet

import (
	"net/netip"
	"slices"
	"time"
)

// Packet is a datagram or a TCP segment as scripts, labels and the trace see it.
//
// Pure acknowledgements are no packets: they are never harmed, have no ordinal
// and no row in the trace. WritePCAP adds them.
type Packet struct {
	// Network is "tcp" or "udp".
	Network string
	// From and To name the hosts. Where both are the same host they are "client"
	// (the socket that dialled) and "server" on localhost, "name:client" and
	// "name:server" on others; of two sockets that did not dial the one with the
	// lower port is the server.
	From, To string
	// Source and Destination are the addresses in the packet.
	Source, Destination netip.AddrPort
	// N is the ordinal, from 1, among the packets of this network from From to To,
	// SYN, FIN and retransmissions included. It is 0 for a RST, which no script
	// can touch.
	N int
	// Flags are "SYN", "SYN ACK", "FIN" and "RST"; empty for TCP data and for UDP.
	Flags string
	// Retry counts the earlier transmissions of the same segment. The retries of
	// UDP are the program's own: they are recognised by their payload, in the trace
	// only, and scripts see 0.
	Retry int
	// Data is the payload. It must be neither changed nor kept.
	Data []byte

	seq     uint64 // TCP: place in the stream, the SYN has 0
	carried int    // TCP: bytes of the flow before this one, -1 on a retry
}

// flow is the flow and direction that the packet belongs to.
func (p *Packet) flow() pathKey { return pathKey{p.Network, p.From, p.To} }

// headers is how much the IP packet is longer than the payload.
func (p *Packet) headers() int {
	h := 20 + 20
	if p.Source.Addr().Is6() {
		h += 20
	}
	if p.Network == "udp" {
		h -= 20 - 8
	}
	return h
}

// packet is a Packet on its way.
type packet struct {
	Packet
	verdict
	path *path
	of   sender
	row  int // in the trace, -1: in none
}

// sender is what a packet comes from: a *segment, a *PacketConn or a *reset.
type sender interface {
	arrive(p *packet) (Fate, string) // takes the packet at its destination
	lost()                           // repairs the loss of it, if anything does
}

// transmit is the network: what is sent goes through here, and nowhere else. An
// origin is the cause of a packet that no program sent.
func (n *Network) transmit(p *packet, origin string) {
	v := &p.verdict
	*v = verdict{cause: origin, cut: -1, reset: -1}
	if p.Flags != "RST" {
		p.path.sent++
		p.N = p.path.sent
		n.opt.Script.judge(&p.Packet, v)
	}
	payload := p.Data
	p.damage(v, n.opt.Seed)
	at, cause := p.path.cross(time.Now(), p.headers()+len(p.Data), n.opt.Seed)
	if cause != "" {
		v.lose, v.cause = true, cause
	}
	if p.Network == "udp" && n.rows.most >= 0 {
		p.Retry = p.path.seen.retry(payload, v.lose)
	}
	n.dispatch(p, at)
	n.release(p.path, at)
	if v.reset >= 0 {
		c := p.of.(*segment).conn
		n.transmitReset(c.out, p.Source, p.Destination, c.peer, v.cause)
		n.transmitReset(c.in, p.Destination, p.Source, c, v.cause)
	}
}

// dispatch does what the script decided about p, which would arrive at a time.
func (n *Network) dispatch(p *packet, at time.Time) {
	if p.lose {
		p.row = n.rows.record(&p.Packet, Lost, p.cause)
		p.of.lost()
		return
	}
	p.row = n.rows.record(&p.Packet, InFlight, p.cause)
	if p.hold > p.N {
		p.path.held = append(p.path.held, p)
		p.of.lost() // unless it is set free before its transport gives it up
	} else {
		n.deliver(p, at.Add(p.delay))
	}
	for range p.copies {
		twin := *p
		twin.row = n.rows.record(&twin.Packet, InFlight, p.cause)
		n.deliver(&twin, at)
	}
}

// deliver lets p arrive at that time.
func (n *Network) deliver(p *packet, at time.Time) {
	n.push(event{at: at, path: p.path, packet: p})
}

// arrive is what happens then.
func (n *Network) arrive(p *packet) {
	fate, cause := p.of.arrive(p)
	n.rows.arrived(p.row, fate, cause)
	if fate == Delivered && p.row >= 0 {
		n.path(p.Network, p.To, p.From).seen.heard = true
	}
}

// release lets go what Swap held back until the packet that was just sent.
func (n *Network) release(p *path, at time.Time) {
	if len(p.held) == 0 {
		return
	}
	p.held = slices.DeleteFunc(p.held, func(held *packet) bool {
		if held.hold > p.sent {
			return false
		}
		n.deliver(held, at)
		return true
	})
}

// damage does to the payload what the script decided. The checksum of TCP finds
// every damage, so there it is a loss; a damaged datagram is delivered, as by a
// link that checks nothing, because that is what a lesson wants to show.
func (p *Packet) damage(v *verdict, seed uint64) {
	if v.reset >= 0 {
		p.Data = p.Data[:v.reset]
		v.lose = v.lose || v.reset == 0
	}
	cut := v.cut >= 0 && v.cut < len(p.Data)
	switch {
	case v.lose || !v.corrupt && !cut:
		return
	case p.Network == "tcp" || v.corrupt && len(p.Data) == 0:
		v.lose = true
		return
	}
	p.Data = slices.Clone(p.Data)
	if v.corrupt {
		bit := int(p.flow().chance(seed, p.N, "bit") * float64(8*len(p.Data)))
		p.Data[bit/8] ^= 1 << (bit % 8)
	}
	if cut {
		p.Data = p.Data[:v.cut]
	}
}
