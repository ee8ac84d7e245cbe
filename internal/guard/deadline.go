package guard

import (
	"errors"
	"net"
	"time"

	"example.com/sockets/internal/operr"
)

// SetReadDeadline sets the user's deadline: one of the many that a read has, and
// the only one whose passing is a timeout.
func (g *Guard) SetReadDeadline(t time.Time) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.why.ended != nil {
		return g.why.ended
	}
	g.userRead = g.instant(t)
	at := g.userRead
	if g.waiting {
		at, _ = g.readLimit(g.wait, g.since)
	}
	if g.upgrading {
		return nil // it holds once the upgrade is over
	}
	return g.setReadLocked(at)
}

// SetWriteDeadline sets the user's deadline for writes, also of one under way.
func (g *Guard) SetWriteDeadline(t time.Time) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.why.ended != nil {
		return g.why.ended
	}
	g.userWrite = g.instant(t)
	at := g.userWrite
	switch {
	case g.writing:
		at, _ = g.writeLimit(g.writeSince)
	case g.kind != socket:
		at = never // until it is written: see endWrite
	}
	if g.upgrading {
		return nil
	}
	return g.setWriteLocked(at)
}

// fired reports whether a deadline error of the transport is explained by the
// deadline that is armed. One that is not is the transport's own error: looking
// again could go on for ever.
func (g *Guard) fired(armed *time.Duration, moved *bool) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	const early = 10 * time.Millisecond // for a transport with a coarse clock
	return *moved || *armed <= g.now()+early
}

// armReadLocked sees to it that conn's read deadline is at, or before it where an
// early one does no harm.
func (g *Guard) armReadLocked(at, now time.Duration) {
	g.readMoved = false
	if g.armedRead == at || g.kind != foreign && now < g.armedRead && g.armedRead < at {
		return
	}
	_ = g.setReadLocked(at) // a closed connection says so when it is read
	g.readMoved = false
}

// wakeReadLocked makes a read that waits look again.
func (g *Guard) wakeReadLocked() {
	if g.waiting && !g.upgrading {
		_ = g.setReadLocked(expired)
	}
}

// armWriteLocked does the same for the write deadline. All but sockets are written
// exactly: for TLS an early end would be the end for good.
func (g *Guard) armWriteLocked(at, now time.Duration) {
	g.writeMoved = false
	if g.armedWrite == at || g.kind == socket && now < g.armedWrite && g.armedWrite < at {
		return
	}
	_ = g.setWriteLocked(at)
	g.writeMoved = false
}

// wakeWriteLocked makes a write that waits look again. Where none can be under way
// the deadline stays: TLS may have to write for a read.
func (g *Guard) wakeWriteLocked() {
	if g.writing && !g.upgrading {
		_ = g.setWriteLocked(expired)
	}
}

func (g *Guard) setWriteLocked(at time.Duration) error {
	g.armedWrite, g.writeMoved = at, true
	return g.conn.SetWriteDeadline(g.deadline(at))
}

func (g *Guard) setReadLocked(at time.Duration) error {
	g.armedRead, g.readMoved = at, true
	return g.conn.SetReadDeadline(g.deadline(at))
}

func (g *Guard) deadline(at time.Duration) time.Time {
	switch {
	case at == never:
		return time.Time{}
	case at <= 0: // also what the user set in the far past
		return past
	}
	return g.start.Add(at)
}

// isDeadline reports whether a transport's error means that a deadline fired.
func isDeadline(err error) bool { return err != nil && operr.IsTimeout(err) }

// ofTransport is what a read or write on the transport came to: why the
// connection was closed, if this side did it.
func (g *Guard) ofTransport(err error) error {
	if err == nil {
		return nil
	}
	if ended := g.Ended(); ended != nil {
		return ended
	}
	if errors.Is(err, net.ErrClosed) {
		return net.ErrClosed
	}
	return err
}
