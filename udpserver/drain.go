package udpserver

import (
	"slices"
	"time"

	"example.com/sockets"
	"example.com/sockets/internal/udpio"
)

// Drain implements drain.Member: it asks the loop to take what is queued, and to
// read nothing more.
func (w *worker) Drain() { w.loop.drain() }

// Cut implements drain.Member.
func (w *worker) Cut() { w.loop.cutHandlers() }

func (l *loop) drain() {
	l.mu.Lock()
	begun := l.draining
	l.draining = true
	l.mu.Unlock()
	if begun {
		return
	}
	if l.io.Interrupt() != nil {
		l.close() // the only way to wake a read here
	}
	close(l.woken)
}

// beginDrain reports whether a stop has interrupted the read that has just
// failed, for the first time. Then reading goes on until nothing is queued.
func (l *loop) beginDrain() bool {
	if l.drains || !l.isDraining() {
		return false
	}
	<-l.woken // or the interruption could come later and hide what is queued
	l.drains = true
	l.io.Drain()
	return true
}

func (l *loop) isDraining() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.draining
}

// end says that nothing more will be read, and why. The workers that have
// nothing to do leave.
func (l *loop) end(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.endLocked(err)
}

func (l *loop) endLocked(err error) {
	if l.ended {
		return
	}
	l.ended, l.err = true, err
	close(l.over)
	l.dismissLocked()
}

// dismissLocked wakes all that are parked, to leave.
func (l *loop) dismissLocked() {
	for _, w := range l.idle {
		w.wake <- struct{}{}
	}
	l.idle = nil
	if w := l.pace.watcher; w != nil {
		l.pace.relieve()
		w.wake <- struct{}{}
	}
}

// cutHandlers ends the handlers' context, and drops what nobody has claimed.
func (l *loop) cutHandlers() {
	if !l.markCut() {
		return
	}
	close(l.cut)
	l.cancel(sockets.ErrCutOff)
	l.io.Hurry() // or a handler that is stuck in a Reply would not be gone in time
	if l.polling.Load() {
		l.close() // a read that heeds no deadline
	}
}

func (l *loop) markCut() bool {
	l.mu.Lock()
	if l.cutOff {
		l.mu.Unlock()
		return false
	}
	l.cutOff = true
	l.noteLocked()
	l.endLocked(nil)
	rest := slices.Clip(l.batch) // what follows it is the socket's, which may be in a Read
	l.batch = nil
	for _, r := range l.queue.clear() {
		rest = append(rest, udpio.Packet{Route: r})
	}
	l.counts.Dropped.Stopped += uint64(len(rest))
	l.mu.Unlock()
	for i := range rest {
		l.dropped(rest[i].Route, DropStopped)
	}
	return true
}

func (l *loop) close() {
	l.closed.Store(true)
	l.io.Close()
}

func (w *worker) busyAtCut() bool { return w.state.Phase == "handler" }

// abandonLocked makes a worker that never returned from a read count as running:
// one in a handler does.
func (w *worker) abandonLocked() {
	if !w.busy {
		w.lost = true
		w.loop.counts.Running++
	}
}

// noteLocked keeps what each worker does, as long as it does it.
func (l *loop) noteLocked() {
	for _, m := range l.set.Members() {
		w := m.(*worker)
		switch {
		case w.loop != l: // of another socket, which has its own lock
		case w.busy:
			w.state = sockets.Straggler{Phase: "handler", Remote: endpoint(w.route), Age: time.Since(w.began), Read: int64(len(w.data))}
		case w.polls && l.polling.Load():
			w.state = sockets.Straggler{Phase: "read"}
		}
	}
}
