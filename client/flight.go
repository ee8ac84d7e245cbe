package client

import (
	"errors"
	"slices"
	"sync"
	"time"
)

// flight is the calls that wait for their replies over one socket or connection,
// and how a reply finds its call. It is what UDP and Pipeline have in common.
type flight struct {
	match func(request, reply []byte) bool // see Dialer
	id    func(message []byte) (uint64, bool)

	mu       sync.Mutex
	inFlight []*call          // the oldest first
	named    map[uint64]*call // the same, by id
	idle     []*call          // those that have ended, to be used again
	ended    []uint64         // their ids, the last ones, in a ring
	nEnded   int
}

// call is a request that waits for its reply.
type call struct {
	wake  chan struct{} // one slot: look what has changed
	timer *time.Timer
	began time.Time
	limit time.Time // zero: the context is the only one
	name  name

	// Guarded by flight.mu.
	request []byte // a copy for Match, which may run when the caller has left
	pins    int    // readers that look at it
	left    bool   // the caller has
	done    bool   // reply or err has come
	reply   []byte
	err     error
	tries   []try // of a UDP client
}

// name is the id of a message, if it has one.
type name struct {
	id uint64
	ok bool
}

// endedLen is how many ids are remembered, to tell a late reply from a strange
// one.
const endedLen = 256

var (
	errNoID   = errors.New("the request has no id")
	errSameID = errors.New("a call in flight has the same id")
)

func (f *flight) init(d *Dialer) {
	f.match, f.id = d.Match, d.ID
	if f.id != nil {
		f.named, f.ended = make(map[uint64]*call), make([]uint64, endedLen)
	}
}

// concurrent reports whether replies can be told apart.
func (f *flight) concurrent() bool { return f.match != nil || f.id != nil }

// nameOf reads the id in a message, under no lock.
func (f *flight) nameOf(message []byte) name {
	if f.id == nil {
		return name{}
	}
	id, ok := f.id(message)
	return name{id, ok}
}

// begin makes a call, or takes one that has ended.
func (f *flight) begin(request []byte) *call {
	f.mu.Lock()
	var c *call
	if n := len(f.idle); n > 0 {
		c, f.idle = f.idle[n-1], f.idle[:n-1]
	} else {
		c = &call{wake: make(chan struct{}, 1), timer: time.NewTimer(forever)}
	}
	f.mu.Unlock()
	if f.match != nil {
		c.request = append(c.request[:0], request...)
	}
	c.name = f.nameOf(request)
	c.began = time.Now()
	return c
}

// addLocked puts c in flight.
func (f *flight) addLocked(c *call) error {
	if f.id != nil {
		switch {
		case !c.name.ok:
			return errNoID
		case f.named[c.name.id] != nil:
			return errSameID
		}
		f.named[c.name.id] = c
	}
	f.inFlight = append(f.inFlight, c)
	return nil
}

// removeLocked takes c out of flight, if it is, but remembers its id: replies to it
// are late, not strange.
func (f *flight) removeLocked(c *call) {
	i := slices.Index(f.inFlight, c)
	if i < 0 {
		return
	}
	f.inFlight = slices.Delete(f.inFlight, i, i+1)
	if f.id != nil {
		delete(f.named, c.name.id)
		f.ended[f.nEnded%len(f.ended)] = c.name.id
		f.nEnded++
	}
}

// wasLocked reports whether the name is that of one of the last calls, or of one
// that has its reply and whose caller has not come back yet.
func (f *flight) wasLocked(n name) bool {
	c := f.named[n.id]
	return n.ok && (c != nil && c.done || slices.Contains(f.ended[:min(f.nEnded, len(f.ended))], n.id))
}

// findLocked returns the call that a message with that name answers. scan is the
// reader's, to be used again.
func (f *flight) findLocked(scan *[]*call, message []byte, n name) *call {
	*scan = (*scan)[:0]
	switch c := f.named[n.id]; {
	case f.id == nil:
		*scan = append(*scan, f.inFlight...)
	case n.ok && c != nil:
		*scan = append(*scan, c)
	}
	found := f.askLocked(*scan, message)
	clear(*scan)
	return found
}

// askLocked asks Match, if there is one, about each call in turn, and lets go of mu
// while it runs. The calls are pinned meanwhile: Match needs their requests.
func (f *flight) askLocked(all []*call, message []byte) *call {
	for _, c := range all {
		c.pins++
	}
	i := min(0, len(all)-1)
	if f.match != nil {
		f.mu.Unlock()
		i = slices.IndexFunc(all, func(c *call) bool { return f.match(c.request, message) })
		f.mu.Lock()
	}
	var found *call
	if i >= 0 && !all[i].left && !all[i].done {
		found = all[i]
	}
	for _, c := range all {
		c.pins--
		f.recycleLocked(c)
	}
	return found
}

// recycleLocked keeps c for another call once nobody needs it.
func (f *flight) recycleLocked(c *call) {
	if !c.left || c.pins > 0 {
		return
	}
	c.timer.Stop()
	select {
	case <-c.wake:
	default:
	}
	clear(c.tries)
	*c = call{wake: c.wake, timer: c.timer, request: c.request[:0], tries: c.tries[:0]}
	f.idle = append(f.idle, c)
}

// signal lets the caller look.
func (c *call) signal() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// until is how long it is to t; a zero t never comes.
func (c *call) until(t time.Time) time.Duration {
	if t.IsZero() {
		return forever
	}
	return time.Until(t)
}
