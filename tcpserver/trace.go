package tcpserver

import (
	"example.com/sockets"
	"example.com/sockets/internal/guard"
)

// Trace has callbacks for the moments of a connection's life, for spans and for
// metrics that Stats has not. Nil ones cost nothing. They are called in the
// connection's goroutine, of several connections at once, and what they do delays
// the connection.
type Trace struct {
	// Open is called first, before the handshake.
	Open func(c *sockets.Conn)
	// Handshake is called when Prepare and TLS are through, with why they
	// failed if they did. Without either it is not called.
	Handshake func(c *sockets.Conn, err error)
	// FirstByte is called when the first byte behind the handshake is read.
	FirstByte func(c *sockets.Conn)
	// Idle is called when the handler begins to wait for the first byte of a
	// message, each time.
	Idle func(c *sockets.Conn)
	// Close is called last, when the connection is closed, with what the
	// handler returned, or why there was none.
	Close func(c *sockets.Conn, err error)
}

// hooks are the callbacks for what only the guard of a connection sees.
func (t *Trace) hooks() *guard.Hooks {
	if t == nil || t.FirstByte == nil && t.Idle == nil {
		return nil
	}
	return &guard.Hooks{FirstByte: onConn(t.FirstByte), Idle: onConn(t.Idle)}
}

func onConn(f func(*sockets.Conn)) func(owner any) {
	if f == nil {
		return nil
	}
	return func(owner any) { f(owner.(*connection).conn) }
}
