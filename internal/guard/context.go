package guard

import (
	"context"
	"sync"
	"time"
)

// Context is the context of one connection. It carries its parent's values, is
// not ended by its parent, and ends with the connection, with the cause.
//
// Most handlers never look at it, so it is a few words until one does. Then a
// context of the standard library takes its place, which Value hands out: so
// contexts derived from it attach themselves without a goroutine, as the context
// package does for its own, and context.Cause finds the cause. (An AfterFunc
// method of our own would save the goroutine but lose the cause.)
type Context struct {
	parent context.Context // values only

	ctxMu sync.Mutex
	inner *cancelCtx // made by the first who asks
	over  error      // the cause, once it has ended
}

type cancelCtx struct {
	context.Context
	cancel context.CancelCauseFunc
}

// Deadline: there is none.
func (*Context) Deadline() (time.Time, bool) { return time.Time{}, false }

// Done is closed when the connection is closed on this side.
func (c *Context) Done() <-chan struct{} { return c.ask().Done() }

// Err is context.Canceled once the context has ended; context.Cause tells why.
func (c *Context) Err() error {
	c.ctxMu.Lock()
	defer c.ctxMu.Unlock()
	switch {
	case c.inner != nil:
		return c.inner.Err() // not before Done is closed
	case c.over != nil:
		return context.Canceled
	}
	return nil
}

// Value returns the parent's.
func (c *Context) Value(key any) any { return c.ask().Value(key) }

func (c *Context) ask() context.Context {
	c.ctxMu.Lock()
	defer c.ctxMu.Unlock()
	if c.inner == nil {
		ctx, cancel := context.WithCancelCause(context.WithoutCancel(c.parent))
		c.inner = &cancelCtx{ctx, cancel}
		if c.over != nil {
			cancel(c.over)
		}
	}
	return c.inner
}

func (c *Context) end(cause error) {
	c.ctxMu.Lock()
	c.over = cause
	inner := c.inner
	c.ctxMu.Unlock()
	if inner != nil {
		inner.cancel(cause) // runs what was derived, so under no lock
	}
}
