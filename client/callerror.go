package client

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"example.com/sockets"
	"example.com/sockets/internal/operr"
)

// unanswered is a call that ended without a reply. It matches the cause and what
// had gone wrong before.
type unanswered struct {
	attempts int
	elapsed  time.Duration
	cause    error
	trouble  error // may be nil
}

// Error prints "no reply to 4 attempts in 1s: deadline exceeded (port
// unreachable: ...)".
func (e *unanswered) Error() string {
	var b strings.Builder
	s := "s"
	if e.attempts == 1 {
		s = ""
	}
	fmt.Fprintf(&b, "no reply to %d attempt%s in %v: %v", e.attempts, s, e.elapsed, e.cause)
	if e.trouble != nil && e.trouble != e.cause {
		fmt.Fprintf(&b, " (%v)", e.trouble)
	}
	return b.String()
}

// Unwrap returns the cause and the trouble.
func (e *unanswered) Unwrap() []error {
	if e.trouble == nil {
		return []error{e.cause}
	}
	return []error{e.cause, e.trouble}
}

// callErrorLocked says why c failed, with what was tried and what had gone wrong.
func (u *UDP) callErrorLocked(c *call, err error) error {
	attempts, sent := 0, 0
	for i := range c.tries {
		attempts += c.tries[i].attempts
		sent += c.tries[i].sent
	}
	p := u.pathLocked()
	if attempts > 0 && !errors.Is(err, sockets.ErrTruncated) && !errors.Is(err, sockets.ErrTooLong) {
		err = &unanswered{attempts, roundTo(time.Since(c.began)), err, c.troubleLocked()}
	}
	return &operr.Error{Op: "call", Local: p.localLocked(), Remote: p.to, Unsent: sent == 0, Err: err}
}

// troubleLocked is what went wrong on the paths of c while it was in flight, with
// their addresses if there are several; nil if nothing did.
func (c *call) troubleLocked() error {
	var all failures
	for i := range c.tries {
		p := c.tries[i].path
		switch {
		case p.trouble == nil || p.troubled.Before(c.began):
		case len(c.tries) == 1:
			return p.trouble
		default:
			all = append(all, fmt.Errorf("%v: %w", p.to, p.trouble))
		}
	}
	if all == nil {
		return nil
	}
	return all
}

// roundTo keeps three digits or so: an error is read, not computed with.
func roundTo(d time.Duration) time.Duration {
	for _, unit := range []time.Duration{time.Second, time.Millisecond, time.Microsecond} {
		if d >= 10*unit {
			return d.Round(unit / 10)
		}
	}
	return d
}

// failure is the error of Send and Receive, nil if err is.
func (u *UDP) failure(op string, err error) error {
	if err == nil {
		return nil
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	p := u.pathLocked()
	return &operr.Error{Op: op, Local: p.localLocked(), Remote: p.to, Unsent: true, Err: err}
}
