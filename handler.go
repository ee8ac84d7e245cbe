package sockets

import "context"

// Handler serves one connection, in a goroutine of its own. The server closes c
// when the handler returns.
//
// ctx carries the values of the context that was given to Serve. It ends, with
// the reason as its cause, when the connection is closed on this side: by Close
// or Abort, by a limit, or because the grace period of a stop is over. It does
// not end when a stop begins (Conn.Draining tells that) nor when the peer
// vanishes (only a read sees that).
//
// A handler that returns nil, io.EOF, ErrDraining, ErrIdle or net.ErrClosed ended
// normally. Anything else is logged and counted, and touches no other connection.
type Handler func(ctx context.Context, c *Conn) error

// Responder answers one request. A nil reply means that none is sent, an empty
// one that an empty message is. The reply may alias the request, which is valid
// until the responder returns. An error ends the connection, or concerns this
// datagram alone. Responders run concurrently, one at a time for a connection.
type Responder func(ctx context.Context, request []byte) (reply []byte, err error)
