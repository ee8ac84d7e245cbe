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

// Evict ends the connection if it has been idle since t, and reports whether it has
// been. Who reads ends it, unless a byte has come: nobody else knows whether one is in
// the reader's hands at this moment. After the peer's EOF nobody reads.
func (g *Guard) Evict(t time.Time) bool {
	g.mu.Lock()
	at, ok := g.idleLocked()
	n, _ := sockopt.Unread(g.raw)
	ok = ok && n == 0 && g.start.Add(at).Equal(t)
	if ok && !g.eof {
		g.evicting = true
		g.wakeReadLocked()
	}
	unread := g.eof
	g.mu.Unlock()
	if ok && unread {
		g.evict()
	}
	return ok
}

func (g *Guard) evict() {
	if c := g.limits.Evictions; c != nil {
		c.Add(1)
	}
	g.End(ErrEvicted)
}

func (g *Guard) idleLocked() (time.Duration, bool) {
	if !g.waiting || g.why.ended != nil || g.upgrading {
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
