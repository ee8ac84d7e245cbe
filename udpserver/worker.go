package udpserver

import (
	"sync"
	"time"

	"example.com/sockets"
	"example.com/sockets/internal/drain"
	"example.com/sockets/internal/udpio"
)

// worker is a goroutine that handles datagrams, one after the other, and takes
// its turn at reading. It owns the buffer its datagram is in: a batch that was
// read is free for the next read although one of its handlers blocks.
type worker struct {
	drain.Entry
	loop  *loop
	wake  chan struct{} // one element: stop being parked
	short [shortBuffer]byte
	long  []byte     // instead of short, for a long datagram
	data  []byte     // the datagram's part of either
	pool  []Datagram // made, and not used yet

	// Under the loop's lock.
	slot    bool              // it may run a handler
	owes    bool              // it is in the loop's list of those that collect
	busy    bool              // it has claimed a datagram and not settled its count
	lane    *lane             // of the datagram's sender, if they are handled in order
	outcome outcome           // of the handler that has ended
	polls   bool              // it has the read turn
	passes  bool              // it leaves what is left to a handler that runs
	timer   *time.Timer       // of the watcher
	since   time.Time         // when the handler began, if that matters
	lost    bool              // abandoned while it was reading
	state   sockets.Straggler // what it was doing when it was cut off

	mu       sync.Mutex
	current  *Datagram // the one whose handler runs
	route    udpio.Route
	began    time.Time
	collects bool        // what is sent goes into out
	out      udpio.Batch // nil if nothing was collected
}

type outcome uint8

const (
	fine outcome = iota
	failed
	panicked
)

const (
	// shortBuffer is what every worker has: what fits into an Ethernet
	// frame, and more than most protocols send. Longer datagrams get one of
	// maxSize, for as long as their handler runs.
	shortBuffer = 2048
	// chunk is how many Datagrams are allocated together: 2 KiB.
	chunk = 17
	// parked is how many workers without work a loop keeps, and how many
	// spare buffers.
	parked = 16
)

// run handles datagrams until nothing is left to do.
func (w *worker) run() {
	defer w.exit()
	w.loop.arrived()
	for w.next() {
		w.handle()
	}
}

// next claims a datagram. If there is none it takes the read turn, and if that is
// taken it parks. It reports false when the worker should end.
func (w *worker) next() bool {
	l := w.loop
	l.mu.Lock()
	defer l.mu.Unlock()
	w.settleLocked()
	for {
		l.tellLocked()
		work := len(l.batch) > 0 || l.queue.ready()
		switch {
		case l.cutOff, l.ended && (!work || l.slotWaited):
			return false // what is left is for those that have a slot or wait for one
		case w.owes && (!work || l.turnTaken || l.slotWaited):
			l.flushLocked(w)
		case work && w.takeSlotLocked():
			if w.claimLocked() {
				l.followLocked(w)
				l.tellLocked()
				return true
			}
			if !w.passLocked() {
				return false
			}
		case work && !l.slotWaited:
			w.waitForSlotLocked()
		case l.turnTaken:
			if !w.parkLocked() {
				return false
			}
		case len(l.owing) > 0: // stuck in handlers
			l.flushLocked(l.owing...)
		case len(l.batch) > 0: // all handlers are busy
			if !l.keepLocked(&l.batch[0]) && !w.parkLocked() {
				return false
			}
		default:
			w.dropSlotLocked() // one socket's silence must not hold another's handler up
			w.polls = true
			l.takeTurnLocked(l.read)
			w.polls = false
		}
	}
}

// passLocked is for a worker that could claim nothing, because all that has come is
// of senders whose handlers run. If that is queued now it goes on, to read what
// others send; if the queue is to be waited for it parks until such a handler ends.
// It reports false if the worker should end.
func (w *worker) passLocked() bool {
	l := w.loop
	switch {
	case l.ended:
		w.passes = true
		return false
	case len(l.batch) == 0:
		return true
	case len(l.owing) > 0: // stuck in those handlers
		l.flushLocked(l.owing...)
		return true
	}
	return w.parkLocked()
}

// settleLocked counts the handler that has ended, and gives a long buffer back.
func (w *worker) settleLocked() {
	l := w.loop
	if !w.busy {
		return
	}
	w.busy = false
	if w.lane != nil {
		l.queue.leave(w.lane)
		w.lane = nil
	}
	l.cameBackLocked(w)
	l.counts.Running--
	l.counts.Handled++
	switch w.outcome {
	case failed:
		l.counts.Failed++
	case panicked:
		l.counts.Panicked++
	}
	if w.long != nil {
		l.keepBufferLocked(w.long)
		w.long = nil
	}
}

// takeSlotLocked reports whether the worker may run a handler. It keeps its slot
// from one datagram to the next, unless another socket's worker waits for one.
func (w *worker) takeSlotLocked() bool {
	slots := &w.loop.server.slots
	if w.slot && slots.wanted(w.loop.turn) {
		w.dropSlotLocked()
	}
	if !w.slot {
		w.slot = slots.try()
	}
	return w.slot
}

// waitForSlotLocked waits for a slot, and lets somebody else read meanwhile.
func (w *worker) waitForSlotLocked() {
	l := w.loop
	l.slotWaited = true
	if !l.turnTaken && !l.waking && !l.ended {
		l.wakeLocked()
	}
	l.mu.Unlock()
	got := l.server.slots.wait(l.turn, l.cut)
	l.mu.Lock()
	w.slot, l.slotWaited = got, false
}

func (w *worker) dropSlotLocked() {
	if w.slot {
		w.slot = false
		w.loop.server.slots.release()
	}
}

// parkLocked waits to be woken, or reports false if enough workers wait already.
func (w *worker) parkLocked() bool {
	l := w.loop
	w.dropSlotLocked()
	switch {
	case l.pace.watcher == nil:
		l.watchLocked(w)
	case len(l.idle) < parked:
		l.idle = append(l.idle, w)
		l.mu.Unlock()
		<-w.wake
		l.mu.Lock()
	default:
		return false
	}
	l.waking = false
	return true
}

// exit is the last thing a worker does, after a Goexit in the handler too.
func (w *worker) exit() {
	l := w.loop
	l.flush(w)
	l.tell()
	if l.leave(w) {
		l.server.remove(l)
	}
	l.set.Remove(&w.Entry)
}
