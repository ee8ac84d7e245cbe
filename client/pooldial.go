package client

import (
	"context"
	"errors"
	"net"
	"time"

	"example.com/sockets"
	"example.com/sockets/internal/operr"
)

// dialLocked begins to dial for those who wait, as far as the limit allows; one at
// a time while that fails. Who dials is not who waits: the connection is for
// whoever is the first then, or for later.
func (p *Pool) dialLocked() {
	most := p.Conns
	if most == 0 {
		most = defaultConns
	}
	for !p.closing && p.dialing < len(p.waiters) && (most < 0 || len(p.members)+p.dialing < most) {
		if p.dialing > 0 && p.lastErr != nil {
			return
		}
		p.dialing++
		p.work.Go(p.dial)
	}
}

// dial makes one connection and hands it on. If it fails and there is no other, nor
// one in the making, nobody who waits can hope.
func (p *Pool) dial() {
	m, err := p.connect()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dialing--
	p.lastErr = err
	switch {
	case err == nil:
		p.stats.Dialed++
		p.members[m] = struct{}{}
		p.work.Go(func() { p.watch(m) })
		p.placeLocked(m)
	case !p.closing:
		p.stats.DialFailed++
		p.penalizeLocked()
		if len(p.members)+p.dialing == 0 {
			p.refuseLocked(err)
		}
	}
	p.dialLocked()
	p.settleLocked()
}

// connect makes a connection, after the pause that earlier failures call for.
func (p *Pool) connect() (*member, error) {
	p.mu.Lock()
	rest := time.Until(p.notBefore)
	p.mu.Unlock()
	if rest > 0 {
		if err := pause(p.ctx, rest); err != nil {
			return nil, net.ErrClosed
		}
	}
	conn, broken, err := p.Dialer.dialTCP(p.ctx, p.Address)
	if err != nil {
		return nil, err
	}
	err = p.restore(conn)
	m := p.newMember(conn, broken)
	if ok, _ := p.tidy(m); !ok && err == nil {
		err = errNotReady
	}
	if err != nil {
		conn.Abort(nil)
		return nil, &operr.Error{Op: "restore", Local: conn.Local(), Remote: conn.Remote(), Unsent: true, Err: err}
	}
	return m, nil
}

// restore runs Restore, whose reads and writes end with its context too: a server
// that accepts and says nothing must not keep a place for ever.
func (p *Pool) restore(conn *sockets.Conn) error {
	if p.Restore == nil {
		return nil
	}
	ctx, cancel := p.Dialer.withTimeout(p.ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { conn.Abort(operr.OfContext(ctx)) })
	defer stop()
	return p.Restore(ctx, conn)
}

// errNotReady: a Restore that succeeds must leave the connection between messages.
var errNotReady = errors.New("the connection has ended, or something on it is unread")
