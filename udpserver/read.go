package udpserver

import (
	"time"

	"example.com/sockets/addr"
	"example.com/sockets/internal/operr"
	"example.com/sockets/internal/udpio"
)

// read takes a batch, or ends the loop. The worker that calls it has the read
// turn.
func (l *loop) read() {
	l.polling.Store(true)
	packets, err := l.io.Read()
	l.polling.Store(false)
	if err != nil {
		l.readFailed(err)
		return
	}
	if l.failing > 0 {
		l.failing = 0
		l.retry.Reset()
	}
	l.publish(packets)
	if l.drains && l.budget < 0 && !l.io.Holds() {
		l.end(nil)
	}
}

// publish lets the workers have what was read.
func (l *loop) publish(packets []udpio.Packet) {
	now := time.Now()
	var drops Drops
	bytes := 0
	messages := len(packets)
	good := packets[:0]
	for i := range packets {
		p := &packets[i]
		bytes += len(p.Data)
		if p.Joined {
			messages--
		}
		if why, ok := l.refuse(p, now); ok {
			*drops.counter(why)++
			l.dropped(p.Route, why)
			continue
		}
		if len(good) < i { // copying a packet onto itself costs as much
			good = append(good, *p)
		} else {
			good = packets[:i+1]
		}
	}
	if l.drains {
		l.budget -= bytes + messages*overhead
	}
	if l.takeOver(good, now, uint64(len(packets)), uint64(bytes), drops) {
		return
	}
	for i := range good { // a read that no deadline could wake in time
		l.dropped(good[i].Route, DropStopped)
	}
}

// takeOver counts what was read, and reports whether good may still be handled.
func (l *loop) takeOver(good []udpio.Packet, now time.Time, packets, bytes uint64, drops Drops) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counts.Received += packets
	l.counts.BytesIn += bytes
	if uint64(len(good)) < packets {
		l.counts.Dropped.add(drops)
	}
	if l.cutOff {
		l.counts.Dropped.Stopped += uint64(len(good))
		return false
	}
	l.batch, l.readAt = good, now
	return true
}

// overhead is the least that a system charges beside the bytes for what is queued,
// a datagram or several that it has merged. Linux takes about three times as much
// (its truesize), so a draining loop never stops before it has read all that was
// queued.
const overhead = 256

// refuse says which datagrams no handler should see.
func (l *loop) refuse(p *udpio.Packet, now time.Time) (Drop, bool) {
	switch {
	case p.Truncated && !l.server.KeepTruncated:
		return DropTruncated, true
	case p.Malformed:
		return DropMalformed, true
	case !p.Peer.IsValid():
		return 0, false // not of the Internet: it has no ports
	case p.Peer.Port() == 0:
		return DropPortZero, true
	case l.isOwn(p, now):
		return DropSelf, true
	case !l.server.sources.admit(p.Peer, len(p.Data), now):
		return DropRate, true
	}
	return 0, false
}

// asked is the address that the sender of p has used. A member of a group hears that
// only, and knows the zone of it.
func (l *loop) asked(p *udpio.Packet) addr.Endpoint {
	if !p.Asked.IsValid() || l.local.IsMulticast() {
		return l.local
	}
	return addr.Of(addr.UDP, p.Asked, l.local.Port())
}

// isOwn reports whether p came from the socket itself.
func (l *loop) isOwn(p *udpio.Packet, now time.Time) bool {
	if p.Peer.Port() != l.local.Port() {
		return false
	}
	l.own.look(p, now)
	return l.own.sent(p) || l.own.isNear(p.Peer.Addr()) && l.echoes.takes(p.Data, now)
}

func (l *loop) dropped(r udpio.Route, why Drop) {
	if t := l.server.Trace; t != nil && t.Dropped != nil {
		t.Dropped(endpoint(r), why)
	}
}

const (
	// strikes is how often in a row a socket may say that it is none, before
	// it is believed.
	strikes = 3
	// patience is how many errors about single datagrams may follow one
	// another without a pause: on a socket that repeats itself the loop must
	// not spin.
	patience = 16
)

// readFailed does what an error of a read asks for: end, wait, or go on.
func (l *loop) readFailed(err error) {
	class := udpio.Classify(err)
	l.failing++
	switch {
	case class == udpio.Deadline && l.beginDrain():
	case class == udpio.Peer && l.failing < patience: // each takes one message out of the socket
		l.countReadError()
	case class == udpio.TooLong && l.failing < patience: // how some systems say that a datagram was cut
		l.truncated()
	case l.isDraining(): // nothing more can be had
		l.end(nil)
	case class == udpio.Closed, l.failing >= strikes && isUseless(class):
		l.end(l.readError(err))
	default:
		l.survive(class, err)
	}
}

func isUseless(c udpio.Class) bool { return c == udpio.Dead || c == udpio.Argument }

// survive goes on after an error that may pass.
func (l *loop) survive(class udpio.Class, err error) {
	switch class {
	case udpio.TooLong:
		l.truncated()
	case udpio.Deadline:
		l.clear()
		l.countReadError()
	default:
		l.countReadError()
	}
	l.server.log(logRead, "local", l.local, "err", err)
	l.setFailed(l.readError(err))
	_ = l.retry.Wait(l.stop) // a stop ends it, and the next read notices
	l.setFailed(nil)
}

// clear takes back a deadline that somebody else has set, but not that of a stop which
// has begun meanwhile.
func (l *loop) clear() {
	_ = l.io.Clear()
	if l.isDraining() {
		_ = l.io.Interrupt()
	}
}

func (l *loop) readError(err error) error {
	return &operr.Error{Op: "read", Local: l.local, Err: err}
}

func (l *loop) countReadError() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counts.ReadErrors++
}

// truncated counts a datagram of which nothing is known but that it was too long.
func (l *loop) truncated() {
	l.mu.Lock()
	l.counts.Received++
	l.counts.Dropped.Truncated++
	l.mu.Unlock()
	l.dropped(udpio.Route{}, DropTruncated)
}
