package sockets

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"time"

	"example.com/sockets/addr"
	"example.com/sockets/internal/bufpool"
	"example.com/sockets/internal/connhook"
	"example.com/sockets/internal/guard"
	"example.com/sockets/internal/operr"
)

// Conn is a connection socket, either end of it: a net.Conn that also moves
// messages, knows when it is idle, and can be told to end.
//
// Read, ReadMessage, Messages, Await, SetFraming and Upgrade are for one
// goroutine at a time; everything else is safe for concurrent use. All reading
// shares one buffer, so the ways to read may be mixed.
//
// An idle Conn holds no buffer beyond 128 bytes of its own.
type Conn struct {
	guard guard.Guard
	id    uint64
	limit time.Duration // of a call without a deadline; negative: none

	framing  Framing         // written by the reader under the write turn
	large    *bufpool.Buffer // where unread bytes are, if not in small
	r, w     int             // the unread bytes are those between
	skipping bool            // the rest of a message that was too long
	midway   bool            // a read ended inside a message, whose clock runs on
	empty    bool            // an empty message was read ahead, where boundaries are kept

	writing turn
	calling turn
	small   [128]byte
}

var lastID atomic.Uint64

// NewConn returns a Conn over c: a TCP, TLS or unix connection, a net.Pipe, one
// of simnet. A nil f means Lines(0), and Packets over a session of
// udpserver.Sessions. From now on c belongs to the Conn: close the
// Conn instead, and set deadlines on it alone.
func NewConn(c net.Conn, f Framing) *Conn {
	return newConn(c, connhook.Options{Framing: f})
}

func newConn(nc net.Conn, o connhook.Options) *Conn {
	c := &Conn{id: lastID.Add(1), limit: o.Call, framing: framingFor(nc)}
	if f, ok := o.Framing.(Framing); ok {
		c.framing = f
	}
	if c.limit == 0 {
		c.limit = callTimeout
	}
	if o.Parent == nil {
		o.Parent = context.Background()
	}
	if o.Limits == nil {
		o.Limits = &noLimits
	}
	c.guard.Init(o.Parent, nc, o.Limits)
	return c
}

var noLimits guard.Limits

func init() {
	connhook.New = func(nc net.Conn, o connhook.Options) (any, *guard.Guard) {
		c := newConn(nc, o)
		return c, &c.guard
	}
	connhook.Call = func(ctx context.Context, conn any, until time.Time, request []byte) ([]byte, error) {
		return conn.(*Conn).callUntil(ctx, until, request)
	}
	connhook.Await = func(conn any) error { return conn.(*Conn).await() }
}

// ID is a number that no other Conn of this process has.
func (c *Conn) ID() uint64 { return c.id }

// Local is this end's address. It is invalid where there is none: on unix
// sockets and pipes.
func (c *Conn) Local() addr.Endpoint { return endpoint(c.LocalAddr()) }

// Remote is the peer's address, never IPv4-mapped, and invalid where there is
// none.
func (c *Conn) Remote() addr.Endpoint { return endpoint(c.RemoteAddr()) }

func endpoint(a net.Addr) addr.Endpoint {
	e, _ := addr.From(a)
	return e
}

// LocalAddr is this end's address as the net package has it.
func (c *Conn) LocalAddr() net.Addr { return c.NetConn().LocalAddr() }

// RemoteAddr is the peer's address as the net package has it.
func (c *Conn) RemoteAddr() net.Addr { return c.NetConn().RemoteAddr() }

// NetConn is the connection underneath, after an upgrade to TLS the *tls.Conn: to
// set socket options and to ask for its state. Bytes that were read ahead are not
// in it, and deadlines set on it are void. Under TLS lies a layer of this package:
// the socket is what NetConn after NetConn leads to.
func (c *Conn) NetConn() net.Conn { return c.guard.Conn() }

// Draining returns a channel that is closed when the server wants this connection
// to end. It is never closed on a client's.
func (c *Conn) Draining() <-chan struct{} { return c.guard.Draining() }

// SetDeadline sets both deadlines. The zero time means none.
func (c *Conn) SetDeadline(t time.Time) error {
	if err := c.SetReadDeadline(t); err != nil {
		return err
	}
	return c.SetWriteDeadline(t)
}

// SetReadDeadline ends reads with a timeout from t on, whatever they wait for. The
// zero time means none. It cannot keep a read waiting that a limit of the server
// or a stop ends.
func (c *Conn) SetReadDeadline(t time.Time) error {
	return c.fail("set read deadline", c.guard.SetReadDeadline(t))
}

// SetWriteDeadline ends writes with a timeout from t on. The zero time means none.
// One that begins later than t touches nothing, and writing can go on with another t.
//
// On TLS a write may end inside a record, all of which counts as written. What the
// system did not take of it goes out before anything else, with the next write or
// CloseWrite; Close tries and does not wait, and reading does not send it. So it is
// for TLS below which this package could lay something: of a server, of Upgrade, of a
// client.Dialer. On a tls.Conn that was given to NewConn such a write is the last,
// and a later one returns an error that is no timeout.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	return c.fail("set write deadline", c.guard.SetWriteDeadline(t))
}

// Close closes the connection; what was written is still delivered. Whoever waits
// for it gets an error that matches net.ErrClosed, and so does the context of its
// handler. Closing again does nothing and returns nil.
//
// Close what is under a TLS connection with Abort: Close may wait up to 5 s for a
// peer that does not read.
func (c *Conn) Close() error { return c.fail("close", c.guard.Close()) }

// Abort closes the connection now, the socket itself first, without the good
// manners of the layers above. Whoever waits for it gets cause, which is also the
// cause of its context; a nil cause means net.ErrClosed. After Close or another
// Abort it does nothing.
func (c *Conn) Abort(cause error) {
	if cause == nil {
		cause = net.ErrClosed
	}
	c.guard.End(cause)
}

// CloseWrite ends this end's sending: the peer reads EOF, and its replies still
// arrive. On TLS it sends close_notify and the FIN that crypto/tls leaves out.
// errors.ErrUnsupported means that the connection has no half-close.
func (c *Conn) CloseWrite() error {
	c.writing.take()
	defer c.writing.leave()
	return c.fail("close write", c.guard.CloseWrite())
}

// Upgrade puts another protocol on top of the connection, as STARTTLS does: f gets
// what is underneath and returns what takes its place. It is for the moment between
// messages: bytes that were read ahead are an error, as they were sent before the
// other protocol began. The Conn keeps its ID, its framing, its limits and its
// place in the drain.
//
// The end of ctx closes the connection. So does an error of f, since nobody knows
// how far the peer has come. When the server is stopping Upgrade returns
// ErrDraining and does nothing.
func (c *Conn) Upgrade(ctx context.Context, f func(net.Conn) (net.Conn, error)) error {
	if n := c.w - c.r; n > 0 {
		return c.fail("upgrade", fmt.Errorf("%d bytes were read ahead, which the peer sent before the upgrade", n))
	}
	if err := c.writing.takeUntil(ctx, time.Time{}); err != nil {
		return c.fail("upgrade", err)
	}
	defer c.writing.leave()
	return c.fail("upgrade", c.guard.Upgrade(ctx, f))
}

// fail gives an error the form in which it reaches a user. One that has it keeps
// it; io.EOF stays bare, as readers compare it with ==.
func (c *Conn) fail(op string, err error) error {
	if _, done := err.(*operr.Error); err == nil || err == io.EOF || done {
		return err
	}
	return &operr.Error{Op: op, Local: c.Local(), Remote: c.Remote(), Err: err}
}
