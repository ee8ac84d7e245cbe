package udpserver

import (
	"math"
	"slices"
	"sync"
	"sync/atomic"
)

// slots are the handlers that may run at once, over all sockets of a Server.
// They are given to those who wait in the order in which they came, so that one
// busy socket can't keep them from another.
type slots struct {
	mu    sync.Mutex
	max   int
	used  int
	queue []chan struct{}
	line  atomic.Int32 // the length of queue
}

// limit sets how many there are, unless that was done before.
func (s *slots) limit(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.max != 0:
	case n == 0:
		s.max = 1024
	case n < 0:
		s.max = math.MaxInt
	default:
		s.max = n
	}
}

// try takes a slot if one is free and nobody waits for it.
func (s *slots) try() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.used >= s.max || len(s.queue) > 0 {
		return false
	}
	s.used++
	return true
}

// wait takes a slot, or gives up when stop is closed. turn has room for one
// element, and one goroutine at a time waits by it.
func (s *slots) wait(turn chan struct{}, stop <-chan struct{}) bool {
	if s.enqueue(turn) {
		return true
	}
	select {
	case <-turn:
		return true
	case <-stop:
	}
	if !s.leave(turn) { // it came at the same moment
		<-turn
		s.release()
	}
	return false
}

// enqueue reports true if there is a slot at once.
func (s *slots) enqueue(turn chan struct{}) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.used < s.max && len(s.queue) == 0 {
		s.used++
		return true
	}
	s.queue = append(s.queue, turn)
	s.line.Add(1)
	return false
}

// leave takes turn out of the queue, and reports false if it is not there.
func (s *slots) leave(turn chan struct{}) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, t := range s.queue {
		if t == turn {
			s.queue = append(s.queue[:i], s.queue[i+1:]...)
			s.line.Add(-1)
			return true
		}
	}
	return false
}

// release gives a slot back, or on to the first who waits.
func (s *slots) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queue) == 0 {
		s.used--
		return
	}
	s.queue[0] <- struct{}{}
	s.queue = append(s.queue[:0], s.queue[1:]...)
	s.line.Add(-1)
}

// wanted reports whether somebody waits for a slot by another turn than own.
func (s *slots) wanted(own chan struct{}) bool {
	if s.line.Load() == 0 {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(s.queue, func(turn chan struct{}) bool { return turn != own })
}
