// Package guard watches over one connection: it is the only code that sets
// deadlines on it, and the only code that ends what waits for it.
//
// What a read may wait for is the earliest of many things: the user's deadline,
// the idle and the message timeout, the end of a call, the stop of the server.
// All meet in one function (readLimit) that computes when the wait ends and why,
// from state under one lock. A deadline that fires only means "look again". So a
// later SetDeadline of the user cannot erase a wake-up, whoever ends a wait
// changes the state first and pokes the connection second, and a deadline need
// not be moved with every read: one that is too early costs one more look.
package guard

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// never is an instant that does not come.
	never = time.Duration(1<<63 - 1)
	// quiet is how long a connection whose handler reads on its own must
	// have moved no byte to count as idle at a stop.
	quiet = 100 * time.Millisecond
	// look is what the last try before ErrDraining is given where nobody
	// can tell whether bytes wait. A read tries before it waits, so any
	// time in the future would do if goroutines were never late.
	look = 5 * time.Millisecond
)

// past is a deadline that has expired whatever the clock says.
var past = time.Unix(1, 0)

// expired is an instant that has passed.
const expired = time.Duration(-1)

// Guard watches over one connection. Instants are durations since start, so that
// they are small, and right in virtual time as well.
type Guard struct {
	Context
	// Owner is whom the hooks of the limits are told about.
	Owner any

	limits *Limits
	start  time.Time

	read, written atomic.Int64 // bytes moved
	moved         atomic.Int64 // the instant at which the last byte moved
	lastWrite     atomic.Int64 // the instant of the last write, negative: none

	mu                    sync.Mutex
	conn                  net.Conn // whose deadlines are set
	raw                   net.Conn // what is closed by force; below TLS
	userRead, userWrite   time.Duration
	armedRead, armedWrite time.Duration // what is set on conn
	drainAt               time.Duration // from then on what is idle ends
	callAt                time.Duration // the end of the call under way
	began                 time.Duration // of the message being read
	idle                  time.Duration // since when the first byte of the next is awaited
	since                 time.Duration // when the read that waits began
	writeSince            time.Duration // when the peer of a write last took a byte
	why                   *reasons      // of what has ended; never nil
	rates                 *rates        // nil: no minimum
	draining              chan struct{} // made by the first who asks
	call                  uint32        // counts calls and ends of calls
	kind                  kind
	wait                  Wait
	waiting               bool   // a read waits
	writing               bool   // a write may be under way
	readMoved, writeMoved bool   // the deadline was set by another than who waits
	parks                 bool   // the user tells idle from busy: Await or ReadMessage was called
	eof                   bool   // the peer has ended its sending
	layered               bool   // conn is not raw
	passing               bool   // what came from elsewhere is being written
	evicting              bool   // to end, unless a byte has come
	upgrading             bool   // what is below is another's
	below                 *probe // of TLS: nil where a write does not survive its deadline
}

// kind is how deadlines may be set on a connection.
type kind uint8

const (
	foreign kind = iota // exactly: it may not survive one that fires early
	socket              // lazily
	sealed              // crypto/tls: reads lazily; what a write is cut off must be kept
)

// Init makes g watch over conn. Values come from parent, which ends nothing.
func (g *Guard) Init(parent context.Context, conn net.Conn, l *Limits) {
	g.parent, g.limits, g.start = parent, l, time.Now()
	g.raw, g.layered = bottom(conn)
	g.lastWrite.Store(-1)
	g.why = &noReasons
	if l.MinRate > 0 {
		g.rates = new(rates)
	}
	g.userRead, g.userWrite = never, never
	g.drainAt, g.callAt, g.idle = never, never, never
	g.setConnLocked(conn)
}

// bottom is the connection under all layers that show what is below them.
func bottom(conn net.Conn) (raw net.Conn, layered bool) {
	for {
		over, ok := conn.(interface{ NetConn() net.Conn })
		if !ok {
			return conn, layered
		}
		conn, layered = over.NetConn(), true
	}
}

