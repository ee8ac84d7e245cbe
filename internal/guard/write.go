package guard

import (
	"io"
	"net"
	"time"

	"example.com/sockets/internal/operr"
)

// record is the plaintext of one TLS record (RFC 8446, section 5.1). A TLS write
// that timed out can't be resumed, so each record has a deadline of its own.
const record = 16 << 10

// Write writes all of p. A write that is cut by a deadline goes on as long as the
// peer has taken a byte since. sent says that bytes may have left: n counts those
// that a socket took, but TLS may have sent a part of what it does not count. The
// caller has the write turn.
func (g *Guard) Write(p []byte) (n int, sent bool, err error) {
	since := g.startWrite()
	for {
		conn, sealed, err := g.beginWrite(since)
		if err != nil {
			return n, sent, err
		}
		part := p[n:]
		if sealed && len(part) > record {
			part = part[:record]
		}
		k, err := conn.Write(part)
		n += k
		sent = sent || k > 0 || g.kind != socket
		if k > 0 {
			since = g.note(&g.written, k)
			g.lastWrite.Store(int64(since))
		}
		switch {
		case err == nil && k < len(part):
			return n, sent, io.ErrShortWrite
		case err == nil && n == len(p):
			g.endWrite()
			return n, true, nil
		case err == nil:
		case !isDeadline(err) || !g.fired(&g.armedWrite, &g.writeMoved):
			return n, sent, g.ofTransport(err)
		case sealed:
			return n, sent, g.writeExpired(since)
		}
	}
}

// beginWrite arms the deadline of a write whose peer last took a byte at since,
// or returns why it must not wait any longer.
func (g *Guard) beginWrite(since time.Duration) (conn net.Conn, tls bool, err error) {
	g.mu.Lock()
	conn, tls, err = g.conn, g.kind == sealed, g.overLocked()
	if err == nil {
		now := g.now()
		if tls && g.rates != nil {
			g.rates.record = g.rates.write.left(g.deliveredLocked()+record, g.limits.MinRate)
		}
		var at time.Duration
		if at, err = g.writeLimit(since); at > now {
			g.armWriteLocked(at, now)
			g.writeSince, g.writing, err = since, true, nil
		}
	}
	g.mu.Unlock()
	return conn, tls, g.writeEnds(err)
}

func (g *Guard) writeEnds(why error) error {
	if why == ErrWrite || why == ErrMinRate {
		g.End(why) // half a message may have left: nothing can follow it
	}
	return why
}

// startWrite starts the clocks of a write, which counts from the returned instant.
func (g *Guard) startWrite() time.Duration {
	now := g.now()
	if g.limits.MinRate > 0 {
		g.mu.Lock()
		g.startRateLocked(now)
		g.mu.Unlock()
	}
	return now
}

// writeExpired is why a deadline ended a write that cannot be resumed.
func (g *Guard) writeExpired(since time.Duration) error {
	g.mu.Lock()
	why := g.overLocked()
	if why == nil {
		_, why = g.writeLimit(since)
	}
	g.mu.Unlock()
	return g.writeEnds(why)
}

// endWrite takes the deadline off a TLS connection, which a foreign one may be as
// well: a read may have to write (a key update, an alert), and must not find one
// that has passed.
func (g *Guard) endWrite() {
	if g.kind == socket { // it changes in the write turn alone
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.writing = false
	g.armWriteLocked(never, 0)
}

// writeLimit is when a write whose peer last took a byte at since ends
// unfinished, and why.
func (g *Guard) writeLimit(since time.Duration) (at time.Duration, why error) {
	at, why = g.userWrite, operr.ErrTimeout
	if g.callAt < at {
		at, why = g.callAt, g.callWhyLocked()
	}
	if l := g.limits.Write; l > 0 && since+l < at {
		at, why = since+l, ErrWrite
	}
	if r := g.limits.MinRate; r > 0 {
		// A write waits for the peer from its begin, at -waited, on.
		t := g.rates.record
		if g.kind != sealed {
			t = g.rates.write.left(g.deliveredLocked(), r)
		}
		if t < at {
			at, why = t, ErrMinRate
		}
	}
	return at, why
}
