package udpserver

import (
	"slices"

	"example.com/sockets/internal/udpio"
)

// Replies to what came together leave together: a system call for each would
// cost more than all else. But none may wait for a handler that is stuck, so
// this holds: while a worker collects, another one is awake or on its way, and
// whoever takes the read turn first sends what others have collected.
// A handler that goes on working can delay it only where it has the only
// processor (GOMAXPROCS 1), until the scheduler takes that away.

// collectLocked makes w, which has claimed a datagram, collect what it sends, if
// more of the batch is left or it has collected already. Where the turn is taken,
// by a worker that waits for a slot, nobody would look after it.
func (w *worker) collectLocked() {
	l := w.loop
	if w.out == nil && len(l.batch) > 0 && !l.turnTaken && !l.slotWaited {
		w.out = l.outLocked()
	}
	w.collects = w.out != nil
	if w.collects && !w.owes {
		w.owes = true
		l.owing = append(l.owing, w)
	}
}

// outLocked returns an empty batch, or nil if the socket has none.
func (l *loop) outLocked() udpio.Batch {
	if n := len(l.outs); n > 0 {
		out := l.outs[n-1]
		l.outs = l.outs[:n-1]
		return out
	}
	return l.io.NewBatch(func(r udpio.Route, err error) { l.sendFailed("send", r, err) })
}

// takeOutLocked takes what w has collected. From here to its next claim it sends
// at once. It needs w.mu.
func (w *worker) takeOutLocked() udpio.Batch {
	out := w.out
	w.out, w.collects = nil, false
	return out
}

// flushLocked sends what the workers have collected, without the loop's lock.
func (l *loop) flushLocked(workers ...*worker) {
	var few [4]udpio.Batch
	outs := few[:0]
	for _, w := range workers {
		w.mu.Lock()
		outs = append(outs, w.takeOutLocked())
		w.mu.Unlock()
		w.owes = false
	}
	l.owing = slices.DeleteFunc(l.owing, func(w *worker) bool { return !w.owes })
	l.mu.Unlock()
	for _, out := range outs {
		l.sendOut(out)
	}
	l.mu.Lock()
}

func (l *loop) flush(w *worker) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if w.owes {
		l.flushLocked(w)
	}
}

// sendOut sends a batch and keeps it for the next.
func (l *loop) sendOut(out udpio.Batch) {
	if out == nil {
		return
	}
	sent, bytes := out.Send()
	l.sends.sent.Add(uint64(sent))
	l.sends.bytes.Add(uint64(bytes))
	l.counted()
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.outs) < parked {
		l.outs = append(l.outs, out)
	}
}
