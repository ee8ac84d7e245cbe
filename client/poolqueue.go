package client

import (
	"context"
	"net"
	"slices"
	"time"

	"example.com/sockets/internal/operr"
)

// waiter is a call that waits for a connection.
type waiter struct {
	granted chan grant  // one slot: who grants does not wait
	late    *time.Timer // of a call whose context has no deadline
}

// grant is what becomes of a waiter: a connection or an error.
type grant struct {
	m   *member
	err error
}

// take returns a connection, at once where one is idle.
func (p *Pool) take(ctx context.Context, until time.Time) (*member, error) {
	m, err := p.takeIdle(ctx)
	if m == nil && err == nil {
		m, err = p.await(ctx, until)
	}
	return m, err
}

// takeIdle returns an idle connection that was well just now, nil if there is
// none.
func (p *Pool) takeIdle(ctx context.Context) (*member, error) {
	if ctx.Err() != nil {
		return nil, p.failure(operr.OfContext(ctx))
	}
	for {
		p.mu.Lock()
		if p.closing || len(p.idle) == 0 {
			p.mu.Unlock()
			return nil, nil
		}
		m := p.unparkLocked()
		p.mu.Unlock()
		seen := m.wake()
		if operr.IsTimeout(seen) { // by which it was woken
			return m, nil
		}
		p.mu.Lock()
		why := p.reason(m, seen)
		p.retireLocked(m, why, why.isPeers())
		p.mu.Unlock()
	}
}

// await returns the next connection that is given back or dialled, in its turn, at
// until at the latest unless that is zero.
func (p *Pool) await(ctx context.Context, until time.Time) (*member, error) {
	w, err := p.queue(until)
	for w == nil && err == nil {
		if m, err := p.takeIdle(ctx); m != nil || err != nil {
			return m, err
		}
		w, err = p.queue(until)
	}
	if err != nil {
		return nil, p.failure(err)
	}
	select {
	case g := <-w.granted:
		p.mu.Lock()
		p.spareLocked(w)
		p.mu.Unlock()
		if g.m != nil {
			g.m.conn.SetReadDeadline(time.Time{}) // it was ready to rest
		}
		return g.m, g.err
	case <-ctx.Done():
		err = operr.OfContext(ctx)
	case <-w.late.C:
		err = operr.ErrTimeout
	}
	return nil, p.giveUp(w, err)
}

// giveUp ends w's wait because of err.
func (p *Pool) giveUp(w *waiter, err error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if i := slices.Index(p.waiters, w); i >= 0 {
		p.waiters = slices.Delete(p.waiters, i, i+1)
	} else if g := <-w.granted; g.m != nil { // too late: it is the next one's
		p.placeLocked(g.m)
	}
	p.spareLocked(w)
	return p.failure(noConn{err, p.lastErr})
}

// queue puts a waiter behind the others and sees to it that there will be a
// connection. It returns nil where one rests, which may have been given back since
// the caller looked: nobody would hand that out.
func (p *Pool) queue(until time.Time) (*waiter, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.closing:
		return nil, net.ErrClosed
	case len(p.idle) > 0:
		return nil, nil
	}
	w := p.waiterLocked()
	if !until.IsZero() {
		w.late.Reset(time.Until(until))
	}
	p.waiters = append(p.waiters, w)
	p.dialLocked()
	return w, nil
}

// waiterLocked makes a waiter, or takes one that nobody knows any more.
func (p *Pool) waiterLocked() *waiter {
	if last := len(p.spare) - 1; last >= 0 {
		w := p.spare[last]
		p.spare = p.spare[:last]
		return w
	}
	w := &waiter{granted: make(chan grant, 1), late: time.NewTimer(forever)}
	w.late.Stop()
	return w
}

// spareLocked keeps w, which has its grant or is out of the queue, for another call.
func (p *Pool) spareLocked(w *waiter) {
	w.late.Stop()
	p.spare = append(p.spare, w)
}

// noConn is a wait for a connection that ended, with why the last dial failed.
type noConn struct{ err, last error }

func (e noConn) Error() string {
	s := "no connection was free: " + e.err.Error()
	if e.last != nil {
		s += " (" + e.last.Error() + ")"
	}
	return s
}

func (e noConn) Unwrap() []error {
	if e.last == nil {
		return []error{e.err}
	}
	return []error{e.err, e.last}
}

// release takes back a connection that its user leaves in order, or void because
// of err.
func (p *Pool) release(m *member, ok bool, err error) {
	why, blame, served := retiredBroken, isPeers(err), ok
	if ok {
		ok, why = p.tidy(m)
		blame = why.isPeers()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	m.used = true
	m.proved = m.proved || served // even if it has ended with that
	if time.Since(m.made) >= healthy {
		p.wait.Reset()
	}
	if !ok {
		p.retireLocked(m, why, blame)
		return
	}
	p.placeLocked(m)
}

// placeLocked gives m to who has waited longest, or lets it rest, unless its time
// is over.
func (p *Pool) placeLocked(m *member) {
	switch {
	case p.closing:
		p.retireLocked(m, retiredClosed, false)
	case !m.ends.IsZero() && !time.Now().Before(m.ends):
		p.retireLocked(m, retiredLifetime, false)
	case len(p.waiters) > 0:
		p.waiters[0].granted <- grant{m: m}
		p.waiters = slices.Delete(p.waiters, 0, 1)
	default:
		p.idle = append(p.idle, m)
		m.park <- struct{}{}
	}
}

// tidy makes m ready to rest, and reports whether it can be used again: not with
// bytes that its user has left unread, which would answer the next call, and not if
// the peer has ended it, as some do after each reply.
func (p *Pool) tidy(m *member) (ok bool, why retirement) {
	if m.broken() != nil || m.conn.SetWriteDeadline(time.Time{}) != nil {
		return false, retiredBroken
	}
	if err := m.look(); !operr.IsTimeout(err) {
		return false, p.reason(m, err)
	}
	return m.conn.SetReadDeadline(m.restUntil(p)) == nil, retiredBroken
}

// unparkLocked takes the connection that was used last: the others may rest until
// they are too old. Its watcher has to be woken.
func (p *Pool) unparkLocked() *member {
	last := len(p.idle) - 1
	m := p.idle[last]
	p.idle[last] = nil
	p.idle = p.idle[:last]
	m.used = true
	return m
}

// refuseLocked ends all waiting.
func (p *Pool) refuseLocked(err error) {
	for _, w := range p.waiters {
		w.granted <- grant{err: p.failure(err)}
	}
	clear(p.waiters)
	p.waiters = p.waiters[:0]
}

// retireLocked gives m up; its watcher closes it. If the peer is to blame, and m had
// not shown that it works, the next dial has to wait: a server that accepts and
// then fails is one that is down.
func (p *Pool) retireLocked(m *member, why retirement, blame bool) {
	p.retired[why]++
	if blame && !m.proved && time.Since(m.made) < healthy {
		p.penalizeLocked()
	}
	close(m.park)
}

// penalizeLocked keeps the next dial waiting. What fails while one waits already
// began before: it tells nothing new.
func (p *Pool) penalizeLocked() {
	if now := time.Now(); !now.Before(p.notBefore) {
		p.notBefore = now.Add(jitter(p.wait.Next()))
	}
}

// gone makes room for another connection.
func (p *Pool) gone(m *member) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.members, m)
	p.dialLocked()
	p.settleLocked()
}

// settleLocked announces the end.
func (p *Pool) settleLocked() {
	if p.closing && len(p.members)+p.dialing == 0 {
		select {
		case <-p.drained:
		default:
			close(p.drained)
		}
	}
}
