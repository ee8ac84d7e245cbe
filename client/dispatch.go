package client

import (
	"fmt"
	"time"

	"example.com/sockets"
)

// deliver hands a datagram to the call that it answers, or else to Receive, or
// counts why it did not. data is valid until deliver returns.
func (u *UDP) deliver(s *socket, data []byte, now time.Time) {
	limit := u.maxReply()
	cut := len(data) > limit
	data = data[:min(len(data), limit)]
	name := u.nameOf(data)
	u.mu.Lock()
	u.stats.Received++
	if cut {
		u.stats.Truncated++
	}
	s.path.trouble = nil
	var losers []*socket
	switch c := u.expectedLocked(s, data, name); {
	case c != nil:
		u.stats.Answers++
		u.answerLocked(c, s.path, data, cut, now)
	case s.retired, u.wasLocked(name), !u.pairing && len(u.inFlight) == 0:
		u.stats.Late++
	case !u.pairing:
		u.stats.Unmatched++
	default:
		u.keepLocked(data, cut)
		losers = u.chooseLocked(s.path)
	}
	u.mu.Unlock()
	_ = closeAll(losers)
}

// expectedLocked returns the call that data, which came to s, answers.
func (u *UDP) expectedLocked(s *socket, data []byte, name name) *call {
	if u.concurrent() {
		return u.findLocked(&s.scan, data, name)
	}
	if s.retired || len(u.inFlight) == 0 {
		return nil
	}
	c := u.inFlight[0] // the only one
	if t := c.try(s.path); c.done || t == nil || t.sent == 0 {
		return nil // one that has not asked here can't be answered from here
	}
	return c
}

// answerLocked ends c with what came over p.
func (u *UDP) answerLocked(c *call, p *path, data []byte, cut bool, now time.Time) {
	c.done = true
	if cut {
		c.err = tooLong(u.maxReply())
	} else {
		c.reply = append([]byte{}, data...)
	}
	if t := c.try(p); t != nil && t.sent > 0 {
		p.learn(t, now.Sub(t.since))
	}
	if u.chosen == nil {
		u.chosen = p // the losers are closed when no call needs them
	}
	c.signal()
}

// learn takes in how a call went. After one that had to be sent again the next
// begins with the timeout that worked (Karn), though with none over the one that
// suits an unknown destination.
func (p *path) learn(t *try, rtt time.Duration) {
	p.rtt.Sample(rtt, t.sent)
	if t.sent == 1 {
		return
	}
	p.rtt.doubled = t.rtt.doubled - 1 // it is doubled for the next attempt already
	for p.rtt.doubled > 0 && p.rtt.Timeout() > orDefault(p.rtt.First, firstTimeout) {
		p.rtt.doubled--
	}
}

func tooLong(limit int) error {
	return fmt.Errorf("%w: longer than %d bytes", sockets.ErrTruncated, limit)
}

// keepLocked keeps a datagram for Receive.
func (u *UDP) keepLocked(data []byte, cut bool) {
	l := letter{}
	if cut {
		l.err = tooLong(u.maxReply())
	} else {
		l.data = append([]byte{}, data...)
	}
	select {
	case u.inbox <- l:
		u.stats.Kept++
	default:
		u.stats.Overflowed++
	}
}

// chooseLocked makes p, which has answered, the only path if none is yet, and
// returns the sockets that are not needed any more, for closing.
func (u *UDP) chooseLocked(p *path) []*socket {
	if u.chosen == nil {
		u.chosen = p
	}
	if len(u.inFlight) > 0 {
		return nil
	}
	return u.detachLocked(u.chosen)
}

// bounced takes notice that a datagram came back.
func (u *UDP) bounced(s *socket, err error) {
	err = unreachable(err)
	u.mu.Lock()
	defer u.mu.Unlock()
	u.stats.Bounced++
	if s.retired || s.path.socket != s {
		return // news of a call that has ended
	}
	u.troubleLocked(s.path, err)
	if u.d.FailFast && len(u.inFlight) == 0 {
		u.reportLocked(err)
	}
}

// failed takes notice that s can't be read any more.
func (u *UDP) failed(s *socket, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.isClosed || s.path.socket != s {
		return // that is why
	}
	s.broken = true
	u.troubleLocked(s.path, err)
	u.reportLocked(err)
}

// note takes notice of something that did not go well on p.
func (u *UDP) note(p *path, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.troubleLocked(p, err)
}

// troubleLocked records what is wrong with p and lets the calls look at it.
func (u *UDP) troubleLocked(p *path, err error) {
	p.failures++
	p.trouble, p.troubled = err, time.Now()
	for _, c := range u.inFlight {
		c.signal()
	}
}

// reportLocked lets Receive end with err.
func (u *UDP) reportLocked(err error) {
	if !u.pairing {
		return
	}
	select {
	case u.inbox <- letter{err: err}:
	default: // there is enough to return
	}
}
