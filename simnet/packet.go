package simnet

import (
	"net/netip"
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
	// Retry counts the earlier transmissions of the same segment. It is 0 for
	// UDP, whose retries are the program's own: the trace finds those.
	Retry int
	// Data is the payload. It must be neither changed nor kept.
	Data []byte

	seq     uint64 // TCP: place in the stream, the SYN has 0
	carried int    // TCP: bytes of the flow before this one, -1 on a retry
}

// size is the length of the IP packet.
func (p *Packet) size() int { return p.headers() + len(p.Data) }

func (p *Packet) headers() int {
	h := 20
	if p.Source.Addr().Is6() {
		h = 40
	}
	if p.Network == "udp" {
		return h + 8
	}
	return h + 20
}

// packet is a Packet on its way.
type packet struct {
	Packet
	path   *path
	arrive func(*packet) (Fate, string) // takes it at the destination
	lose   func()                       // nil, or how the transport repairs a loss
	conn   *Conn                        // TCP: the end that sends it
	row    int                          // in the trace, -1: in none
	cause  string
}

type heldPacket struct {
	p     *packet
	after int // the ordinal that sets it free
}

// transmit is the network: what is sent goes through here, and nowhere else.
func (n *Network) transmit(p *packet) {
	now := time.Now()
	v := verdict{cut: -1, reset: -1}
	if p.Flags != "RST" {
		p.path.sent++
		p.N = p.path.sent
		n.opt.Script.judge(&p.Packet, &v)
	}
	n.damage(p, &v)
	if v.reset >= 0 {
		p.Data, p.lose = p.Data[:v.reset], nil
		v.lost = v.lost || v.reset == 0
	}
	at, cause := p.path.cross(now, p.size(), n.opt.Seed)
	if cause != "" {
		v.lost, v.cause = true, cause
	}
	p.cause = v.cause
	switch {
	case v.lost:
		n.record(p, Lost)
		n.lost(p)
	case v.hold > p.N:
		n.record(p, InFlight)
		p.path.held = append(p.path.held, heldPacket{p, v.hold})
		n.lost(p) // unless it is set free before the transport gives it up
	default:
		n.record(p, InFlight)
		n.deliver(p, at.Add(v.delay))
		n.copies(p, at, v.copies)
	}
	n.release(p.path, at)
	if v.reset >= 0 {
		there, back := p.conn.peer, p.conn
		n.transmitReset(back.out, p.Source, p.Destination, there, v.cause)
		n.transmitReset(back.in, p.Destination, p.Source, back, v.cause)
	}
}

func (n *Network) lost(p *packet) {
	if p.lose != nil {
		p.lose()
	}
}

func (n *Network) copies(p *packet, at time.Time, count int) {
	for range count {
		twin := *p
		n.record(&twin, InFlight)
		n.deliver(&twin, at)
	}
}

// deliver lets p arrive at that time.
func (n *Network) deliver(p *packet, at time.Time) {
	n.after(at, p.path, func() {
		fate, cause := p.arrive(p)
		n.arrived(p, at, fate, cause)
	})
}

// release lets go what Swap held back until the packet that was just sent.
func (n *Network) release(p *path, at time.Time) {
	kept := p.held[:0]
	for _, h := range p.held {
		if h.after > p.sent {
			kept = append(kept, h)
			continue
		}
		n.deliver(h.p, at)
	}
	clear(p.held[len(kept):])
	p.held = kept
}

// damage does to the payload what the script decided. The checksum of TCP finds
// every damage, so there it is a loss; a damaged datagram is delivered, as by a
// link that checks nothing, because that is what a lesson wants to show.
func (n *Network) damage(p *packet, v *verdict) {
	harmed := v.corrupt || v.cut >= 0 && v.cut < len(p.Data)
	switch {
	case !harmed || v.lost:
	case p.Network == "tcp" || v.corrupt && len(p.Data) == 0:
		v.lost = true
	default:
		data := append([]byte(nil), p.Data...)
		if v.corrupt {
			bit := int(p.path.chance(n.opt.Seed, p.N, "bit") * float64(8*len(data)))
			data[bit/8] ^= 1 << (bit % 8)
		}
		if v.cut >= 0 {
			data = data[:min(v.cut, len(data))]
		}
		p.Data = data
	}
}
