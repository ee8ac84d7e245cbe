// Package connhook lets the packages of this module make and watch a sockets.Conn
// in ways that its users can't, such as with a server's limits. Package sockets,
// which this package must not import, fills the hooks in.
package connhook

import (
	"context"
	"net"
	"time"

	"example.com/sockets/internal/guard"
)

// Options are what a Conn may have beyond sockets.NewConn.
type Options struct {
	Framing any             // a sockets.Framing; nil: the default
	Parent  context.Context // whose values the connection's context carries; nil: none
	Limits  *guard.Limits   // shared by many connections; nil: none
	Call    time.Duration   // for a call whose context has no deadline; 0: the default, negative: none
}

// New returns a *sockets.Conn over nc, and its guard.
var New func(nc net.Conn, o Options) (conn any, g *guard.Guard)

// Call is Call of a *sockets.Conn by who knows already when it has to end, because
// waiting for the connection counted: at until, or, if that is zero, with ctx alone.
var Call func(ctx context.Context, conn any, until time.Time, request []byte) (reply []byte, err error)

// Await is Await of a *sockets.Conn for who watches many that are idle: a wait that
// was ended from outside allocates no error that nobody will see.
var Await func(conn any) error
