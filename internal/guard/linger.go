package guard

import (
	"errors"
	"net"
	"time"

	"example.com/sockets/internal/bufpool"
	"example.com/sockets/internal/sockopt"
)

// lingerMost is what a lingering connection reads and throws away at most. A peer
// that sends more does not listen.
const lingerMost = 16 << 20

// CloseWrite ends the sending side: with close_notify and FIN where TLS is on top
// (crypto/tls sends the first alone), with errors.ErrUnsupported where the
// connection has no half-close. The caller has the write turn.
func (g *Guard) CloseWrite() error {
	return g.closeWrite(never)
}

func (g *Guard) closeWrite(limit time.Duration) error {
	if ended := g.Ended(); ended != nil {
		return ended
	}
	g.lastWords(limit, limit)
	return g.ofTransport(closeWrite(g.Conn()))
}

func closeWrite(c net.Conn) error {
	half, ok := c.(interface{ CloseWrite() error })
	if ok {
		if err := half.CloseWrite(); err != nil {
			return err
		}
	}
	below, wrapped := c.(interface{ NetConn() net.Conn })
	switch {
	case wrapped:
		err := closeWrite(below.NetConn())
		if ok && errors.Is(err, errors.ErrUnsupported) {
			return nil // what is above said it in its own way
		}
		return err
	case ok:
		return nil
	}
	return errors.ErrUnsupported
}

// MustLinger reports whether a close could destroy a reply: it was written less
// than within ago, and either input waits that nobody read, which turns the close
// into a reset, or the peer has not acknowledged it, so that input may still come.
// Where the system can't tell, it might.
func (g *Guard) MustLinger(within time.Duration) bool {
	g.mu.Lock()
	over := g.why.ended != nil || g.eof
	g.mu.Unlock()
	wrote := time.Duration(g.lastWrite.Load())
	if over || wrote < 0 || g.now()-wrote >= within {
		return false
	}
	unread, ok := sockopt.Unread(g.raw)
	if !ok || unread > 0 {
		return true
	}
	unacked, ok := sockopt.Unacked(g.raw)
	return !ok || unacked > 0
}

// Linger ends the sending side and reads until the peer ends its own, for limit
// at most. A peer that has sent nothing more is let go as soon as it has everything:
// then nothing is left to lose. The handler is gone, so this is busy: only End and
// Limits.Scarce may interfere.
func (g *Guard) Linger(limit time.Duration) {
	end := g.now() + limit
	if g.closeWrite(limit) != nil {
		return
	}
	buf := bufpool.Get(32 << 10)
	defer buf.Free()
	unread, ok := sockopt.Unread(g.raw)
	sends := !ok || unread > 0
	g.mu.Lock()
	g.ownReasonsLocked().readEnd, g.parks = nil, true
	g.mu.Unlock()
	wait, scarcity := time.Millisecond, g.limits.scarcity()
	for n := 0; n < lingerMost && g.limits.scarcity() == scarcity; {
		k, err := g.lingerRead(buf.B, end, wait, sends)
		n += k
		switch {
		case k > 0:
			sends = true
		case !isDeadline(err) || g.now() >= end || !sends && g.acknowledgedAll():
			return
		}
		wait = min(2*wait, lingerLook)
	}
}

// Farewell closes a connection of which nothing was read, without waiting. A close
// with unread input is a reset, so what has come is thrown away first.
func (g *Guard) Farewell() {
	_ = g.CloseWrite()
	buf := bufpool.Get(32 << 10)
	defer buf.Free()
	for n := 0; n < lingerMost; {
		if unread, ok := sockopt.Unread(g.raw); !ok || unread == 0 {
			break
		}
		k, err := g.raw.Read(buf.B) // does not wait
		if n += k; err != nil {
			break
		}
	}
	_ = g.Close()
}

// lingerLook is how often at least it is asked whether the peer has everything, and
// whether this is no time to linger.
const lingerLook = 50 * time.Millisecond

// lingerRead reads until end, for as long as wait at most and, if the peer sends, for
// lingerLook.
func (g *Guard) lingerRead(p []byte, end, wait time.Duration, sends bool) (int, error) {
	if sends {
		wait = lingerLook
	}
	g.mu.Lock()
	g.userRead = min(end, g.now()+wait)
	g.mu.Unlock()
	return g.Read(p, Own)
}

// acknowledgedAll reports whether the peer's system has all that was written, the
// FIN included.
func (g *Guard) acknowledgedAll() bool {
	n, ok := sockopt.Unacked(g.raw)
	return ok && n == 0
}
