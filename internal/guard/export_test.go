package guard

import "time"

// ArmedRead is the read deadline that is set: one that does not move was not set
// again.
func (g *Guard) ArmedRead() time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.armedRead
}

// ArmedWrite is the same for the write deadline.
func (g *Guard) ArmedWrite() time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.armedWrite
}
