package udpio

import (
	"encoding/binary"
	"unsafe"

	"golang.org/x/sys/unix"
)

// train is one or more datagrams to one peer that go through the system's network
// layers as one, which cuts them apart again at the end (UDP_SEGMENT, Linux 4.18).
// That passage is most of what sending costs. All but the last are of the same
// size.
type train struct {
	first  int // item
	count  int
	size   int // of its datagrams, but for the last
	bytes  int
	vector int // its first one
	full   bool
}

const (
	// longest is the datagram that is coupled: what fits into an Ethernet
	// frame. Longer ones would have to be fragmented, and can't be.
	longest = 1472
	// heaviest is how many bytes a train carries: what one IP packet can.
	heaviest = 65000
	// near is how many trains back a peer is looked for.
	near = 8
)

// couple puts each datagram into a train, the datagrams to one peer in their
// order.
func (b *batch) couple() {
	coupling := b.m.coupling.Load()
	b.groups = 0
	for i := range b.items[:b.n] {
		g := -1
		if it := &b.items[i]; coupling && it.size > 0 && it.size <= longest {
			g = b.trainFor(it)
		}
		if g < 0 {
			g = b.groups
			b.groups++
			b.trains[g] = train{first: i, size: b.items[i].size}
		}
		t := &b.trains[g]
		b.items[i].train = g
		t.count++
		t.bytes += b.items[i].size
		t.full = b.items[i].size != t.size || t.size == 0
	}
}

// trainFor finds the last train to the peer of it. If that can't take it, a new
// one has to follow.
func (b *batch) trainFor(it *item) int {
	for g := b.groups - 1; g >= max(0, b.groups-near); g-- {
		t := &b.trains[g]
		if to := &b.items[t.first]; to.Peer != it.Peer || to.Source != it.Source {
			continue
		}
		if t.full || t.size > longest || it.size > t.size || t.bytes+it.size > heaviest {
			return -1
		}
		return g
	}
	return -1
}

// fill makes the headers and vectors of the trains.
func (b *batch) fill() {
	at := 0
	for g := range b.trains[:b.groups] {
		t := &b.trains[g]
		t.vector = at
		b.head(g, t)
		at += t.count
		t.count = 0 // counted again below
	}
	for i := range b.items[:b.n] {
		it := &b.items[i]
		t := &b.trains[it.train]
		v := &b.vectors[t.vector+t.count]
		t.count++
		v.Base = nil
		if it.size > 0 {
			v.Base = &b.data[it.at]
		}
		v.SetLen(it.size)
	}
}

func (b *batch) head(g int, t *train) {
	h, r := &b.headers[g], &b.items[t.first].Route
	h.Name = (*byte)(unsafe.Pointer(&b.names[g]))
	h.Namelen = b.m.zones.put(&b.names[g], r.Peer, b.m.family)
	h.Iov = &b.vectors[t.vector]
	h.SetIovlen(t.count)
	c := appendControl(b.control[g][:0], *r)
	if t.count > 1 {
		c = appendSegment(c, t.size)
	}
	h.Control = nil
	if len(c) > 0 {
		h.Control = &b.control[g][0]
	}
	h.SetControllen(len(c))
}

// appendSegment appends the message that cuts what is sent into datagrams.
func appendSegment(b []byte, size int) []byte {
	b = appendHeader(b, unix.SOL_UDP, unix.UDP_SEGMENT, 2)
	b = binary.NativeEndian.AppendUint16(b, uint16(size))
	return padded(b)
}
