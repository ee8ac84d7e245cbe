package client

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"time"

	"example.com/sockets"
	"example.com/sockets/internal/operr"
)

// try is what a call does on one path. Its last three fields are the caller's, the
// others are guarded by UDP.mu.
type try struct {
	path     *path
	rtt      RTT       // the path's when the call began, and its doublings since
	attempts int       // to send
	sent     int       // of these, taken by the system
	since    time.Time // the last of them
	due      time.Time // to send next; zero: not before another fails
	failures int       // path.failures, as far as seen
	dead     bool      // the port was unreachable since the call began
}

// stagger is how long an address has for itself before the next one is tried too
// (RFC 8305, 5).
const stagger = 250 * time.Millisecond

// errNoMore: the last attempt that Retry grants has had its time.
var errNoMore = errors.New("no attempt is left")

// sendDue sends on every path whose time has come, and returns when the next
// one's does.
func (u *UDP) sendDue(ctx context.Context, c *call, request []byte) (next time.Time, err error) {
	u.follow(c)
	for i := range c.tries {
		t := &c.tries[i]
		now := time.Now()
		if !t.due.IsZero() && !now.Before(t.due) {
			failed, err := u.attempt(ctx, t, request)
			if err != nil {
				return next, err
			}
			c.hurry(i+1, now, failed)
		}
		if next.IsZero() || !t.due.IsZero() && t.due.Before(next) {
			next = t.due
		}
	}
	if next.IsZero() {
		return next, errNoMore
	}
	if !c.limit.IsZero() && c.limit.Before(next) {
		next = c.limit
	}
	return next, nil
}

// follow leaves the paths that lost, once one has answered, to this call or to
// another.
func (u *UDP) follow(c *call) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for i := range c.tries {
		t := &c.tries[i]
		switch {
		case u.chosen != nil && t.path != u.chosen:
			t.due = time.Time{}
		case t.attempts == 0 && t.due.IsZero() && (i == 0 || u.chosen != nil):
			t.due = time.Now()
		}
	}
}

// hurry lets the path i begin: now if the one before it has failed, otherwise
// after a while.
func (c *call) hurry(i int, now time.Time, failed bool) {
	if i >= len(c.tries) || c.tries[i].attempts > 0 {
		return
	}
	if t := &c.tries[i]; failed {
		t.due = now
	} else if t.due.IsZero() {
		t.due = now.Add(stagger)
	}
}

// attempt sends once on t's path and says when to send again, and whether the
// path failed. An error is one that trying again does not mend.
func (u *UDP) attempt(ctx context.Context, t *try, request []byte) (failed bool, err error) {
	if most := u.d.Retry.Attempts; most > 0 && t.attempts >= most {
		t.due = time.Time{}
		return true, nil
	}
	now := time.Now()
	u.mu.Lock()
	t.due = now.Add(jitter(t.rtt.Timeout()))
	t.rtt.Backoff()
	t.attempts++
	t.sent++ // before it is: the reply may be here before Write returns
	t.since = now
	if t.sent > 1 {
		u.stats.Repeated++
	}
	u.mu.Unlock()
	if err = u.transmit(ctx, t.path, request); err == nil {
		return false, nil
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	t.sent--
	switch {
	case u.isClosed:
		return true, net.ErrClosed
	case ctx.Err() != nil:
		return true, operr.OfContext(ctx)
	case errors.Is(err, sockets.ErrTooLong):
		return true, err
	}
	return true, nil
}

// jitter lengthens a wait by up to a quarter. It does not shorten it: a timeout
// was chosen so that the reply would be here.
func jitter(d time.Duration) time.Duration {
	d = min(d, forever) // a user's own for ever must not become the past
	return d + rand.N(d/4+1)
}

// look takes notice of what has come: the reply, or bad news about a path.
func (u *UDP) look(c *call) (done bool, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if c.done {
		return true, nil
	}
	dead := 0
	for i := range c.tries {
		t := &c.tries[i]
		if t.failures != t.path.failures {
			t.failures = t.path.failures
			t.dead = errors.Is(t.path.trouble, ErrPortUnreachable)
			c.hurry(i+1, time.Now(), true)
		}
		if t.dead {
			dead++
			err = t.path.trouble
		}
	}
	if u.d.FailFast && (dead == len(c.tries) || dead > 0 && u.chosen != nil) {
		return false, err
	}
	return false, nil
}
