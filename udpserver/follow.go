package udpserver

import (
	"time"

	"example.com/sockets/internal/drain"
)

// A worker that runs a handler may not come back for long, and somebody else must
// look after the rest of its batch, what it has collected, and the read turn.
// When several datagrams came together it wakes another worker at once. For one
// that came alone that would cost more than a fast handler does, and not to do it
// would let a slow one delay all that come later. So for that one a parked worker,
// the watcher, gets a timer, and takes over unless the handler returns before. After
// that a follower is woken for lone datagrams too, for as long as it turns out to be
// needed.

const (
	// watchFor is how long a handler may hold up what comes after a lone
	// datagram, beside the timer's delay, which can be 1 ms on Linux.
	watchFor = 250 * time.Microsecond
	// slow is what a handler may take before it was worth waking a follower.
	slow = 20 * time.Microsecond
	// eagerFirst is for how many claims followers are woken after a stall,
	// eagerMore by how many a slow handler extends that, up to eagerMost:
	// where one in a hundred is slow, nobody waits for the watcher.
	eagerFirst, eagerMore, eagerMost = 256, 128, 1024
)

// pace is how the workers of a loop get on. It needs the loop's lock.
type pace struct {
	watcher *worker
	watched *worker // the watcher's timer runs for its handler
	eager   int     // claims for which a follower is woken at once
}

// followLocked is called by w, which has claimed a datagram.
func (l *loop) followLocked(w *worker) {
	if l.waking || l.turnTaken || l.ended && len(l.batch) == 0 && !l.queue.ready() {
		return
	}
	switch p := &l.pace; {
	case len(l.batch) > 0, w.owes, p.watcher == nil:
		l.wakeLocked()
	case p.eager > 0:
		p.eager--
		w.since = time.Now()
		l.wakeLocked()
	default:
		p.watched = w
		p.watcher.timer.Reset(watchFor)
	}
}

// cameBackLocked is called by w after its handler.
func (l *loop) cameBackLocked(w *worker) {
	p := &l.pace
	if p.watched == w {
		p.watched = nil
		p.watcher.timer.Stop()
	}
	if w.since.IsZero() {
		return
	}
	if time.Since(w.since) > slow {
		p.eager = min(p.eager+eagerMore, eagerMost)
	}
	w.since = time.Time{}
}

// relieve makes the watcher, which is about to be woken, an ordinary worker.
func (p *pace) relieve() {
	p.watcher.timer.Stop()
	p.watcher, p.watched = nil, nil
}

// watchLocked parks w as the watcher, until it is woken or finds that it is
// needed.
func (l *loop) watchLocked(w *worker) {
	p := &l.pace
	p.watcher = w
	if w.timer == nil {
		w.timer = time.NewTimer(time.Hour)
		w.timer.Stop()
	}
	for {
		l.mu.Unlock()
		woken := false
		select {
		case <-w.wake:
			woken = true
		case <-w.timer.C:
		}
		l.mu.Lock()
		switch {
		case woken:
			return
		case p.watcher != w: // woken at the same moment
			<-w.wake
			return
		case l.stalledLocked():
			p.relieve()
			p.eager = max(p.eager, eagerFirst)
			return
		}
	}
}

// stalledLocked reports whether the watcher has to take over: the handler that it
// watches still runs, and nobody reads.
func (l *loop) stalledLocked() bool {
	stalled := l.pace.watched != nil && !l.turnTaken
	l.pace.watched = nil
	return stalled
}

// takeTurnLocked takes the read turn for as long as f runs, without the lock.
func (l *loop) takeTurnLocked(f func()) {
	l.turnTaken = true
	l.mu.Unlock()
	f()
	l.mu.Lock()
	l.turnTaken = false
}

// start starts the first worker, which takes the read turn.
func (l *loop) start() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wakeLocked()
}

// wakeLocked wakes the worker that parked last, whose stack and buffer are the
// likeliest to be in the cache, then the watcher, or starts one.
func (l *loop) wakeLocked() {
	n, w := len(l.idle), l.pace.watcher
	switch {
	case n > 0:
		w = l.idle[n-1]
		l.idle = l.idle[:n-1]
	case w != nil:
		l.pace.relieve()
	default:
		l.spawnLocked()
		return
	}
	l.waking = true
	w.wake <- struct{}{}
}

func (l *loop) spawnLocked() {
	w := &worker{loop: l, wake: make(chan struct{}, 1)}
	if l.set.Add(&w.Entry, w) != drain.Closed {
		l.waking = true
		l.workers++
		go w.run()
	}
}

// arrived is called by a worker that has just started.
func (l *loop) arrived() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waking = false
}

// leave takes w out of the loop, and reports whether it was the last one.
func (l *loop) leave(w *worker) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	w.settleLocked()
	w.dropSlotLocked()
	if w.lost {
		l.counts.Running--
	}
	l.workers--
	if l.ended {
		l.dismissLocked()
	}
	// After a Goexit somebody else has to do what w would have gone on with.
	left := !l.ended && !l.turnTaken || len(l.batch) > 0 || l.queue.ready()
	if left && !w.passes && !l.waking && !l.slotWaited && !l.cutOff {
		l.wakeLocked()
	}
	return l.workers == 0
}
