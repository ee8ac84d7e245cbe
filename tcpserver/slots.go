package tcpserver

// slots are turns: one is held by each connection whose handler runs, or, of
// another set, by each that is in its handshake. Having as many as the limit
// allows, and no counter beside them, makes the limit exact, and whoever gives one
// back wakes whoever waits.
type slots struct {
	taken chan struct{} // nil: no limit
}

func newSlots(n int) *slots {
	if n < 0 {
		return &slots{}
	}
	return &slots{make(chan struct{}, n)}
}

// try takes a slot if one is free.
func (s *slots) try() bool {
	if s.taken == nil {
		return true
	}
	select {
	case s.taken <- struct{}{}:
		return true
	default:
		return false
	}
}

// take waits for a slot, and reports false if stop is closed first.
func (s *slots) take(stop <-chan struct{}) bool {
	if s.try() {
		return true
	}
	select {
	case s.taken <- struct{}{}:
		return true
	case <-stop:
		return false
	}
}

func (s *slots) give() {
	if s.taken != nil {
		<-s.taken
	}
}

// limit is how many there are, -1 without a limit.
func (s *slots) limit() int {
	if s.taken == nil {
		return -1
	}
	return cap(s.taken)
}
