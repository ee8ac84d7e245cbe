package guard

import (
	"context"
	"net"
	"sync/atomic"

	"example.com/sockets/internal/operr"
)

// probe is what an upgrade is given to read from. It tells a handshake that has
// begun from a peer that is silent.
type probe struct {
	net.Conn
	read atomic.Int64
}

func (p *probe) Read(b []byte) (int, error) {
	n, err := p.Conn.Read(b)
	p.read.Add(int64(n))
	return n, err
}

// NetConn is the connection underneath, as tls.Conn has it.
func (p *probe) NetConn() net.Conn { return p.Conn }

// Upgrade replaces the connection by what f makes of it. While f runs, deadlines
// are f's own; the end of ctx closes the connection. A stop does so too if
// nothing of a handshake has come.
func (g *Guard) Upgrade(ctx context.Context, f func(net.Conn) (net.Conn, error)) error {
	p, err := g.beginUpgrade()
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { g.End(operr.OfContext(ctx)) })
	next, err := f(p)
	g.endUpgrade(p, next)
	if !stop() {
		g.End(operr.OfContext(ctx)) // at once, and not a moment later
	}
	if ended := g.Ended(); ended != nil {
		if next != nil {
			_ = next.Close() // the end may have come before it was known
		}
		return ended
	}
	if err != nil {
		g.End(err) // nobody knows what the peer thinks of the stream now
	}
	return err
}

func (g *Guard) beginUpgrade() (*probe, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := g.readableLocked(Next); err != nil {
		return nil, err
	}
	if g.drainAt != never {
		return nil, ErrDraining // a new handshake is no message in progress
	}
	_, _ = g.setReadLocked(never), g.setWriteLocked(never)
	g.upgrading = &probe{Conn: g.conn}
	return g.upgrading, nil
}

func (g *Guard) endUpgrade(p *probe, next net.Conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.upgrading = nil
	switch next {
	case nil:
		next = g.conn
	case net.Conn(p):
		next = p.Conn // f only talked: nothing to put on top
	default:
		g.layered = true
	}
	g.setConnLocked(next)
	g.idle = never // a handshake is no waiting
	_, _ = g.setReadLocked(never), g.setWriteLocked(never)
}
