package udpserver

import (
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
	sent, bytes                               atomic.Uint64
	peer, resource, argument, tooLong, others atomic.Uint64
}

// send sends one datagram. A failure is not the caller's: it is counted and
// traced, as one that is found out later has to be.
func (l *loop) send(op string, p []byte, r udpio.Route) error {
	switch {
	case l.closed.Load():
		return l.sendError(op, r, net.ErrClosed)
	case !r.Peer.IsValid() && r.Raw == nil:
		return l.sendError(op, r, udpio.ErrNoPeer)
	case len(p) > maxPayload(r):
		return l.sendError(op, r, sockets.ErrTooLong)
	}
	l.report(op, r, len(p), l.io.Write(p, r))
	return nil
}

func (l *loop) sendError(op string, r udpio.Route, err error) error {
	return &operr.Error{Op: op, Local: l.local, Remote: endpoint(r), Err: err}
}

// report counts a datagram of n bytes that was sent, or failed with err.
func (l *loop) report(op string, r udpio.Route, n int, err error) {
	if err == nil {
		l.sends.sent.Add(1)
		l.sends.bytes.Add(uint64(n))
		return
	}
	l.sends.counter(udpio.Classify(err)).Add(1)
	if t := l.server.Trace; t != nil && t.ReplyFailed != nil {
		t.ReplyFailed(endpoint(r), l.sendError(op, r, err))
	}
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

// into puts the counts into s.
func (c *sends) into(s *Stats) {
	s.Sent, s.BytesOut = c.sent.Load(), c.bytes.Load()
	s.Unsent = SendErrors{
		Peer: c.peer.Load(), Resource: c.resource.Load(), Argument: c.argument.Load(),
		TooLong: c.tooLong.Load(), Other: c.others.Load(),
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
