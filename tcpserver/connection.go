package tcpserver

import (
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"example.com/sockets"
	"example.com/sockets/internal/connhook"
	"example.com/sockets/internal/drain"
	"example.com/sockets/internal/guard"
)

// connection is one connection of a run, from its registration to its end.
type connection struct {
	entry  drain.Entry
	run    *run
	conn   *sockets.Conn
	guard  *guard.Guard
	slot   *slots     // of which it holds one, or nil
	source netip.Addr // for which it is counted, or invalid
	phase  atomic.Pointer[string]
}

// The phases of a connection, as a DrainError names them.
var (
	inHandshake = "handshake"
	waiting     = "waiting for its turn"
	inHandler   = "handler"
	lingering   = "lingering"
	refusing    = "refusing"
)

// admit lets c in: in a slot for handlers, or first in one for handshakes. If there
// is none it is rejected, or waits until stop is closed, when admit reports false.
func (r *run) admit(c *connection, stop <-chan struct{}) bool {
	if _, socket := c.conn.NetConn().(*net.TCPConn); socket && r.server.Prepare == nil && !c.charge() {
		r.server.rejectedSource.Add(1)
		r.start(c, c.refuse)
		return true
	}
	switch r.enter(c, stop) {
	case rejected:
		r.server.rejected.Add(1)
		r.start(c, c.refuse)
	case admitted:
		if !r.start(c, c.serve) {
			r.server.unserved.Add(1)
		}
	case stopped:
		c.release()
		return false
	}
	return true
}

// enter takes the first slot that c needs.
func (r *run) enter(c *connection, stop <-chan struct{}) (a admission) {
	s := r.server
	slot := s.handlers
	switch {
	case !s.staged():
		a = s.admit(stop)
	case s.Limits.Overload == Reject:
		slot, a = s.handshakes, rejected
		if slot.try() {
			a = admitted
		}
	default:
		slot, a = s.handshakes, stopped
		if slot.take(stop) {
			a = admitted
		}
	}
	if a == admitted {
		c.slot = slot
	}
	return a
}

func (r *run) connection(nc net.Conn) *connection {
	c := &connection{run: r}
	conn, g := connhook.New(nc, connhook.Options{
		Framing: r.server.Framing, Parent: r.values, Limits: &r.limits,
	})
	c.conn, c.guard = conn.(*sockets.Conn), g
	g.Owner = c
	return c
}

// start runs f, which ends the connection, in a goroutine of its own. The connection
// is registered before that starts, so that a stop finds it. When the grace period of
// one is over it is too late: the connection is closed, and start reports false.
func (r *run) start(c *connection, f func()) bool {
	c.phase.Store(&inHandshake)
	r.server.running.Add(1)
	switch r.set.Add(&c.entry, c) {
	case drain.Closed:
		r.server.running.Add(-1)
		c.release()
		c.guard.Farewell()
		return false
	case drain.Draining:
		c.guard.Drain(firstWait)
	}
	go f()
	return true
}

// close closes the connection, so that a last reply is not lost. What lingers for
// that gives its slot back first.
func (c *connection) close(mayLinger bool) {
	s := c.run.server
	limit := s.Timeouts.linger()
	if mayLinger && limit > 0 && c.guard.MustLinger(limit) && s.mayLinger() {
		c.phase.Store(&lingering)
		c.release()
		c.guard.Linger(limit)
		s.lingering.Add(-1)
	}
	_ = c.conn.Close()
	c.release()
}

// mayLinger takes one of the places for connections that linger or are refused: a
// quarter of what Limits.Conns allows or, if that is more, of its default. They hold
// a descriptor and little else, and where few handlers may run many are refused.
func (s *Server) mayLinger() bool {
	limit := s.handlers.limit()
	n := int(s.lingering.Add(1))
	if limit < 0 || n <= limit/4 || n <= (Limits{}).conns()/4 {
		return true
	}
	s.lingering.Add(-1)
	return false
}

// refuse is the life of a connection for which there is no place.
func (c *connection) refuse() {
	defer c.leave()
	c.turnAway(c.run.server.TLS == nil) // a client of TLS would not understand it
}

// turnAway tells the peer that there is no place, and reads its input for a while:
// a close with unread input is a reset, which would destroy what the peer was told.
func (c *connection) turnAway(tell bool) {
	c.phase.Store(&refusing)
	c.release()
	s := c.run.server
	if s.mayLinger() {
		end := time.Now().Add(s.Timeouts.linger()) // of both, the telling and the reading
		if tell && len(s.Limits.Refusal) > 0 {
			_ = c.conn.SetWriteDeadline(end)
			_, _ = c.conn.Write(s.Limits.Refusal)
		}
		c.guard.Linger(time.Until(end))
		s.lingering.Add(-1)
	}
	_ = c.conn.Close()
}

// release gives back what the connection holds of the limits.
func (c *connection) release() {
	if c.slot != nil {
		c.slot.give()
		c.slot = nil
		c.run.server.idlers.left(c)
	}
	if c.source.IsValid() {
		c.run.server.sources.remove(c.source)
		c.source = netip.Addr{}
	}
}

// leave is the last thing that happens: then the stop may find nothing left. Its bytes
// become the server's in the moment in which it is no member any more, so that the sum
// of both never goes back.
func (c *connection) leave() {
	c.guard.AwaitEnd()
	s := c.run.server
	read, written, _ := c.guard.Traffic()
	s.running.Add(-1)
	s.moved.Lock()
	defer s.moved.Unlock()
	s.moved.read += read
	s.moved.written += written
	c.run.set.Remove(&c.entry)
}

// Drain asks the connection to end when it is idle.
func (c *connection) Drain() { c.guard.Drain(0) }

// Cut takes the connection from its handler.
func (c *connection) Cut() { c.guard.End(sockets.ErrCutOff) }

func (c *connection) straggler() sockets.Straggler {
	read, written, quiet := c.guard.Traffic()
	return sockets.Straggler{
		ID: c.conn.ID(), Remote: c.conn.Remote(), Phase: *c.phase.Load(),
		Age: c.guard.Age(), Quiet: quiet, Read: read, Written: written,
	}
}
