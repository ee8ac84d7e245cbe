package guard

import (
	"syscall"
	"time"

	"example.com/sockets/internal/errno"
	"example.com/sockets/internal/sockopt"
)

// ErrOneWay is how a relay ends a source whose other end is a connection that has
// no half-close and whose own source has ended.
const ErrOneWay Reason = "the other direction has ended, and the connection has no half-close"

// BeginRelay says that from now on what is read is passed on, whatever was read
// before: the connection is idle when no byte moves.
func (g *Guard) BeginRelay() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.parks = false
}

// EndIdle ends the reading as a stop does: when no byte has moved for a moment, and
// none has come.
func (g *Guard) EndIdle(why Reason) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.drainAt != never {
		return
	}
	if g.draining == nil {
		g.draining = make(chan struct{}) // which no server closes
	}
	g.drainAt, g.ownReasonsLocked().drain = g.now(), why
	g.wakeReadLocked()
}

// Watch takes the place of a read after the peer's EOF: the connection may still be
// written to, and can be found idle, or be ended. That is what it returns; nil when
// done is closed before.
func (g *Guard) Watch(done <-chan struct{}) error {
	draining := g.Draining()
	defer g.endWatch()
	for {
		left, why := g.watch()
		if left <= 0 {
			return why
		}
		t := time.NewTimer(left)
		select {
		case <-t.C:
		case <-draining:
			draining = nil // watch has its instant now
		case <-g.Done():
			t.Stop()
			return g.Ended()
		case <-done:
			t.Stop()
			return nil
		}
		t.Stop()
	}
}

// watch is in how much time the connection is idle for too long, and why that is
// its end.
func (g *Guard) watch() (left time.Duration, why error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.now()
	if g.idle == never {
		g.idle = now
	}
	g.wait, g.waiting = Own, true // so that it may be evicted
	at := never
	g.soonerQuiet(func(t time.Duration, reason error) {
		if t < at {
			at, why = t, reason
		}
	})
	return at - now, why
}

func (g *Guard) endWatch() {
	g.mu.Lock()
	g.waiting = false
	g.mu.Unlock()
}

// Severed reports whether an EOF that was just read may hide a reset: the system
// tells of one once, and perhaps it was a write that was told. Nothing more is read.
func (g *Guard) Severed() bool {
	half, ok := g.raw.(interface{ CloseRead() error })
	return ok && errno.Is(half.CloseRead(), syscall.ENOTCONN)
}

// Settle waits until the peer has acknowledged what was written, for limit at most.
// The system reports it nowhere, so this asks again and again.
func (g *Guard) Settle(limit time.Duration) {
	const most = 50 * time.Millisecond
	for wait := time.Millisecond; limit > 0; wait = min(2*wait, most) {
		gone, _ := sockopt.Gone(g.raw)
		if n, ok := sockopt.Unacked(g.raw); gone || !ok || n == 0 {
			return
		}
		t := time.NewTimer(min(wait, limit))
		select {
		case <-t.C:
		case <-g.Done():
			t.Stop()
			return
		}
		limit -= wait
	}
}

// Reset ends the connection so that the peer takes it for no ordinary end: with a
// RST, where there is one. What it has not acknowledged may be lost.
func (g *Guard) Reset(cause error) {
	if s, ok := g.raw.(interface{ SetLinger(sec int) error }); ok {
		_ = s.SetLinger(0)
	}
	g.End(cause)
}
