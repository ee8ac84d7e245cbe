package tcpserver

// slots are the turns of connections: one is held by each whose handler runs.
// Having as many as the limit allows, and no counter beside them, makes the limit
// exact, and whoever gives one back wakes whoever waits.
type slots struct {
	taken chan struct{} // nil: no limit
}

func newSlots(n int) slots {
	if n < 0 {
		return slots{}
	}
	return slots{make(chan struct{}, n)}
}

// take waits for a slot, and reports false if stop is closed first.
func (s slots) take(stop <-chan struct{}) bool {
	if s.taken == nil {
		return true
	}
	select {
	case s.taken <- struct{}{}:
		return true
	default:
	}
	select {
	case s.taken <- struct{}{}:
		return true
	case <-stop:
		return false
	}
}

func (s slots) give() {
	if s.taken != nil {
		<-s.taken
	}
}

func (s slots) limit() int {
	if s.taken == nil {
		return -1
	}
	return cap(s.taken)
}
