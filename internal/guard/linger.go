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
	if ended := g.Ended(); ended != nil {
		return ended
	}
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
// at most. The handler is gone, so this is busy: only End may interfere.
func (g *Guard) Linger(limit time.Duration) {
	if g.CloseWrite() != nil {
		return
	}
	buf := bufpool.Get(32 << 10)
	defer buf.Free()
	g.mu.Lock()
	g.userRead, g.ownReasonsLocked().readEnd, g.parks = g.now()+limit, nil, true
	g.mu.Unlock()
	for n := 0; n < lingerMost; {
		k, err := g.Read(buf.B, Own)
		if err != nil {
			return
		}
		n += k
	}
}
