package client

import (
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"syscall"
	"time"

	"example.com/sockets"
	"example.com/sockets/internal/connhook"
	"example.com/sockets/internal/operr"
	"example.com/sockets/internal/sockopt"
)

// member is a connection of a Pool. It is in the hands of one goroutine, or idle,
// in those of its watcher.
type member struct {
	conn    *sockets.Conn
	broken  func() error // why its conversation is void, nil if it is not
	probe   sockopt.Probe
	made    time.Time
	ends    time.Time     // its lifetime; zero: never
	park    chan struct{} // one slot: watch it; closed when it is given up
	watched chan error    // one slot: what the watcher saw, for who interrupts it

	// Guarded by Pool.mu, or its user's.
	used   bool // it is not new any more
	proved bool // it has served
}

// healthy is how long a connection has to last before the pauses between dials
// begin anew.
const healthy = 5 * time.Second

func (p *Pool) newMember(conn *sockets.Conn, broken func() error) *member {
	m := &member{
		conn: conn, broken: broken, made: time.Now(),
		park: make(chan struct{}, 1), watched: make(chan error, 1),
	}
	m.probe.Init(conn.NetConn())
	if life := orDefault(p.Lifetime, 0); life > 0 {
		m.ends = m.made.Add(life - rand.N(life/10+1))
	}
	return m
}

// restUntil is when m has been idle for too long.
func (m *member) restUntil(p *Pool) time.Time {
	var end time.Time
	if idle := orDefault(p.Idle, defaultIdle); idle > 0 {
		end = time.Now().Add(idle)
	}
	if end.IsZero() || !m.ends.IsZero() && m.ends.Before(end) {
		end = m.ends
	}
	return end
}

// watch reads an idle connection, so that its end is noticed when it comes, and
// closes it in the end.
func (p *Pool) watch(m *member) {
	for range m.park {
		if err := connhook.Await(m.conn); !p.expire(m, err) {
			m.watched <- err
		}
	}
	if m.broken() != nil {
		m.conn.Abort(nil) // no goodbye to wait for
	}
	m.conn.Close()
	p.gone(m)
}

// expire gives m up because of what came while it was idle. It reports false when
// m isn't idle any more.
func (p *Pool) expire(m *member, err error) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := slices.Index(p.idle, m)
	if i < 0 {
		return false
	}
	p.idle = slices.Delete(p.idle, i, i+1)
	why := p.reason(m, err)
	p.retireLocked(m, why, why.isPeers())
	return true
}

// reason is why m is given up, by what its watcher saw.
func (p *Pool) reason(m *member, err error) retirement {
	switch {
	case err == nil:
		return retiredUnasked
	case errors.Is(err, io.EOF):
		return retiredEnded
	case !operr.IsTimeout(err):
		return retiredReset
	case !m.ends.IsZero() && !time.Now().Before(m.ends):
		return retiredLifetime
	}
	return retiredIdle
}

// wake takes m, which is not idle any more, from its watcher, and returns what that
// has seen, or what has come since it looked: a timeout if all is well.
func (m *member) wake() error {
	m.conn.SetReadDeadline(past)
	seen := <-m.watched
	if operr.IsTimeout(seen) && m.probe.Ready() {
		seen = m.look()
	}
	m.conn.SetReadDeadline(time.Time{})
	return seen
}

// look returns what an idle connection has to tell: a timeout if nothing. An
// expired deadline hides what waits in the system, so where that says that
// something does the read has time. It needs none, but this goroutine may have to
// wait for a processor, and a deadline that passes meanwhile would hide it again.
func (m *member) look() error {
	by := past
	if m.probe.Ready() {
		by = time.Now().Add(m.glance())
	}
	if err := m.conn.SetReadDeadline(by); err != nil {
		return err
	}
	return connhook.Await(m.conn)
}

// glance is how long a read may take that the probe says will not block. If there is
// a layer on top of the socket that the probe knows, it may block all the same, as
// what has come may be the layer's own.
func (m *member) glance() time.Duration {
	switch m.conn.NetConn().(type) {
	case *net.TCPConn, *net.UnixConn:
		return 10 * time.Second
	}
	return 10 * time.Millisecond
}

// past is a deadline that ends a wait at once.
var past = time.Unix(1, 0)

var errUnasked = errors.New("the peer sent what nobody had asked for")

// isTransport reports whether err, of a call that was not sent, is about the
// connection and not about the request.
func isTransport(err error) bool {
	var op *net.OpError
	var errno syscall.Errno
	return errors.As(err, &op) || errors.As(err, &errno) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, io.ErrClosedPipe) || errors.Is(err, io.EOF)
}

// isPeers reports whether err, with which a connection in use has ended, is the
// peer's doing or the network's, and not its user's.
func isPeers(err error) bool {
	return err != nil && (isTransport(err) || errors.Is(err, io.ErrUnexpectedEOF)) && !operr.IsTimeout(err) && !errors.Is(err, net.ErrClosed)
}
