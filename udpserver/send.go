package udpserver

import (
	"errors"
	"math"
	"net"
	"sync/atomic"

	"example.com/sockets"
	"example.com/sockets/addr"
	"example.com/sockets/internal/operr"
	"example.com/sockets/internal/udpio"
)

// sends counts what was sent and what was not.
type sends struct {
	sent, bytes                                       atomic.Uint64
	peer, resource, argument, tooLong, budget, others atomic.Uint64
}

// send sends a reply to d, or a datagram to somebody else if to is not nil. A
// worker that has more of a batch before it collects what it has to send, until
// the batch is done or somebody finds it stuck in a handler; see collect.go.
//
// A Datagram is never used for a second one if its handler could have kept the
// pointer, so the worker's current one being d proves that the handler runs.
func (w *worker) send(d *Datagram, op string, p []byte, to *udpio.Route) error {
	l := w.loop // of a zero Datagram that nobody received: a panic, as for a nil map
	w.mu.Lock()
	if w.current != d {
		w.mu.Unlock()
		return &operr.Error{Op: op, Local: l.local, Err: ErrReturned}
	}
	r := w.route
	if to != nil {
		r = *to
	}
	if err := l.refuses(p, w.route, r); err != nil {
		w.mu.Unlock()
		return l.refused(op, r, err)
	}
	l.echoes.expect(p, l.local.Port(), r.Peer)
	if w.collects && w.out.Add(p, r) {
		w.mu.Unlock()
		return nil
	}
	before := w.takeOutLocked() // what does not fit goes by itself, after what was first
	w.mu.Unlock()
	l.sendOut(before)
	l.write(op, p, r)
	return nil
}

// send sends p for a Clone of a datagram that came by from.
func (l *loop) send(op string, p []byte, from, r udpio.Route) error {
	if err := l.refuses(p, from, r); err != nil {
		return l.refused(op, r, err)
	}
	l.echoes.expect(p, l.local.Port(), r.Peer)
	l.write(op, p, r)
	return nil
}

// refuses returns why p is not taken for sending to r. If it is, the budget is
// charged.
func (l *loop) refuses(p []byte, from, r udpio.Route) error {
	switch {
	case l.closed.Load():
		return net.ErrClosed
	case !r.Peer.IsValid() && r.Raw == nil:
		return udpio.ErrNoPeer
	case len(p) > maxPayload(r):
		return sockets.ErrTooLong
	case !l.server.sources.spend(from.Peer, r.Peer, len(p)):
		return ErrBudget
	}
	return nil
}

// refused is the caller's error, for which no lock is held. Of a budget that is
// used up those want to know who watch the server, too.
func (l *loop) refused(op string, r udpio.Route, err error) error {
	err = l.sendError(op, r, err)
	if errors.Is(err, ErrBudget) {
		l.sends.budget.Add(1)
		l.counted()
		l.traceFailure(r, err)
	}
	return err
}

// write sends one datagram at once. A failure is not the caller's: it is counted
// and traced, as one that is found out later has to be.
func (l *loop) write(op string, p []byte, r udpio.Route) {
	if err := l.io.Write(p, r); err != nil {
		l.sendFailed(op, r, err)
		return
	}
	l.sends.sent.Add(1)
	l.sends.bytes.Add(uint64(len(p)))
	l.counted()
}

func (l *loop) sendError(op string, r udpio.Route, err error) error {
	return &operr.Error{Op: op, Local: l.local, Remote: endpoint(r), Err: err}
}

// sendFailed counts and traces a datagram that could not be sent.
func (l *loop) sendFailed(op string, r udpio.Route, err error) {
	l.sends.counter(udpio.Classify(err)).Add(1)
	l.counted()
	l.traceFailure(r, l.sendError(op, r, err))
}

func (l *loop) traceFailure(r udpio.Route, err error) {
	if t := l.server.Trace; t != nil && t.ReplyFailed != nil {
		t.ReplyFailed(endpoint(r), err)
	}
}

// counted is called when something was. Clones, and a Reply that is still under way
// when its handler returns, may be later than the last worker of a loop, whose figures
// are in the server's sum by then: what came since is added to that.
func (l *loop) counted() {
	if l.removed.Load() {
		l.server.mu.Lock()
		defer l.server.mu.Unlock()
		l.server.addSendsLocked(l)
	}
}

func (s *Server) addSendsLocked(l *loop) {
	var rest Stats
	l.sends.into(&rest, func(n *atomic.Uint64) uint64 { return n.Swap(0) })
	s.past.add(rest)
}

func (s *sends) counter(c udpio.Class) *atomic.Uint64 {
	switch c {
	case udpio.Peer:
		return &s.peer
	case udpio.Resource, udpio.Deadline:
		return &s.resource
	case udpio.Argument:
		return &s.argument
	case udpio.TooLong:
		return &s.tooLong
	}
	return &s.others
}

// into puts the counts into s, as take reads them.
func (c *sends) into(s *Stats, take func(*atomic.Uint64) uint64) {
	s.Sent, s.BytesOut = take(&c.sent), take(&c.bytes)
	s.Unsent = SendErrors{
		Peer: take(&c.peer), Resource: take(&c.resource), Argument: take(&c.argument),
		TooLong: take(&c.tooLong), Budget: take(&c.budget), Other: take(&c.others),
	}
}

// maxPayload is the most that a datagram to r can carry.
func maxPayload(r udpio.Route) int {
	switch {
	case !r.Peer.IsValid():
		return math.MaxInt // not UDP; it has limits of its own
	case r.Peer.Addr().Is4():
		return 65507 // RFC 791: 65,535 less 20 for IP and 8 for UDP
	}
	return 65527 // RFC 8200: the payload length includes UDP's 8, not IP's header
}

func endpoint(r udpio.Route) addr.Endpoint {
	return addr.FromAddrPort(addr.UDP, r.Peer)
}
