package guard

import (
	"net"
	"time"

	"example.com/sockets/internal/sockopt"
)

// Kernel reports whether the connection is a plain socket, from and to which the
// kernel can move bytes by itself.
func (g *Guard) Kernel() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.kind == socket
}

// Transfer moves bytes by a call of the transport's own that may be cut by a write
// deadline without losing count, such as sendfile. move is called again until it
// returns no error. The caller has the write turn.
//
// The peer is judged by what it has acknowledged: a socket with a large buffer
// takes nothing for minutes while a slow peer empties a third of it. To ask costs a
// system call, so a transfer is not compared with its begin, but with its first
// deadline: the end may be noticed after up to twice the time.
func (g *Guard) Transfer(move func(net.Conn) (n int64, err error)) (n int64, err error) {
	const unknown = -1
	since, queued := g.startWrite(), unknown
	g.setPassing(true)
	defer g.setPassing(false)
	defer g.endWrite()
	for {
		conn, err := g.beginWrite(since)
		if err != nil {
			return n, err
		}
		k, err := move(conn)
		n += k
		if k > 0 {
			g.lastWrite.Store(int64(g.note(&g.written, int(k))))
		}
		switch {
		case err == nil:
			return n, nil
		case !isDeadline(err) || !g.fired(&g.armedWrite, &g.writeMoved):
			return n, g.ofTransport(err)
		}
		before := queued
		if queued = g.unacked(); before == unknown || k > 0 || queued < before {
			since = max(since, g.acknowledged())
		}
	}
}

// Pass writes what came from elsewhere: until all of it is written the connection
// is not idle.
func (g *Guard) Pass(p []byte) (n int, err error) {
	g.setPassing(true)
	defer g.setPassing(false)
	n, _, err = g.Write(p)
	return n, err
}

func (g *Guard) setPassing(on bool) {
	g.mu.Lock()
	g.passing = on
	g.mu.Unlock()
}

// movedLocked is when the last byte moved; now, while one is about to.
func (g *Guard) movedLocked() time.Duration {
	if g.passing {
		return g.now()
	}
	return time.Duration(g.moved.Load())
}

// unacked is how many bytes the peer has yet to acknowledge, 0 if nobody knows.
func (g *Guard) unacked() int {
	n, _ := sockopt.Unacked(g.raw)
	return n
}

// acknowledged is when the peer's last acknowledgement came: now, if nobody knows.
func (g *Guard) acknowledged() time.Duration {
	ago, _ := sockopt.SinceAck(g.raw)
	return g.now() - ago
}

// deliveredLocked is how many bytes of this connection the peer has acknowledged,
// as far as anybody knows.
func (g *Guard) deliveredLocked() int64 {
	return g.written.Load() - int64(g.unacked()) - g.below.behind()
}

// startRateLocked starts the clock of a write's rate, which runs from -waited on. A
// peer that was behind in the last moment stays so: what is written piece by piece
// must not be free for as many seconds with each piece.
func (g *Guard) startRateLocked(now time.Duration) {
	delivered, last := g.deliveredLocked(), time.Duration(g.lastWrite.Load())
	r := &g.rates.write
	if paused := now - last; last >= 0 && paused < rateGrace {
		r.waited -= paused // for whoever had nothing to write
		if r.left(delivered, g.limits.MinRate)-now < rateGrace {
			return
		}
	}
	*r = rate{bytes: delivered, waited: -now}
}
