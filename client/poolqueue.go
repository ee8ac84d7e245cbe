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
	granted chan grant // one slot: who grants does not wait
}

// grant is what becomes of a waiter: a connection or an error.
type grant struct {
	m   *member
	err error
}

// take returns a connection that was well just now: an idle one, or the next that
// is given back or dialled.
func (p *Pool) take(ctx context.Context) (*member, error) {
	if ctx.Err() != nil {
		return nil, p.failure(operr.OfContext(ctx))
	}
	for {
		m, w, err := p.ask()
		if w != nil {
			return p.await(ctx, w)
		}
		if err != nil {
			return nil, p.failure(err)
		}
		bad := m.wake()
		if bad == nil {
			return m, nil
		}
		p.mu.Lock()
		why := p.reason(m, bad)
		p.retireLocked(m, why, why.isPeers())
		p.mu.Unlock()
	}
}

// ask returns an idle connection, or puts a waiter into the queue and sees to it
// that there will be one.
func (p *Pool) ask() (*member, *waiter, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.closing:
		return nil, nil, net.ErrClosed
	case len(p.idle) > 0:
		return p.unparkLocked(), nil, nil
	}
	w := &waiter{make(chan grant, 1)}
	p.waiters = append(p.waiters, w)
	p.dialLocked()
	return nil, w, nil
}

// await waits for w's turn.
func (p *Pool) await(ctx context.Context, w *waiter) (*member, error) {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = p.Dialer.withTimeout(ctx)
		defer cancel()
	}
	select {
	case g := <-w.granted:
		if g.m != nil {
			g.err = g.m.conn.SetReadDeadline(time.Time{}) // it was ready to rest
		}
		return g.m, g.err
	case <-ctx.Done():
	}
	p.mu.Lock()
	i := slices.Index(p.waiters, w)
	if i >= 0 {
		p.waiters = slices.Delete(p.waiters, i, i+1)
	}
	last := p.lastErr
	p.mu.Unlock()
	if i < 0 { // too late: it was granted, and is somebody else's
		if g := <-w.granted; g.m != nil {
			p.release(g.m, true, nil)
		}
	}
	return nil, p.failure(noConn{operr.OfContext(ctx), last})
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
	why, blame := retiredBroken, isPeers(err)
	if ok {
		ok, why = p.tidy(m)
		blame = why.isPeers()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	m.used = true
	m.proved = m.proved || ok
	if time.Since(m.made) >= healthy {
		p.wait.Reset()
	}
	switch {
	case !ok:
		p.retireLocked(m, why, blame)
	case p.closing:
		p.retireLocked(m, retiredClosed, false)
	case !m.ends.IsZero() && !time.Now().Before(m.ends):
		p.retireLocked(m, retiredLifetime, false)
	default:
		p.offerLocked(m)
	}
}

// tidy makes m ready to rest, and reports whether it can be used again: not with
// bytes that its user has left unread, which would answer the next call.
func (p *Pool) tidy(m *member) (ok bool, why retirement) {
	if m.broken() != nil || m.conn.SetDeadline(past) != nil {
		return false, retiredBroken
	}
	if err := m.conn.Await(); !operr.IsTimeout(err) {
		return false, p.reason(m, err)
	}
	m.conn.SetWriteDeadline(time.Time{})
	return m.conn.SetReadDeadline(m.restUntil(p)) == nil, retiredBroken
}

// offerLocked gives m to who has waited longest, or else lets it rest.
func (p *Pool) offerLocked(m *member) {
	if len(p.waiters) > 0 {
		p.waiters[0].granted <- grant{m: m}
		p.waiters = slices.Delete(p.waiters, 0, 1)
		return
	}
	p.idle = append(p.idle, m)
	m.park <- struct{}{}
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
	p.waiters = nil
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

// penalizeLocked keeps the next dial waiting.
func (p *Pool) penalizeLocked() { p.notBefore = time.Now().Add(jitter(p.wait.Next())) }

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
