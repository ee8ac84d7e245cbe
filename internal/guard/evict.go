package guard

import (
	"time"

	"example.com/sockets/internal/sockopt"
)

// IdleSince is when the connection began to be idle: it waits for the first byte of
// a message, or its handler, which does not tell idle from busy, waits in a read and
// no byte has moved since. ok is false while it is busy.
func (g *Guard) IdleSince() (t time.Time, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	at, ok := g.idleLocked()
	return g.start.Add(at), ok
}

// Evict ends the connection if it has been idle since t, and no byte has come that
// nobody has read yet.
func (g *Guard) Evict(t time.Time) bool {
	g.mu.Lock()
	at, ok := g.idleLocked()
	g.mu.Unlock()
	if !ok || !g.start.Add(at).Equal(t) {
		return false
	}
	if n, _ := sockopt.Unread(g.raw); n > 0 {
		return false
	}
	g.End(ErrEvicted)
	return true
}

func (g *Guard) idleLocked() (time.Duration, bool) {
	if !g.waiting || g.why.ended != nil || g.upgrading != nil {
		return 0, false
	}
	switch {
	case g.wait == Next:
		return g.idle, true
	case g.wait == Own && !g.parks && !g.passing:
		return max(g.idle, time.Duration(g.moved.Load())), true
	}
	return 0, false
}
