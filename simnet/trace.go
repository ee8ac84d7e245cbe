package simnet

import (
	"fmt"
	"strings"
	"time"
)

// Fate is what became of a packet.
type Fate uint8

// The fates. A packet that is held or still travels is InFlight; Lost never
// reached a socket, for the Cause given; Refused reached a host where no socket
// wanted it.
const (
	InFlight Fate = iota
	Delivered
	Lost
	Refused
)

// String is the word that the trace prints.
func (f Fate) String() string {
	return [...]string{"in flight", "delivered", "lost", "refused"}[f]
}

// Event is one packet and what became of it: a row of the trace.
type Event struct {
	Packet
	// At is when the packet left, since the network was made; Arrived when it
	// arrived, 0 if it has not.
	At, Arrived time.Duration
	Fate        Fate
	// Cause is why: the faults that applied, or what the network or the receiver
	// did; empty for a packet that arrived unharmed.
	Cause string
	// Label is what Options.Label or else the payload calls the packet.
	Label string
}

// row is an Event with the order in which things really happened, which renderers
// use where virtual time stands still.
type row struct {
	Event
	sent, came uint64
}

// record writes p down as it leaves.
func (n *Network) record(p *packet, f Fate) {
	p.row = -1
	if n.opt.Trace < 0 {
		return
	}
	if len(n.rows) >= n.opt.Trace || n.kept+len(p.Data) > 16<<20 {
		n.over++
		return
	}
	n.serial++
	e := Event{Packet: p.Packet, At: n.since(time.Now()), Fate: f, Cause: p.cause, Label: n.label(&p.Packet)}
	e.Data = append([]byte(nil), p.Data...)
	p.row = len(n.rows)
	n.kept += len(p.Data)
	n.rows = append(n.rows, row{Event: e, sent: n.serial})
}

// arrived completes p's row.
func (n *Network) arrived(p *packet, at time.Time, f Fate, cause string) {
	if p.row < 0 {
		return
	}
	n.serial++
	r := &n.rows[p.row]
	r.Fate, r.Arrived, r.came = f, n.since(at), n.serial
	if cause != "" {
		v := verdict{cause: r.Cause}
		v.because(cause)
		r.Cause = v.cause
	}
}

func (n *Network) label(p *Packet) string {
	if n.opt.Label != nil {
		if l := n.opt.Label(*p); l != "" {
			return l
		}
	}
	text := strings.TrimRight(string(p.Data), "\r\n")
	printable := text != "" && len(text) <= 24 && strings.IndexFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) < 0
	switch {
	case p.Flags != "":
		return p.Flags
	case printable:
		return text
	case len(p.Data) == 1:
		return "1 byte"
	}
	return fmt.Sprintf("%d bytes", len(p.Data))
}
