package udpserver

import (
	"time"

	"example.com/sockets/internal/udpio"
)

// claimLocked takes what has waited longest: of the queue, then of the batch. It
// reports false if there is nothing but what has to wait for another datagram of
// its sender.
func (w *worker) claimLocked() bool {
	l := w.loop
	if l.queue.ready() {
		e, lane := l.queue.pop()
		w.lane = lane
		w.beginLocked(&e.Packet, e.at)
		l.queue.recycle(e)
		return true
	}
	for len(l.batch) > 0 {
		p := &l.batch[0]
		if l.queue.order == Concurrent || l.queue.lane(p.Route) == nil {
			if l.queue.order == PerSender {
				w.lane = l.queue.enter(p.Route)
				w.lane.busy = true
			}
			l.batch = l.batch[1:]
			w.beginLocked(p, l.readAt)
			return true
		}
		if !l.keepLocked(p) {
			return false
		}
	}
	return false
}

// beginLocked makes p the worker's datagram.
func (w *worker) beginLocked(p *udpio.Packet, readAt time.Time) {
	l := w.loop
	w.fillLocked(p.Data)
	d := w.datagram()
	*d = Datagram{
		From: endpoint(p.Route), To: l.asked(p),
		Data: w.data, Truncated: p.Truncated, ECN: p.ECN, Interface: p.Index,
		worker: w,
	}
	w.mu.Lock()
	w.current, w.route, w.began = d, p.Route, readAt
	w.collectLocked()
	w.mu.Unlock()
	w.busy, w.outcome = true, fine
	l.counts.Running++
	if l.draining {
		l.counts.Drained++
	}
}

// keepLocked moves p, the first of the batch, to the queue or drops it, and
// reports false if it has to stay where it is.
func (l *loop) keepLocked(p *udpio.Packet) bool {
	q := &l.queue
	room := q.hasRoom(p)
	switch {
	case !room && q.limit.Full == Wait:
		return false
	case !room && q.limit.Full == DropOldest:
		room = l.makeRoomLocked(p)
	}
	if room {
		q.push(p, l.readAt)
	} else {
		l.dropLocked(p.Route)
	}
	l.batch = l.batch[1:]
	return true
}

// makeRoomLocked drops the oldest until p has room, and reports whether it has. For one
// that the whole queue could not hold it drops nothing.
func (l *loop) makeRoomLocked(p *udpio.Packet) bool {
	q := &l.queue
	if q.limit.Bytes >= 0 && len(p.Data) > q.limit.Bytes {
		return false
	}
	for !q.hasRoom(p) {
		e := q.shed(q.lane(p.Route))
		if e == nil {
			return false
		}
		l.dropLocked(e.Route)
		q.recycle(e)
	}
	return true
}

// datagram returns one that nobody has a pointer to. A Datagram that a handler
// has seen is left to the garbage collector: were it used again, a handler that
// kept it would reply to somebody else.
func (w *worker) datagram() *Datagram {
	if len(w.pool) == 0 {
		w.pool = make([]Datagram, chunk)
	}
	d := &w.pool[0]
	if !w.loop.private {
		w.pool = w.pool[1:]
	}
	return d
}

// fillLocked copies p into the worker's buffer.
func (w *worker) fillLocked(p []byte) {
	buf := w.short[:]
	if len(p) > len(buf) {
		w.long = w.loop.longBufferLocked()
		buf = w.long
	}
	w.data = buf[:copy(buf, p):len(p)]
}

// dropLocked counts a datagram that the queue has no room for. Trace is told of it
// by tellLocked, because no lock is held across a callback.
func (l *loop) dropLocked(r udpio.Route) {
	l.counts.Dropped.Queue++
	if t := l.server.Trace; t != nil && t.Dropped != nil {
		l.untold = append(l.untold, r)
	}
}

// tellLocked tells Trace what dropLocked has dropped, without the lock.
func (l *loop) tellLocked() {
	if len(l.untold) == 0 {
		return
	}
	routes := l.untold
	l.untold = nil
	l.mu.Unlock()
	for _, r := range routes {
		l.dropped(r, DropQueue)
	}
	l.mu.Lock()
}

// tell is tellLocked for a worker that leaves.
func (l *loop) tell() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tellLocked()
}

// longBufferLocked returns a buffer for the longest datagram.
func (l *loop) longBufferLocked() []byte {
	n := len(l.spare)
	if n == 0 {
		return make([]byte, maxSize)
	}
	b := l.spare[n-1]
	l.spare = l.spare[:n-1]
	return b
}

func (l *loop) keepBufferLocked(b []byte) {
	if len(l.spare) < parked {
		l.spare = append(l.spare, b)
	}
}