func (g *Guard) setConnLocked(conn net.Conn) {
	g.conn, g.kind, g.below = conn, foreign, nil
	g.armedRead, g.armedWrite = never, never
	switch conn := conn.(type) {
	case *net.TCPConn, *net.UnixConn:
		g.kind = socket
	case *tls.Conn:
		g.kind = sealed
		b, ok := conn.NetConn().(*probe)
		if !ok {
			return
		}
		if _, twice := b.Conn.(*tls.Conn); !twice {
			g.below, b.keeper = b, g
			b.keeps.Store(true)
		}
	}
}

func (g *Guard) now() time.Duration { return time.Since(g.start) }

// instant is t as the guard counts; the zero time never comes.
func (g *Guard) instant(t time.Time) time.Duration {
	if t.IsZero() {
		return never
	}
	return t.Sub(g.start)
}

// Conn is the connection on top, for options and for reading its state.
func (g *Guard) Conn() net.Conn {
	conn, _ := g.top()
	return conn
}

func (g *Guard) top() (conn net.Conn, layered bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.conn, g.layered
}

// Drain asks for the end of the connection: once after has passed, waiting for
// the first byte of a message returns ErrDraining, unless bytes are already here.
func (g *Guard) Drain(after time.Duration) { g.retire(after, ErrDraining) }

// Retire does the same for another reason, at once.
func (g *Guard) Retire(why Reason) { g.retire(0, why) }

func (g *Guard) retire(after time.Duration, why Reason) {
	if g.drain(after, why) {
		g.End(why)
	}
}

// drain reports whether the connection is idle in a way that only its end ends:
// in a handshake of which no byte has come.
func (g *Guard) drain(after time.Duration, why Reason) (end bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.drainAt != never {
		return false
	}
	g.drainAt, g.ownReasonsLocked().drain = g.now()+after, why
	if g.draining != nil {
		close(g.draining)
	}
	g.wakeReadLocked()
	return g.upgrading && g.silent(g.below)
}

// Draining returns a channel that is closed when Drain is called.
func (g *Guard) Draining() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.draining == nil {
		g.draining = make(chan struct{})
		if g.drainAt != never {
			close(g.draining)
		}
	}
	return g.draining
}

// End closes the connection by force: its socket first, below TLS, whose own
// close may wait for a peer that does not read. Whoever waits for the connection
// gets cause, and the context ends with it. Only the first end counts, but a Close
// that waits for the peer is cut short.
func (g *Guard) End(cause error) {
	closing := make(chan struct{})
	defer close(closing)
	first := g.finish(cause, closing)
	conn, layered := g.top()
	if first || layered {
		_ = g.raw.Close()
	}
	if first && layered {
		_ = conn.Close() // it may hold more than the socket
	}
}

// Close closes the connection in order. A second close, or one after End, does
// nothing. For what a deadline has cut off there is one more try, and no wait.
func (g *Guard) Close() error {
	if !g.finish(net.ErrClosed, nil) {
		return nil
	}
	g.lastWords(never, look)
	return g.Conn().Close()
}

// AwaitEnd waits until the close of an End that has begun is over: one of a foreign
// connection may take long, and is nobody's if its owner has gone.
func (g *Guard) AwaitEnd() {
	g.mu.Lock()
	closing := g.why.closing
	g.mu.Unlock()
	if closing != nil {
		<-closing
	}
}

func (g *Guard) finish(cause error, closing chan struct{}) (first bool) {
	g.mu.Lock()
	first = g.why.ended == nil
	if first {
		why := g.ownReasonsLocked()
		why.ended, why.closing = cause, closing
	}
	g.mu.Unlock()
	if first {
		g.Context.end(cause)
	}
	return first
}

// Ended is why the connection was closed on this side, nil if it was not.
func (g *Guard) Ended() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.why.ended
}

// Traffic is what has moved, and how long ago the last byte did.
func (g *Guard) Traffic() (read, written int64, quiet time.Duration) {
	return g.read.Load(), g.written.Load(), g.now() - time.Duration(g.moved.Load())
}

// Age is how long the connection has been watched.
func (g *Guard) Age() time.Duration { return g.now() }

func (g *Guard) note(counter *atomic.Int64, n int) time.Duration {
	now := g.now()
	counter.Add(int64(n))
	g.moved.Store(int64(now))
	return now
}
