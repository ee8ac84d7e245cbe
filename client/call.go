package client

import (
	"context"
	"errors"
	"net"
	"slices"
	"time"

	"example.com/sockets/internal/operr"
)

// call is a request that waits for its reply.
type call struct {
	wake  chan struct{} // one slot: look what has changed
	timer *time.Timer
	began time.Time
	limit time.Time // zero: the context is the only one
	id    uint64    // see Dialer.ID
	named bool      // the request has one

	// Guarded by UDP.mu.
	request []byte // a copy for Match, which may run when the caller has left
	pins    int    // readers that look at it
	left    bool   // the caller has
	done    bool   // reply or err has come
	reply   []byte
	err     error
	tries   []try
}

// Call sends request and returns the reply, which is the caller's. As long as
// none comes the request is sent again, after RTT.Timeout, then twice as long,
// and so on: so it may be executed more than once. While no address of the
// destination has answered, all are tried, 250 ms apart.
//
// A call ends with ctx, with the cause of that, or after Dialer.Timeout if ctx
// has no deadline; with net.ErrClosed after Close; with sockets.ErrTruncated for
// a reply over MaxReply; with sockets.ErrTooLong for a request that no datagram
// holds; after Retry.Attempts; and, with Dialer.FailFast, with
// ErrPortUnreachable. The error says how many attempts were made, and if nothing
// was sent sockets.NotSent is true. Datagrams that answer nothing do not end it.
//
// Without Dialer.Match or Dialer.ID one call runs at a time and the others wait, which counts
// as their time, and after one that failed or was sent again the local port is
// changed, so that no late reply can answer the next.
func (u *UDP) Call(ctx context.Context, request []byte) (reply []byte, err error) {
	c := u.begin(ctx, request)
	if err = u.enter(ctx, c); err != nil {
		return u.end(c, err)
	}
	err = u.converse(ctx, c, request)
	reply, err = u.end(c, err)
	u.leave()
	return reply, err
}

// begin makes a call, or takes one that has ended.
func (u *UDP) begin(ctx context.Context, request []byte) *call {
	u.mu.Lock()
	var c *call
	if n := len(u.idle); n > 0 {
		c, u.idle = u.idle[n-1], u.idle[:n-1]
	} else {
		c = &call{wake: make(chan struct{}, 1), timer: time.NewTimer(forever)}
	}
	u.stats.Calls++
	u.stats.InFlight++
	u.mu.Unlock()
	if u.d.Match != nil {
		c.request = append(c.request[:0], request...)
	}
	if u.d.ID != nil {
		c.id, c.named = u.d.ID(request)
	}
	c.began = time.Now()
	if _, ok := ctx.Deadline(); !ok && u.d.timeout() > 0 {
		c.limit = c.began.Add(u.d.timeout())
	}
	return c
}

// enter waits for the call's turn, if there are turns, and puts it in flight. It
// holds the turn when it returns nil.
func (u *UDP) enter(ctx context.Context, c *call) error {
	if ctx.Err() != nil {
		return operr.OfContext(ctx)
	}
	if !u.d.concurrent() {
		c.timer.Reset(c.until(c.limit))
		select {
		case u.turn <- struct{}{}:
		case <-c.timer.C:
			return operr.ErrTimeout
		case <-ctx.Done():
			return operr.OfContext(ctx)
		case <-u.closed:
			return net.ErrClosed
		}
	}
	return u.register(c)
}

var (
	errNoID   = errors.New("the request has no id")
	errSameID = errors.New("a call in flight has the same id")
)

// register puts c in flight.
func (u *UDP) register(c *call) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.d.ID != nil {
		switch _, taken := u.named[c.id]; {
		case !c.named:
			return errNoID
		case taken:
			c.named = false // the name is the other's
			return errSameID
		}
		u.named[c.id] = c
	}
	for _, p := range u.paths {
		c.tries = append(c.tries, try{path: p, rtt: p.rtt, failures: p.failures})
	}
	u.inFlight = append(u.inFlight, c)
	return nil
}

// leave ends the turn.
func (u *UDP) leave() {
	if !u.d.concurrent() {
		<-u.turn
	}
}

// until is how long it is to t; a zero t never comes.
func (c *call) until(t time.Time) time.Duration {
	if t.IsZero() {
		return forever
	}
	return time.Until(t)
}

// converse sends and waits, in turns, until there is a reply or no hope of one.
func (u *UDP) converse(ctx context.Context, c *call, request []byte) error {
	for {
		next, err := u.sendDue(ctx, c, request)
		if err != nil {
			return err
		}
		c.timer.Reset(c.until(next))
		select {
		case <-c.wake:
		case <-c.timer.C:
		case <-ctx.Done():
			return operr.OfContext(ctx)
		case <-u.closed:
			return net.ErrClosed
		}
		switch done, err := u.look(c); {
		case done || err != nil:
			return err
		case !c.limit.IsZero() && !time.Now().Before(c.limit):
			return operr.ErrTimeout
		}
	}
}

// end takes c out of flight and returns how it ended. A reply that came at the
// last moment counts.
func (u *UDP) end(c *call, err error) ([]byte, error) {
	u.mu.Lock()
	if i := slices.Index(u.inFlight, c); i >= 0 {
		u.inFlight = slices.Delete(u.inFlight, i, i+1)
		u.forgetLocked(c)
	}
	reply := c.reply
	if c.done {
		err = c.err
	}
	if err != nil {
		u.stats.Failed++
		err = u.callErrorLocked(c, err)
	}
	if !u.d.concurrent() {
		u.retireLocked(c, err != nil)
	}
	var losers []*socket
	if u.chosen != nil && len(u.inFlight) == 0 {
		losers = u.detachLocked(u.chosen)
	}
	u.stats.InFlight--
	c.left = true
	u.recycleLocked(c)
	u.mu.Unlock()
	closeAll(losers)
	return reply, err
}

// forgetLocked frees the id of c, but remembers that it was one: replies to it
// are late, not strange.
func (u *UDP) forgetLocked(c *call) {
	if u.d.ID == nil {
		return
	}
	delete(u.named, c.id)
	u.ended[u.nEnded%len(u.ended)] = c.id
	u.nEnded++
}

// retireLocked gives up the local ports at which a reply to c may still arrive:
// nothing could tell it from the reply to the next call.
func (u *UDP) retireLocked(c *call, failed bool) {
	for i := range c.tries {
		t := &c.tries[i]
		if s := t.path.socket; s != nil && !s.retired && (t.sent > 1 || failed && t.sent > 0) {
			s.retired = true
			u.stats.Retired++
		}
	}
}

// recycleLocked keeps c for another call once nobody needs it.
func (u *UDP) recycleLocked(c *call) {
	if !c.left || c.pins > 0 {
		return
	}
	select {
	case <-c.wake:
	default:
	}
	clear(c.tries)
	*c = call{wake: c.wake, timer: c.timer, request: c.request[:0], tries: c.tries[:0]}
	u.idle = append(u.idle, c)
}

// signal lets the caller look.
func (c *call) signal() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// try is what c does on p, nil if nothing.
func (c *call) try(p *path) *try {
	for i := range c.tries {
		if c.tries[i].path == p {
			return &c.tries[i]
		}
	}
	return nil
}
