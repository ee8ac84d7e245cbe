package udpserver

import (
	"time"

	"example.com/sockets/internal/drain"
)

// A worker that runs a handler may not come back for long, and somebody else must
// look after the rest of its batch, what it has collected, and the read turn.
// When several datagrams came together it wakes another worker at once. For one
// that came alone that would cost more than a fast handler does, and not to do it
// would let a slow one delay all that come later. So one parked worker, the
// watcher, looks now and then whether the others get on, and takes over if they
// don't. After that a follower is woken for lone datagrams too, for as long as it
// turns out to be needed.

const (
	// watchEvery is how often the watcher looks: a stall is over after twice
	// that and the timer's delay, which can be 1 ms on Linux.
	watchEvery = 250 * time.Microsecond
	// idleLooks is how often it looks in vain before it stops. To make it start
	// again costs a lone datagram as much as waking a follower.
	idleLooks = 16
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
	armed   bool   // the watcher's timer is
	claims  uint64 // so far
	seen    uint64 // claims at the last look
	idle    int    // looks at which nothing was to be seen
	eager   int    // claims for which a follower is woken at once
}

// followLocked is called by w, which has claimed a datagram.
func (l *loop) followLocked(w *worker) {
	l.pace.claims++
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
	case !p.armed:
		p.armed, p.seen, p.idle = true, p.claims, 0
		p.watcher.timer.Reset(watchEvery)
	}
}

// cameBackLocked is called by w after its handler.
func (l *loop) cameBackLocked(w *worker) {
	if w.since.IsZero() {
		return
	}
	if time.Since(w.since) > slow {
		l.pace.eager = min(l.pace.eager+eagerMore, eagerMost)
	}
	w.since = time.Time{}
}

// relieve makes the watcher, which is about to be woken, an ordinary worker.
func (p *pace) relieve() {
	p.watcher.timer.Stop()
	p.watcher = nil
}

// watchLocked parks w as the watcher, until it is woken or finds that it is
// needed.
func (l *loop) watchLocked(w *worker) {
	p := &l.pace
	p.watcher, p.armed = w, false
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
		case l.lookLocked():
			p.watcher = nil
			return
		}
	}
}

// lookLocked reports whether the watcher has to take over: nobody reads, and
// nothing was claimed since its last look.
func (l *loop) lookLocked() bool {
	p := &l.pace
	moved := p.claims != p.seen
	p.seen = p.claims
	switch {
	case moved:
		p.idle = 0
	case !l.turnTaken && l.counts.Running > 0:
		p.armed = false
		p.eager = max(p.eager, eagerFirst)
		return true
	default:
		p.idle++
	}
	if p.armed = p.idle < idleLooks; p.armed {
		p.watcher.timer.Reset(watchEvery)
	}
	return false
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
	if left && !l.waking && !l.slotWaited && !l.cutOff {
		l.wakeLocked()
	}
	return l.workers == 0
}
