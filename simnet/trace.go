package simnet

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"time"
)

// Trace is what happened on a network: [Network.Trace].
type Trace struct {
	// Events stand in the order of time, flow, direction and ordinal.
	Events []Event
	// Missing counts packets that came when the trace was full.
	Missing int
}

// Event is one packet and what became of it: a row of the trace.
type Event struct {
	Packet
	// At is when the packet left, since the network was made; Arrived is when it
	// arrived, 0 if it did not.
	At, Arrived time.Duration
	// Fate is what became of it.
	Fate Fate
	// Cause is why: the faults that applied, or what the network or the receiver
	// did; empty for a packet that arrived unharmed.
	Cause string
	// Label is what Options.Label or else the payload calls the packet.
	Label string

	sent, came uint64 // the order in which things really happened
}

// Fate is what became of a packet.
type Fate uint8

// The fates. InFlight still travels or is held by Swap; Lost never reached a
// socket; Refused reached a host where no socket wanted it.
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

// Trace returns a copy of what happened so far. The payloads are shared and must
// not be changed.
//
// A program whose flows each send a determined sequence gets the same trace, as
// String prints it, in every run and with every GOMAXPROCS. That is the limit:
// connections that share two hosts share a flow, and if they race for it, so do
// their ordinals.
func (n *Network) Trace() Trace {
	n.lock()
	defer n.unlock()
	return n.rows.trace()
}

// recorder is a Trace in the making.
type recorder struct {
	start   time.Time
	most    int // events, negative: none
	label   func(Packet) string
	events  []Event
	bytes   int // of payload in events
	missing int
	serial  uint64
}

// record writes p down as it leaves and returns its row, -1 if there is none.
func (r *recorder) record(p *Packet, f Fate, cause string) int {
	if r.most < 0 {
		return -1
	}
	if len(r.events) >= r.most || r.bytes+len(p.Data) > 16<<20 {
		r.missing++
		return -1
	}
	r.serial++
	e := Event{Packet: *p, At: time.Since(r.start), Fate: f, Cause: cause, Label: r.name(p), sent: r.serial}
	e.Data = append([]byte(nil), p.Data...)
	r.bytes += len(p.Data)
	r.events = append(r.events, e)
	return len(r.events) - 1
}

// arrived completes a row.
func (r *recorder) arrived(row int, f Fate, cause string) {
	if row < 0 {
		return
	}
	r.serial++
	e := &r.events[row]
	e.Fate, e.Arrived, e.came = f, time.Since(r.start), r.serial
	e.Cause = join(e.Cause, cause)
}

// trace puts the events into the order that does not depend on scheduling.
func (r *recorder) trace() Trace {
	t := Trace{Events: slices.Clone(r.events), Missing: r.missing}
	slices.SortStableFunc(t.Events, func(a, b Event) int {
		return cmp.Or(cmp.Compare(a.At, b.At), a.flow().compare(b.flow()), cmp.Compare(a.N, b.N))
	})
	return t
}

// name is the label of a packet.
func (r *recorder) name(p *Packet) string {
	if r.label != nil {
		if l := r.label(*p); l != "" {
			return l
		}
	}
	text := strings.TrimRight(string(p.Data[:min(len(p.Data), 40)]), "\r\n")
	printable := text != "" && len(text) <= 20 && !strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' })
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

// String prints one line per event. It names hosts and not ephemeral ports, so
// that two runs can be compared by it.
func (t Trace) String() string {
	var b strings.Builder
	for _, e := range t.Events {
		fmt.Fprintf(&b, "%9v %s\n", e.At, e)
	}
	if t.Missing > 0 {
		fmt.Fprintf(&b, "and %d packets that the full trace could not take\n", t.Missing)
	}
	return b.String()
}

// String prints the event without its time.
func (e Event) String() string {
	s := fmt.Sprintf("%s %s > %s #%d %s, %d bytes: %v", e.Network, e.From, e.To, e.N, e.Label, len(e.Data), e.Fate)
	if e.Fate == Delivered {
		s += fmt.Sprintf(" after %v", e.Arrived-e.At)
	}
	return strings.TrimSuffix(s+", "+e.remark(), ", ")
}

// remark is what there is to say beside a packet.
func (e Event) remark() string {
	if e.Retry > 0 {
		return join(fmt.Sprintf("retry %d", e.Retry), e.Cause)
	}
	return e.Cause
}

// Between returns the events of the flows between two hosts.
func (t Trace) Between(a, b string) Trace {
	var some []Event
	for _, e := range t.Events {
		if e.From == a && e.To == b || e.From == b && e.To == a {
			some = append(some, e)
		}
	}
	return Trace{Events: some, Missing: t.Missing}
}

// join puts causes beside one another.
func join(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + ", " + b
}

// repeats recognises the retries of programs, which UDP itself knows nothing of.
type repeats struct {
	latest uint64         // payload of the latest datagram
	count  int            // its retries
	heard  bool           // since then something came from the other side
	lost   map[uint64]int // payloads lost and not sent again, with their retries
}

// retry tells how often this payload was sent before: a datagram is a retry if it
// repeats one that was lost, or the one just before it to which nothing came back.
func (r *repeats) retry(payload []byte, isLost bool) int {
	h := fnv.New64a()
	h.Write(payload)
	sum, count := h.Sum64(), 0
	before, wasLost := r.lost[sum]
	switch {
	case wasLost:
		count = before + 1
	case sum == r.latest && !r.heard && len(payload) > 0:
		count = r.count + 1
	}
	delete(r.lost, sum)
	if isLost {
		if r.lost == nil {
			r.lost = map[uint64]int{}
		}
		r.lost[sum] = count
	}
	r.latest, r.count, r.heard = sum, count, false
	return count
}
