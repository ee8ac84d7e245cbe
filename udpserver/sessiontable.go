package udpserver

import (
	"math"
	"net"
	"net/netip"
	"time"

	"example.com/sockets"
	"example.com/sockets/internal/udpio"
)

// arrive gives what was read from a socket to the sessions. Nothing in it waits.
func (l *SessionListener) arrive(from *sessionSocket, packets []udpio.Packet) {
	now := time.Now()
	for i := range packets {
		from.own.look(&packets[i], now)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counts.Received += uint64(len(packets))
	for i := range packets {
		p := &packets[i]
		l.counts.BytesIn += uint64(len(p.Data))
		if dropped := l.takeLocked(from, p, now); dropped != nil {
			*dropped++
		}
	}
}

// takeLocked queues p for its session, which may begin with it, or returns the count
// of those that are dropped for the same reason.
func (l *SessionListener) takeLocked(from *sessionSocket, p *udpio.Packet, now time.Time) (dropped *uint64) {
	d := &l.counts.Dropped
	key := sessionKey{peer: p.Peer, asked: p.Asked}
	switch {
	case p.Truncated:
		return &d.Truncated
	case p.Malformed:
		return &d.Malformed
	case p.Peer.IsValid() && p.Peer.Port() == 0:
		return &d.PortZero
	case from.own.sent(p):
		return &d.Self
	case !p.Peer.IsValid():
		if p.Raw == nil || p.Raw.String() == "" {
			return &d.NoAddress
		}
		key.name = p.Raw.String()
	}
	s := l.table[key]
	if s == nil {
		if s, dropped = l.beginLocked(key, p, now); s == nil {
			return dropped
		}
		s.io = from.io
	}
	s.touchLocked(now)
	return s.queueLocked(p.Data)
}

// beginLocked begins a session, unless a limit forbids it. It makes no difference to
// the others before that is certain.
func (l *SessionListener) beginLocked(key sessionKey, p *udpio.Packet, now time.Time) (*session, *uint64) {
	d := &l.counts.Dropped
	source := sourceOf(key.peer.Addr())
	switch {
	case l.closed:
		return nil, &d.Closed
	case l.pending.Len() >= l.config.Backlog:
		return nil, &d.Backlog
	case l.sources[source] >= l.config.PerSource:
		return nil, &d.PerSource
	}
	for len(l.table) >= l.config.Sessions {
		l.counts.Evicted++
		l.endLocked(l.byIdle.Front().Value.(*session), sockets.ErrEvicted)
	}
	s := l.newSession(key, p.Route, now)
	l.table[key] = s
	s.place = l.byIdle.PushBack(s)
	s.waiting = l.pending.PushBack(s)
	if l.counts.Opened++; l.config.PerSource < math.MaxInt {
		l.sources[source]++
	}
	l.acceptable.Signal()
	l.sweepLaterLocked(now)
	return s, nil
}

func (l *SessionListener) newSession(key sessionKey, r udpio.Route, now time.Time) *session {
	s := &session{of: l, key: key, route: r, active: now, local: l.addr, remote: r.Raw}
	s.readable.L = &l.mu
	if r.Peer.IsValid() {
		s.remote = net.UDPAddrFromAddrPort(r.Peer)
	}
	if r.Asked.IsValid() {
		s.local = net.UDPAddrFromAddrPort(netip.AddrPortFrom(r.Asked, l.local.Port()))
	}
	return s
}

// sourceOf is what a limit per source goes by: the IPv4 address, or the /64 network
// of an IPv6 address. Senders without an IP address are one source.
func sourceOf(ip netip.Addr) netip.Addr {
	if !ip.Is6() {
		return ip
	}
	network, _ := ip.WithZone("").Prefix(64)
	return network.Addr()
}

// queueLocked lets p wait for a Read, or returns the count of those that could not.
func (s *session) queueLocked(p []byte) (dropped *uint64) {
	l := s.of
	before := s.queue.size()
	if !s.queue.push(p, min(l.config.QueueBytes, before+l.config.TotalBytes-l.queued)) {
		return &l.counts.Dropped.Queue
	}
	l.queued += s.queue.size() - before
	l.counts.Waiting++
	s.readable.Signal()
	return nil
}

// touchLocked makes s the last to become idle.
func (s *session) touchLocked(now time.Time) {
	s.active = now
	s.of.byIdle.MoveToBack(s.place)
}

// endLocked takes s out of everything. It is called once for a session, so what is
// under its key in the table is itself, and never a later session of the sender.
func (l *SessionListener) endLocked(s *session, why error) {
	s.ended = why
	delete(l.table, s.key)
	l.byIdle.Remove(s.place)
	if s.waiting != nil {
		l.pending.Remove(s.waiting)
	}
	if l.config.PerSource < math.MaxInt {
		source := sourceOf(s.key.peer.Addr())
		if l.sources[source]--; l.sources[source] == 0 {
			delete(l.sources, source)
		}
	}
	l.counts.Dropped.Unread += uint64(s.queue.count)
	l.counts.Waiting -= uint64(s.queue.count)
	l.queued -= s.queue.size()
	s.queue.clear()
	s.readBy.stop()
	s.readable.Broadcast()
}

// sweepLaterLocked sets the timer for the session that will be idle for too long
// first, unless it is set. It may fire too early, and then only looks again, so that
// a datagram need not move it.
func (l *SessionListener) sweepLaterLocked(now time.Time) {
	front := l.byIdle.Front()
	if l.sweeping || l.config.Idle < 0 || front == nil {
		return
	}
	l.sweeping = true
	wait := front.Value.(*session).active.Add(l.config.Idle).Sub(now)
	if l.sweeper == nil {
		l.sweeper = time.AfterFunc(wait, l.sweep)
	} else {
		l.sweeper.Reset(wait)
	}
}

// sweep ends the sessions that are idle for too long. They are the first of the
// list, so the others cost nothing.
func (l *SessionListener) sweep() {
	l.mu.Lock()
	l.sweeping = false
	now := time.Now()
	for e := l.byIdle.Front(); e != nil; e = l.byIdle.Front() {
		s := e.Value.(*session)
		if now.Sub(s.active) < l.config.Idle {
			break
		}
		l.counts.Idle++
		l.endLocked(s, sockets.ErrIdle)
	}
	l.sweepLaterLocked(now)
	_ = l.unlock()
}
