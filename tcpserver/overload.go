package tcpserver

import (
	"slices"
	"sync"
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
	for {
		again := time.NewTimer(s.evictIdle())
		select {
		case s.handlers.taken <- struct{}{}:
			again.Stop()
			return admitted
		case <-stop:
			again.Stop()
			return stopped
		case <-again.C:
		}
	}
}

// evictIdle closes the connection that has been idle the longest, if that is long
// enough, and returns when to come back if no slot has become free by then.
func (s *Server) evictIdle() (again time.Duration) {
	for {
		c, since, wait := s.idlers.next(s)
		if c == nil {
			return wait
		}
		if c.guard.Evict(since) {
			s.evicted.Add(1)
			return idleEnough // for its handler to end
		}
	}
}

// idlers are the connections that have been idle the longest, as of the last look
// at all of them. It stays right without another: whoever becomes idle later has
// been idle for less time than all of these, and who was busy since is found out.
type idlers struct {
	mu    sync.Mutex
	queue []idler // longest idle first
}

type idler struct {
	c     *connection
	since time.Time
}

// mostIdlers bounds what is remembered of connections that may be gone.
const mostIdlers = 64

// next takes out the connection that has been idle the longest, or says how long it
// is until one will have been so for long enough.
func (l *idlers) next(s *Server) (c *connection, since time.Time, wait time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for looked := false; ; {
		if len(l.queue) == 0 {
			if looked {
				return nil, time.Time{}, idleEnough
			}
			looked = true
			l.queue = longestIdle(s.connections())
			continue
		}
		first := l.queue[0]
		now, ok := first.c.guard.IdleSince()
		if ok && now.Equal(first.since) {
			if idle := time.Since(first.since); idle < idleEnough {
				return nil, time.Time{}, idleEnough - idle
			}
		}
		l.queue = l.queue[1:]
		if ok && now.Equal(first.since) {
			return first.c, first.since, 0
		}
	}
}

func longestIdle(all []*connection) (queue []idler) {
	for _, c := range all {
		if since, ok := c.guard.IdleSince(); ok {
			queue = append(queue, idler{c, since})
		}
	}
	slices.SortFunc(queue, func(a, b idler) int { return a.since.Compare(b.since) })
	return slices.Clone(queue[:min(len(queue), mostIdlers)])
}
