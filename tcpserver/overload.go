package tcpserver

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// admission is what became of a connection that asked for a slot.
type admission uint8

const (
	admitted admission = iota
	rejected
	stopped // the wait ended first
)

// idleEnough is how long a connection must have been idle to be evicted: one that
// has just been answered may be about to ask again.
const idleEnough = time.Second

// admit takes a slot for a handler, by the policy for the case that none is free.
func (s *Server) admit(stop <-chan struct{}) admission {
	switch {
	case s.handlers.try():
		return admitted
	case s.Limits.Overload == Reject:
		return rejected
	case s.Limits.Overload == Block:
		if s.handlers.take(stop) {
			return admitted
		}
		return stopped
	}
	return s.admitForIdle(stop)
}

// admitForIdle takes a slot when one is free, and sees to it that one becomes so.
func (s *Server) admitForIdle(stop <-chan struct{}) admission {
	for !s.handlers.try() {
		gone, again := s.evictIdle()
		select {
		case s.handlers.taken <- struct{}{}:
			return admitted
		case <-stop:
			return stopped
		case <-gone: // its slot may be another's by now
		case <-time.After(again):
		}
	}
	return admitted
}

// evictIdle closes the connection that has been idle the longest, if that is long
// enough, and returns when to come back if no slot has become free by then: when the
// slot of the evicted has, or after some time.
func (s *Server) evictIdle() (gone <-chan struct{}, again time.Duration) {
	for range mostIdlers {
		c, since, wait := s.idlers.next(s)
		if c == nil {
			return nil, wait
		}
		left := s.idlers.leaves(c)
		if c.guard.Evict(since) {
			return left, idleEnough // for its handler to end
		}
		s.idlers.left(c)
	}
	return nil, idleEnough // so many that were about to be busy
}

// idlers are the connections that have been idle the longest, as of the last look
// at all of them. It stays right without another: whoever becomes idle later has
// been idle for less time than all of these, and who was busy since is found out.
type idlers struct {
	mu    sync.Mutex
	queue []idler // longest idle first
	// again is when another look may find one: who is not in the queue was
	// busy at the last. So a crowd that waits does not look all the time.
	again time.Time

	leaving atomic.Int64                  // len(slots)
	slots   map[*connection]chan struct{} // of evicted ones, closed when free
}

type idler struct {
	c     *connection
	since time.Time
}

// mostIdlers bounds what is remembered of connections that may be gone.
const mostIdlers = 64

// next takes out the connection that has been idle the longest, or says how long it
// is until one can have been so for long enough.
func (l *idlers) next(s *Server) (c *connection, since time.Time, wait time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		if len(l.queue) == 0 {
			if wait := time.Until(l.again); wait > 0 {
				return nil, time.Time{}, wait
			}
			l.look(s)
			continue
		}
		first := l.queue[0]
		now, ok := first.c.guard.IdleSince()
		same := ok && now.Equal(first.since)
		if idle := time.Since(first.since); same && idle < idleEnough {
			return nil, time.Time{}, idleEnough - idle
		}
		l.queue = l.queue[1:]
		if same {
			return first.c, first.since, 0
		}
	}
}

// look fills the queue.
func (l *idlers) look(s *Server) {
	begin := time.Now()
	var all []idler
	for _, c := range s.connections() {
		if since, ok := c.guard.IdleSince(); ok {
			all = append(all, idler{c, since})
		}
	}
	slices.SortFunc(all, func(a, b idler) int { return a.since.Compare(b.since) })
	l.queue = slices.Clone(all[:min(len(all), mostIdlers)])
	if len(all) <= mostIdlers {
		l.again = begin.Add(idleEnough)
	}
}

// leaves announces that c may be evicted. The channel is closed when its slot is free.
func (l *idlers) leaves(c *connection) <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.slots == nil {
		l.slots = map[*connection]chan struct{}{}
	}
	free := make(chan struct{})
	l.slots[c] = free
	l.leaving.Add(1)
	return free
}

// left says that the slot of c is free, if anybody cares.
func (l *idlers) left(c *connection) {
	if l.leaving.Load() == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if free, ok := l.slots[c]; ok {
		close(free)
		delete(l.slots, c)
		l.leaving.Add(-1)
	}
}
