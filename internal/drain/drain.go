// Package drain is the life of everything that a server runs: registered, asked
// to end, cut off, given up. Both servers stop through it, and nothing else in
// this module waits for a handler.
//
// A Set is one call of Serve. Whatever that call starts is a Member and is in
// the Set from before its goroutine starts until the last thing it does, so an
// empty Set means that nothing of the call is left.
package drain

import (
	"sync"
	"time"
)

// Abandon is how long a stop waits, after the members were cut off, before it
// gives up on those that still run.
const Abandon = time.Second

// Member is what a Set runs. Both methods are called from the goroutine that
// stops the Set, or from one that it waits for, never under a lock.
type Member interface {
	// Drain asks the member to end when it is idle. It must not block.
	Drain()
	// Cut takes from the member what it needs to go on, so that it ends
	// soon. It may block: every member is cut in a goroutine of its own. A
	// member waits for its Cut before it leaves, or Stop could not say that
	// this is what is left.
	Cut()
}

// Phase is how far the life of a Set has come.
type Phase uint8

// The phases, in their order.
const (
	Serving  Phase = iota // members come and go
	Draining              // members were asked to end; late ones still get in
	Closed                // members were cut off; nobody gets in
)

// Entry ties a Member to its Set. It is embedded in what it registers, so that
// a registration allocates nothing. The zero Entry is ready to Add; after Remove
// it may be added again.
type Entry struct {
	prev, next *Entry
	member     Member
}

// Set holds the members of one call of Serve. The zero Set is ready to use.
type Set struct {
	mu      sync.Mutex
	head    Entry // a ring; head.next is the oldest member
	n       int
	cutting int // calls of Cut that have not returned
	phase   Phase
	empty   chan struct{} // made by Stop, closed when nothing is left
}

// Add registers m, whose registration e is, under the lock that Stop takes to
// change the phase, and returns the phase it was registered in. Once Stop has
// begun only a member may add another, or the Set could have been found empty.
// One added while Draining was not asked to end: whoever adds it sees to that.
// In phase Closed it is not registered and must not be started.
func (s *Set) Add(e *Entry, m Member) Phase {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.phase == Closed {
		return Closed
	}
	if s.head.next == nil {
		s.head.next, s.head.prev = &s.head, &s.head
	}
	e.member = m
	e.prev, e.next = s.head.prev, &s.head
	e.prev.next, s.head.prev = e, e
	s.n++
	return s.phase
}

// Remove ends the registration of e. It is the last thing a member does.
func (s *Set) Remove(e *Entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e.prev.next, e.next.prev = e.next, e.prev
	e.prev, e.next, e.member = nil, nil, nil
	s.n--
	s.announceLocked()
}

// Len is the number of members.
func (s *Set) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.n
}

// Members returns the members of this moment, the oldest first.
func (s *Set) Members() []Member {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.membersLocked()
}

// Stop drains the members, waits for them for grace (none if it is negative),
// cuts off those that are left, and waits for these for Abandon. It returns who
// was cut off, and who of them had to be left running. It is called once.
func (s *Set) Stop(grace time.Duration) (cut, abandoned []Member) {
	for _, m := range s.enter(Draining) {
		m.Drain()
	}
	if s.wait(grace) {
		return nil, nil
	}
	cut = s.enter(Closed)
	for _, m := range cut {
		// A Close may block: a foreign connection's, or a socket's whose
		// user set SO_LINGER. One that does must not shield the others.
		go s.cut(m)
	}
	if s.wait(Abandon) {
		return cut, nil
	}
	return cut, s.Members()
}

func (s *Set) enter(p Phase) []Member {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.phase = p
	s.empty = make(chan struct{})
	if p == Closed {
		s.cutting = s.n
	}
	s.announceLocked()
	return s.membersLocked()
}

func (s *Set) cut(m Member) {
	m.Cut()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cutting--
	s.announceLocked()
}

// wait reports whether the last member left within d.
func (s *Set) wait(d time.Duration) bool {
	if d <= 0 {
		select {
		case <-s.empty:
			return true
		default:
			return false
		}
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-s.empty:
		return true
	case <-t.C:
		return false
	}
}

func (s *Set) announceLocked() {
	if s.n > 0 || s.cutting > 0 || s.empty == nil {
		return
	}
	select {
	case <-s.empty: // a latecomer came and went
	default:
		close(s.empty)
	}
}

func (s *Set) membersLocked() []Member {
	all := make([]Member, 0, s.n)
	for e := s.head.next; e != nil && e != &s.head; e = e.next {
		all = append(all, e.member)
	}
	return all
}
