package client

import (
	"context"
	"net"
	"time"

	"example.com/sockets/internal/operr"
)

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
// Without Dialer.Match or Dialer.ID one call runs at a time and the others wait,
// which counts as their time, and after one that failed or was sent again the
// local port is changed, so that no late reply can answer the next. What remains
// is a reply that the network itself doubles: only Match and ID see through that.
func (u *UDP) Call(ctx context.Context, request []byte) (reply []byte, err error) {
	u.count(func(s *UDPStats) { s.Calls++; s.InFlight++ })
	c := u.begin(request)
	c.limit = u.d.limit(ctx, c.began)
	if err = u.enter(ctx, c); err != nil {
		return u.end(c, err)
	}
	err = u.converse(ctx, c, request)
	reply, err = u.end(c, err)
	u.leave()
	return reply, err
}

// enter waits for the call's turn, if there are turns, and puts it in flight. It
// holds the turn when it returns nil.
func (u *UDP) enter(ctx context.Context, c *call) error {
	switch {
	case u.many != nil:
		return u.many
	case ctx.Err() != nil:
		return operr.OfContext(ctx)
	}
	if !u.concurrent() {
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
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.isClosed {
		u.leave()
		return net.ErrClosed
	}
	for _, p := range u.paths {
		c.tries = append(c.tries, try{path: p, rtt: p.rtt, failures: p.failures})
	}
	return u.addLocked(c)
}

// leave ends the turn.
func (u *UDP) leave() {
	if !u.concurrent() {
		<-u.turn
	}
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
	u.removeLocked(c)
	reply := c.reply
	if c.done {
		err = c.err
	}
	if err != nil {
		u.stats.Failed++
		err = u.callErrorLocked(c, err)
	}
	if !u.concurrent() {
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
	_ = closeAll(losers)
	return reply, err
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

// try is what c does on p, nil if nothing.
func (c *call) try(p *path) *try {
	for i := range c.tries {
		if c.tries[i].path == p {
			return &c.tries[i]
		}
	}
	return nil
}
