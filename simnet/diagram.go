package simnet

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	// arrowWidth is the room between the two lifelines of a diagram; with the times
	// the whole fits into 72 columns, and the remarks stand beyond.
	arrowWidth = 42
	// part is how far an arrow gets that has no other end.
	part = 27
)

// Diagram is Trace().Diagram().
func (n *Network) Diagram() string { return n.Trace().Diagram() }

// Diagram draws the textbook's time-sequence diagram, one for each two hosts that
// exchanged packets, as text:
//
//	     sender                                   receiver
//	  0s |--- pkt0 ------------------------------>| 10ms
//	20ms |<------------------------------ ack0 ---| 10ms
//	20ms |--- pkt1 ------------X                  |         Drop(2)
//
// The host that sent first is on the left. Time runs downwards; each end of an
// arrow has its own. A packet during whose journey something else happened is
// drawn twice, dashed, where it leaves and where it arrives. X is a loss; beside it
// stands its cause, and beside a retry that it is one.
func (t Trace) Diagram() string {
	var out strings.Builder
	for i, pair := range t.pairs() {
		if i > 0 {
			out.WriteByte('\n')
		}
		pair.draw(&out)
	}
	if t.Missing > 0 {
		fmt.Fprintf(&out, "and %d packets that the full trace could not take\n", t.Missing)
	}
	return out.String()
}

// pair is what two hosts exchanged, in the order in which it happened.
type pair struct {
	left, right string
	events      []Event
	instants    []time.Duration // at which something left or arrived, in order
}

func (t Trace) pairs() []*pair {
	var all []*pair
	for _, e := range t.happened() {
		at := slices.IndexFunc(all, func(p *pair) bool {
			return p.left == e.From && p.right == e.To || p.left == e.To && p.right == e.From
		})
		if at < 0 {
			at = len(all)
			all = append(all, &pair{left: e.From, right: e.To})
		}
		all[at].events = append(all[at].events, e)
	}
	return all
}

// happened orders the events by cause and effect where time stood still between
// them: a network without delays would else show the answer before the question.
func (t Trace) happened() []Event {
	events := slices.Clone(t.Events)
	slices.SortStableFunc(events, func(a, b Event) int {
		return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.sent, b.sent))
	})
	return events
}

// mark is one line of a diagram.
type mark struct {
	at     time.Duration
	serial uint64
	line   string
}

func (p *pair) draw(out *strings.Builder) {
	fmt.Fprintf(out, "%9s %-*s %s\n", "", arrowWidth, p.left, p.right)
	for _, e := range p.events {
		p.instants = append(p.instants, e.At)
		if e.came > 0 {
			p.instants = append(p.instants, e.Arrived)
		}
	}
	slices.Sort(p.instants)
	var marks []mark
	for _, e := range p.events {
		marks = append(marks, p.marks(e)...)
	}
	slices.SortStableFunc(marks, func(a, b mark) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.serial, b.serial))
	})
	for _, m := range marks {
		fmt.Fprintln(out, m.line)
	}
}

// marks are the one or two lines of a packet.
func (p *pair) marks(e Event) []mark {
	sent, came, note := clockText(e.At), clockText(e.Arrived), e.remark()
	start := "--- " + short(e.Label) + " "
	switch {
	case e.Fate == Lost && e.came == 0:
		return []mark{{e.At, e.sent, p.line(e, start, "-", "X", part-1, sent, "", note)}}
	case e.Fate == InFlight:
		return []mark{{e.At, e.sent, p.line(e, start, "- ", "", part, sent, "", join(note, "in flight"))}}
	case e.Fate != Delivered:
		note = join(note, e.Fate.String())
	}
	if !p.crossed(e) {
		return []mark{{e.At, e.sent, p.line(e, start, "-", ">", arrowWidth, sent, came, note)}}
	}
	leaves := p.line(e, start, "- ", "", part, sent, "", note)
	open := strings.Repeat(" ", arrowWidth-part+1)
	arrives := p.line(e, open+"- ", "- ", short(e.Label)+" -->", arrowWidth, "", came, "")
	return []mark{{e.At, e.sent, leaves}, {e.Arrived, e.came, arrives}}
}

// clockText is a time that fits its column: in real time the last digits say nothing.
func clockText(d time.Duration) string {
	const column = 9
	for unit := time.Nanosecond; ; unit *= 10 {
		if s := d.Round(unit).String(); utf8.RuneCountInString(s) <= column || unit > time.Hour {
			return s
		}
	}
}

// crossed reports whether something else between the two hosts happened while e
// was under way.
func (p *pair) crossed(e Event) bool {
	next, _ := slices.BinarySearch(p.instants, e.At+1)
	return next < len(p.instants) && p.instants[next] < e.Arrived
}

// line draws an arrow from start over fill to tip, width columns long, in the
// direction of e, with the times of its ends.
func (p *pair) line(e Event, start, fill, tip string, width int, sent, came, note string) string {
	room := width - utf8.RuneCountInString(start+tip)
	arrow := start + strings.Repeat(fill, room/len(fill)) + tip
	if room%len(fill) > 0 && tip != "" {
		arrow = " " + arrow // at the open end of a dashed line
	}
	left, right := sent, came
	if e.From == p.right {
		left, right = came, sent
		arrow = fmt.Sprintf("%*s", arrowWidth, mirror(arrow, short(e.Label)))
	}
	line := fmt.Sprintf("%9s |%-*s| %-9s %s", left, arrowWidth, arrow, right, note)
	return strings.TrimRight(line, " ")
}

// short is a label that leaves an arrow visible.
func short(label string) string {
	const most = 20
	if r := []rune(label); len(r) > most {
		return string(r[:most-1]) + "~"
	}
	return label
}

// mirror turns an arrow round and leaves the label readable.
func mirror(arrow, label string) string {
	before, after, _ := strings.Cut(arrow, label)
	turn := func(s string) string {
		b := []byte(strings.ReplaceAll(s, ">", "<"))
		slices.Reverse(b)
		return string(b)
	}
	return turn(after) + label + turn(before)
}
