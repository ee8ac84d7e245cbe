package guard

import (
	"context"
	"net"
	"sync/atomic"
	"time"

	"example.com/sockets/internal/operr"
	"example.com/sockets/internal/sockopt"
)

// probe is what an upgrade is given to read from. It tells a handshake that has
// begun from a peer that is silent, and then lies below TLS.
type probe struct {
	net.Conn
	tail
	read     atomic.Int64
	patience *time.Timer // of a stop, with one of which no byte comes
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
	p, err := g.beginUpgrade(nil)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { g.End(operr.OfContext(ctx)) })
	next, err := f(p)
	g.endUpgrade(p, next)
	if !stop() {
		g.End(operr.OfContext(ctx)) // at once, and not a moment later
	}
	return g.upgraded(next, err)
}

// Handshake is the upgrades before the connection is served. It takes limit in all,
// and also begins during a stop, for a connection that was queued.
func (g *Guard) Handshake(limit time.Duration, steps ...func(net.Conn) (net.Conn, error)) error {
	if limit > 0 {
		timer := time.AfterFunc(limit, func() { g.End(ErrHandshake) })
		defer timer.Stop()
	}
	p := &probe{}
	defer g.serveQueued()
	for _, step := range steps {
		var err error
		if p, err = g.beginUpgrade(p); err != nil {
			return err
		}
		next, err := step(p)
		g.endUpgrade(p, next)
		if err = g.upgraded(next, err); err != nil {
			return err
		}
	}
	return nil
}

// beginUpgrade begins one. before is the step before of the same handshake, whose
// bytes count; nil for one in the middle of a conversation.
func (g *Guard) beginUpgrade(before *probe) (*probe, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := g.readableLocked(Next); err != nil {
		return nil, err
	}
	if before == nil && g.drainAt != never {
		return nil, g.why.drain // a new handshake is no message in progress
	}
	_, _ = g.setReadLocked(never), g.setWriteLocked(never)
	if g.below != nil {
		g.below.keeps.Store(false) // f's deadlines are not ours
	}
	p := &probe{Conn: g.conn}
	if before != nil {
		p.read.Store(before.read.Load())
	}
	g.upgrading, g.below = true, p
	if g.drainAt != never && g.silent(p) { // asked before anybody reads
		p.patience = time.AfterFunc(g.drainAt-g.now(), func() {
			if g.silent(p) {
				g.End(ErrDraining)
			}
		})
	}
	return p, nil
}

// silent reports whether no byte of a handshake has come, read or not.
func (g *Guard) silent(p *probe) bool {
	if p.read.Load() > 0 {
		return false
	}
	n, _ := sockopt.Unread(g.raw)
	return n == 0
}

func (g *Guard) endUpgrade(p *probe, next net.Conn) {
	if p.patience != nil {
		p.patience.Stop()
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.upgrading = false
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

// upgraded is what a step that returned next and err came to.
func (g *Guard) upgraded(next net.Conn, err error) error {
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

// serveQueued gives a connection whose handshake went on during a stop the time for
// its first message anew.
func (g *Guard) serveQueued() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.drainAt != never {
		g.drainAt = g.now() + quiet
	}
}
