package guard

import (
	"context"
	"time"

	"example.com/sockets/internal/operr"
)

// Break makes the conversation void: a message was cut in the middle, or nobody
// knows which reply comes next. Reads of messages and all writes return cause.
func (g *Guard) Break(cause error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.breakLocked(cause)
}

func (g *Guard) breakLocked(cause error) {
	if g.broken == nil {
		g.broken = cause
	}
	g.wakeReadLocked()
	g.wakeWriteLocked()
}

// Broken is why the conversation is void, nil if it is not.
func (g *Guard) Broken() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.broken
}

// BeginCall starts a call: what it reads and writes ends with ctx, or after limit
// if ctx has no end of its own. The returned function ends the call.
func (g *Guard) BeginCall(ctx context.Context, limit time.Duration) (end func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.callAt = never
	if _, ok := ctx.Deadline(); !ok && limit > 0 {
		g.callAt = g.now() + limit
	}
	if ctx.Done() == nil {
		return g.endCall
	}
	g.call++
	this := g.call
	stop := context.AfterFunc(ctx, func() { g.breakCall(this, operr.OfContext(ctx)) })
	return func() { stop(); g.endCall() }
}

// endCall makes the watcher of a call that is over harmless: it may be running at
// this moment, and must not hit the next one.
func (g *Guard) endCall() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.callAt = never
	g.call++
}

func (g *Guard) breakCall(call uint32, cause error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.call == call {
		g.breakLocked(cause)
	}
}
