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

func (p *Packet) path() pathKey { return pathKey{p.Network, p.From, p.To} }

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
	path   *path
	conn   *Conn                        // TCP: the end that sends it
	arrive func(*packet) (Fate, string) // takes it at the destination
	lose   func()                       // nil, or how the transport repairs a loss
	row    int                          // in the trace, -1: in none
}

type heldPacket struct {
	p     *packet
	after int // the ordinal that sets it free
}

// transmit is the network: what is sent goes through here, and nowhere else. An
// origin is the cause of a packet that no program sent.
func (n *Network) transmit(p *packet, origin string) {
	v := verdict{cause: origin, cut: -1, reset: -1}
	if p.Flags != "RST" {
		p.path.sent++
		p.N = p.path.sent
		n.opt.Script.judge(&p.Packet, &v)
	}
	payload := p.Data
	p.damage(&v, n.opt.Seed)
	at, cause := p.path.cross(time.Now(), p.headers()+len(p.Data), n.opt.Seed)
	if cause != "" {
		v.lost, v.cause = true, cause
	}
	if p.Network == "udp" {
		p.Retry = p.path.seen.retry(payload, v.lost)
	}
	n.dispatch(p, &v, at)
	n.release(p.path, at)
	if v.reset >= 0 {
		back := p.conn
		n.transmitReset(back.out, p.Source, p.Destination, back.peer, v.cause)
		n.transmitReset(back.in, p.Destination, p.Source, back, v.cause)
	}
}

// dispatch does what the script decided about p, which would arrive at a time.
func (n *Network) dispatch(p *packet, v *verdict, at time.Time) {
	fate := InFlight
	if v.lost {
		fate = Lost
	}
	p.row = n.rows.record(&p.Packet, fate, v.cause)
	held := v.hold > p.N
	switch {
	case v.lost:
	case held:
		p.path.held = append(p.path.held, heldPacket{p, v.hold})
	default:
		n.deliver(p, at.Add(v.delay))
	}
	if p.lose != nil && (v.lost || held) {
		p.lose()
	}
	for range v.copies {
		if twin := *p; !v.lost {
			twin.row = n.rows.record(&twin.Packet, InFlight, v.cause)
			n.deliver(&twin, at)
		}
	}
}

// deliver lets p arrive at that time.
func (n *Network) deliver(p *packet, at time.Time) {
	n.after(at, p.path, func() {
		fate, cause := p.arrive(p)
		n.rows.arrived(p.row, fate, cause)
		if fate == Delivered {
			n.path(p.Network, p.To, p.From).seen.heard = true
		}
	})
}

// release lets go what Swap held back until the packet that was just sent.
func (n *Network) release(p *path, at time.Time) {
	p.held = slices.DeleteFunc(p.held, func(h heldPacket) bool {
		if h.after > p.sent {
			return false
		}
		n.deliver(h.p, at)
		return true
	})
}

// damage does to the payload what the script decided. The checksum of TCP finds
// every damage, so there it is a loss; a damaged datagram is delivered, as by a
// link that checks nothing, because that is what a lesson wants to show.
func (p *Packet) damage(v *verdict, seed uint64) {
	if v.reset >= 0 {
		p.Data = p.Data[:v.reset]
		v.lost = v.lost || v.reset == 0
	}
	cut := v.cut >= 0 && v.cut < len(p.Data)
	switch {
	case v.lost || !v.corrupt && !cut:
		return
	case p.Network == "tcp" || v.corrupt && len(p.Data) == 0:
		v.lost = true
		return
	}
	p.Data = slices.Clone(p.Data)
	if v.corrupt {
		bit := int(p.path().chance(seed, p.N, "bit") * float64(8*len(p.Data)))
		p.Data[bit/8] ^= 1 << (bit % 8)
	}
	if cut {
		p.Data = p.Data[:v.cut]
	}
}
