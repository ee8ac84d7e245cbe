package udpserver

import (
	"time"

	"example.com/sockets/internal/drain"
)

// A worker that runs a handler may not come back for long, and somebody else must
// look after the rest of the batch and the read turn. To wake another worker for
// each datagram would cost more than a fast handler; not to would let a slow one
// delay all behind it. So one parked worker, the watcher, looks after patience
// whether the others get on, and takes over if they don't. After that, for the
// next claims, a follower is woken at once, and for longer if it was needed.

const (
	// watchEvery is how often the watcher looks. A stall is over after twice
	// that, and the timer's delay.
	watchEvery = 250 * time.Microsecond
	// slow is what a handler may take before it was worth waking a follower.
	slow = 20 * time.Microsecond
	// eagerFirst is for how many claims followers are woken after a stall,
	// eagerMore by how many a slow handler extends that, up to eagerMost:
	// where one in a hundred is slow, nobody waits for the watcher.
	eagerFirst, eagerMore, eagerMost = 256, 128, 1024
	// sendLooks is how often the watcher may find the same batch of replies
	// being sent. That takes longer than a handler may, and is no stall.
	sendLooks = 4
)

// pace is how the workers of a loop get on. It needs the loop's lock.
type pace struct {
	watcher *worker
	armed   bool   // the watcher's timer is
	claims  uint64 // so far
	reads   uint64
	sending int // workers that send what was collected

	seenClaims, seenReads uint64 // at the last look
	looks                 int    // with nothing new
	eager                 int    // claims for which a follower is woken at once
}

// followLocked is called by w, which has claimed a datagram.
func (l *loop) followLocked(w *worker) {
	l.pace.claims++
	if l.waking || l.turnTaken || l.ended && len(l.batch) == 0 {
		return
	}
	switch p := &l.pace; {
	case p.eager > 0:
		p.eager--
		w.since = time.Now()
		l.wakeLocked()
	case p.watcher == nil:
		l.wakeLocked()
	case !p.armed:
		p.armed = true
		p.note()
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

func (p *pace) note() { p.seenClaims, p.seenReads, p.looks = p.claims, p.reads, 0 }

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

// lookLocked reports whether the watcher has to take over: nothing was claimed
// since its last look, or what was read then has not all been claimed. If nobody
// is in a handler it stops looking, until the next claim.
func (l *loop) lookLocked() bool {
	p := &l.pace
	p.armed = false
	if l.turnTaken || l.counts.Running == 0 && p.sending == 0 {
		return false
	}
	stuck := p.claims == p.seenClaims
	if stuck && p.sending > 0 && p.looks < sendLooks {
		p.looks++
		stuck = false
	} else if stuck || len(l.batch) > 0 && p.reads == p.seenReads {
		p.eager = max(p.eager, eagerFirst)
		return true
	} else {
		p.note()
	}
	p.armed = true
	p.watcher.timer.Reset(watchEvery)
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
	if !l.turnTaken && !l.waking && !l.cutOff && (!l.ended || len(l.batch) > 0) {
		l.wakeLocked() // a Goexit took w away from what it would have gone on with
	}
	return l.workers == 0
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
