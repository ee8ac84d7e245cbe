package udpserver

import (
	"net/netip"
	"time"

	"example.com/sockets/internal/udpio"
)

// Order says which handlers may run at the same time.
type Order uint8

// The orders.
const (
	// Concurrent: any. Datagrams of one sender may overtake one another, as
	// they may on the network.
	Concurrent Order = iota
	// PerSender: those of different senders. The datagrams of one sender are
	// handled one after the other, as they came.
	PerSender
)

// Queue bounds what is read and waits for a handler. Beyond that the system's
// receive buffer takes what comes.
type Queue struct {
	// Datagrams is how many wait on what one call of Serve serves; 0 means
	// 1,024, negative none. With Order PerSender one sender has at most an
	// eighth of it, but at least one, so that nobody fills the others' queue.
	// With Server.Sockets each socket has an equal part of it, at least one,
	// and of Bytes.
	Datagrams int
	// Bytes is how much they hold; 0 means 4 MiB, negative no limit.
	Bytes int
	// Full says what happens to a datagram that finds the queue full.
	Full Full
}

// Full is what happens where a queue is full.
type Full uint8

// The policies.
const (
	// DropNewest drops the datagram that has come. It is counted.
	DropNewest Full = iota
	// DropOldest drops what has waited longest, with Order PerSender of the
	// same sender if there is something, and so much of it that what comes has
	// room. It is counted.
	DropOldest
	// Wait leaves what comes to the system: the server stops reading until
	// there is room, and then the system drops what does not fit.
	Wait
)

// spareQueued is how many are kept for those that will have to wait: half a
// mebibyte at most.
const spareQueued = 256

// queued is a datagram that waits.
type queued struct {
	udpio.Packet // Data is its own
	next         *queued
	at           time.Time
}

// lane is what waits and belongs together: all of a socket, or one sender's.
type lane struct {
	head, tail *queued
	n          int
	next       *lane
	waits      bool // in the list of those that have something and no handler
	busy       bool // a handler of this sender runs
	peer       netip.AddrPort
}

// queue is the lanes of a loop. It needs the loop's lock.
type queue struct {
	limit      Queue
	order      Order
	n, bytes   int
	first      *lane // those whose head may be handled
	last       *lane
	all        lane // of Concurrent
	senders    map[netip.AddrPort]*lane
	free       *queued
	freeLanes  *lane
	freeQueued int
}

// newQueue makes the queue of one of n sockets.
func newQueue(limit Queue, order Order, n int) queue {
	if limit.Datagrams == 0 {
		limit.Datagrams = 1024
	}
	limit.Datagrams = (max(limit.Datagrams, 0) + n - 1) / n
	if limit.Bytes == 0 {
		limit.Bytes = 4 << 20
	}
	if limit.Bytes > 0 {
		limit.Bytes = (limit.Bytes + n - 1) / n
	}
	q := queue{limit: limit, order: order}
	if order == PerSender {
		q.senders = make(map[netip.AddrPort]*lane)
	}
	return q
}

// lane returns the one for r, nil if PerSender has none: no handler of that sender
// runs, and nothing of it waits.
func (q *queue) lane(r udpio.Route) *lane {
	if q.order == Concurrent {
		return &q.all
	}
	return q.senders[r.Peer]
}

// enter makes the lane of a sender that has none.
func (q *queue) enter(r udpio.Route) *lane {
	l := q.freeLanes
	if l == nil {
		l = new(lane)
	} else {
		q.freeLanes = l.next
	}
	*l = lane{peer: r.Peer}
	q.senders[r.Peer] = l
	return l
}

// leave says that the handler of a sender has ended.
func (q *queue) leave(l *lane) {
	l.busy = false
	if l.n > 0 {
		q.show(l)
		return
	}
	delete(q.senders, l.peer)
	l.next, q.freeLanes = q.freeLanes, l
}

// hasRoom reports whether p fits.
func (q *queue) hasRoom(p *udpio.Packet) bool {
	most := q.limit.Datagrams
	if l := q.lane(p.Route); q.order == PerSender && l != nil && l.n >= max(most/8, 1) {
		return false
	}
	return q.n < most && (q.limit.Bytes < 0 || q.bytes+len(p.Data) <= q.limit.Bytes)
}

// push adds p, for which there is room, to its lane.
func (q *queue) push(p *udpio.Packet, at time.Time) {
	l := q.lane(p.Route)
	if l == nil {
		l = q.enter(p.Route)
	}
	e := q.free
	if e == nil {
		e = new(queued)
	} else {
		q.free = e.next
		q.freeQueued--
	}
	own := append(e.Data[:0], p.Data...)
	*e = queued{Packet: *p, at: at}
	e.Data = own
	if l.head == nil {
		l.head = e
	} else {
		l.tail.next = e
	}
	l.tail = e
	l.n++
	q.n++
	q.bytes += len(e.Data)
	q.show(l)
}

// show puts l, which has something, at the end of those that may be handled.
func (q *queue) show(l *lane) {
	if l.waits || l.busy {
		return
	}
	l.waits, l.next = true, nil
	if q.first == nil {
		q.first = l
	} else {
		q.last.next = l
	}
	q.last = l
}

// ready reports whether something may be handled.
func (q *queue) ready() bool { return q.first != nil }

// pop takes what may be handled first. The lane is the sender's, for leave; a
// socket's datagrams go on without it.
func (q *queue) pop() (e *queued, l *lane) {
	l = q.first
	q.first = l.next
	l.waits = false
	e = q.take(l)
	if q.order == PerSender {
		l.busy = true
		return e, l
	}
	if l.n > 0 {
		q.show(l)
	}
	return e, nil
}

// take removes the head of l.
func (q *queue) take(l *lane) *queued {
	e := l.head
	l.head = e.next
	l.n--
	q.n--
	q.bytes -= len(e.Data)
	return e
}

// shed removes what DropOldest sacrifices for a datagram in l, nil if there is
// nothing.
func (q *queue) shed(l *lane) *queued {
	if l == nil || l.n == 0 {
		l = q.first
	}
	if l == nil || l.n <= 1 && l.waits && q.order == PerSender {
		return nil // the lane would stay behind empty
	}
	if l.n == 1 && l.waits { // all of a socket: what comes takes its place
		q.first, l.waits = nil, false
	}
	return q.take(l)
}

// clear removes all that waits, behind handlers that run too, and returns whose it
// was.
func (q *queue) clear() (routes []udpio.Route) {
	empty := func(l *lane) {
		for l.n > 0 {
			routes = append(routes, q.take(l).Route)
		}
	}
	empty(&q.all)
	for peer, l := range q.senders {
		empty(l)
		if !l.busy {
			delete(q.senders, peer)
		}
	}
	q.first = nil
	return routes
}

// recycle keeps e for the next push, and its buffer if that is a short one.
func (q *queue) recycle(e *queued) {
	if q.freeQueued >= spareQueued {
		return
	}
	if cap(e.Data) > shortBuffer {
		e.Data = nil
	}
	e.next, q.free = q.free, e
	q.freeQueued++
}
