package guard

import (
	"fmt"
	"net"
	"time"

	"example.com/sockets/internal/operr"
)

// record is the plaintext of one TLS record (RFC 8446, section 5.1). Each has a
// deadline of its own: one that is cut off costs memory, or the connection.
const record = 16 << 10

// Write writes all of p. A write that is cut by a deadline goes on as long as the
// peer has taken a byte since. sent says that bytes may have left: n counts those
// that a socket took, or of TLS that were made a record of, which may be waiting for
// the next write; TLS may also have sent a part of what it does not count. The caller
// has the write turn.
func (g *Guard) Write(p []byte) (n int, sent bool, err error) {
	since := g.startWrite()
	defer g.endWrite()
	for {
		conn, err := g.beginWrite(since)
		if err != nil {
			return n, sent, err
		}
		behind := g.below.behind() > 0
		k, took, err := g.put(conn, p[n:])
		n += k
		sent = sent || k > 0 || g.kind != socket && !behind
		if k > 0 {
			g.lastWrite.Store(int64(g.note(&g.written, k)))
		}
		if took {
			since = g.now()
		}
		switch {
		case err == nil && n == len(p):
			return n, true, nil
		case err == nil:
		case !isDeadline(err) || !g.fired(&g.armedWrite, &g.writeMoved):
			return n, sent, g.ofTransport(err)
		case g.kind == sealed && g.below == nil:
			return n, sent, g.writeExpired(since)
		}
	}
}

// beginWrite arms the deadline of a write whose peer last took a byte at since,
// or returns why it must not wait any longer: then nothing has touched conn.
func (g *Guard) beginWrite(since time.Duration) (conn net.Conn, err error) {
	g.mu.Lock()
	conn, err = g.conn, g.overLocked()
	if err == nil {
		err = g.why.writeEnd
	}
	if err == nil {
		now := g.now()
		if g.kind == sealed && g.below == nil && g.rates != nil {
			g.rates.record = g.rates.write.left(g.deliveredLocked()+record, g.limits.MinRate)
		}
		var at time.Duration
		if at, err = g.writeLimit(since); at > now {
			g.armWriteLocked(at, now)
			g.writeSince, g.writing, err = since, true, nil
		}
	}
	g.mu.Unlock()
	return conn, g.writeEnds(err)
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

// writeExpired is why a deadline ended a write that cannot be resumed. It is the last:
// who tries again must not take that for a timeout, and try for ever.
func (g *Guard) writeExpired(since time.Duration) error {
	g.mu.Lock()
	why := g.overLocked()
	if why == nil {
		_, why = g.writeLimit(since)
	}
	g.ownReasonsLocked().writeEnd = void{fmt.Errorf("an earlier write was cut inside a TLS record: %w", why)}
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
		if g.kind != sealed || g.below != nil {
			t = g.rates.write.left(g.deliveredLocked(), r)
		}
		if t < at {
			at, why = t, ErrMinRate
		}
	}
	return at, why
}
