package guard

import (
	"context"
	"errors"
	"net"
	"os"
	"time"

	"example.com/sockets/internal/operr"
)

// Break makes the conversation void: a message was cut in the middle, or nobody
// knows which reply comes next. Reads of messages and all writes return cause, but
// as the end that it is: not as a timeout, if it was one.
func (g *Guard) Break(cause error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.why.broken == nil {
		if operr.IsTimeout(cause) {
			cause = void{cause}
		}
		g.ownReasonsLocked().broken = cause
	}
	g.wakeReadLocked()
	g.wakeWriteLocked()
}

// void is a timeout that ended a conversation, for all that comes later: it is the
// same for errors.Is and errors.As, except that it is no timeout any more, or a loop
// that retries those would not end.
type void struct{ cause error }

func (v void) Error() string { return "an earlier " + v.cause.Error() }

// Advice is what sockets.Explain says of it.
func (v void) Advice() string {
	return "An earlier exchange on this connection did not end in time, so that nobody can tell any more which reply comes next. " +
		"Close it and dial again; a client.Pool does so by itself."
}

func (v void) Is(target error) bool {
	return target != os.ErrDeadlineExceeded && target != context.DeadlineExceeded && errors.Is(v.cause, target)
}

func (v void) As(target any) bool {
	_, timeout := target.(*net.Error)
	return !timeout && errors.As(v.cause, target)
}

// Broken is why the conversation is void, nil if it is not.
func (g *Guard) Broken() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.why.broken
}

// Over is why no message can follow: the connection was closed on this side, or
// the conversation is void.
func (g *Guard) Over() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.overLocked()
}

// BeginCall starts a call: what it reads and writes ends with ctx, and at until if
// that is not zero. EndCall is given what it returns.
func (g *Guard) BeginCall(ctx context.Context, until time.Time) (stop func() bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.callAt = g.instant(until)
	if ctx.Done() == nil {
		return nil
	}
	g.call++
	this := g.call
	return context.AfterFunc(ctx, func() { g.cutCall(this, operr.OfContext(ctx)) })
}

// EndCall ends a call. Its watcher is harmless from now on: it may be running at
// this moment, and must not hit the next one.
func (g *Guard) EndCall(stop func() bool) {
	if stop != nil {
		stop()
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.callAt = never
	if g.why.call != nil {
		g.why.call = nil // so it is our own
	}
	g.call++
}

// cutCall ends what a call waits for. What that means for the conversation is for
// the call to say: it knows whether anything was sent, and whether the reply came
// in this very moment.
func (g *Guard) cutCall(call uint32, cause error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.call == call {
		g.callAt, g.ownReasonsLocked().call = expired, cause
		g.wakeReadLocked()
		g.wakeWriteLocked()
	}
}
