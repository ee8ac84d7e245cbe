package udpserver

import "example.com/sockets/internal/drain"

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

// followLocked is called by a worker that is about to run a handler, which may
// block: somebody else must look after the rest of the batch and the read turn.
func (l *loop) followLocked() {
	if l.waking || l.turnTaken || l.ended && len(l.batch) == 0 {
		return
	}
	l.wakeLocked()
}

// wakeLocked wakes the worker that parked last, whose stack and buffer are the
// likeliest to be in the cache, or starts one.
func (l *loop) wakeLocked() {
	if n := len(l.idle); n > 0 {
		w := l.idle[n-1]
		l.idle = l.idle[:n-1]
		l.waking = true
		w.wake <- struct{}{}
		return
	}
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
