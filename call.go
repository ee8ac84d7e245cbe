package sockets

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"example.com/sockets/internal/guard"
	"example.com/sockets/internal/operr"
)

// callTimeout is what a Call may take when its context has no deadline and the
// Dialer that made the connection has no Timeout.
const callTimeout = 10 * time.Second

// Call writes a request and reads one reply, the next message. It is for protocols
// that answer each request, in order. Calls take turns; the others wait, until
// their contexts end. The reply is valid until the next read on c, so goroutines
// that share a connection share a client.Pool instead, whose replies are their own.
//
// The end of ctx ends the call within milliseconds, with an error that matches
// ctx.Err and context.Cause. A ctx without a deadline is given the Timeout of the
// Dialer that made c, or 10 s, to which the wait for other calls counts.
//
// Input that is there already is not taken for the reply: a call is refused while a
// message, or a part of one, that this side has received and not read is before it.
// What is still on its way nobody can tell from the reply.
//
// When NotSent(err) is true nothing was written, and the connection is as before.
// Otherwise the peer may have executed the request, and its reply may still come:
// the conversation is void, every later Call, ReadMessage and WriteMessage returns
// an error that matches this one (but is no timeout, as waiting helps no more), and
// all that is left is to Close c. EOF instead of a reply is
// io.ErrUnexpectedEOF.
func (c *Conn) Call(ctx context.Context, request []byte) (reply []byte, err error) {
	return c.callUntil(ctx, c.until(ctx), request)
}

// callUntil is Call for a time that was settled before; zero is none.
func (c *Conn) callUntil(ctx context.Context, until time.Time, request []byte) (reply []byte, err error) {
	switch {
	case ctx.Err() != nil:
		return nil, c.unsent(operr.OfContext(ctx))
	case !until.IsZero() && !time.Now().Before(until):
		return nil, c.unsent(operr.ErrTimeout)
	}
	if err := c.calling.takeUntil(ctx, until); err != nil {
		return nil, c.unsent(err)
	}
	defer c.calling.leave()
	if err := c.guard.Over(); err == nil && (c.r < c.w || c.empty) {
		return nil, c.unsent(errUnread)
	}
	if err := c.writing.takeUntil(ctx, until); err != nil {
		return nil, c.unsent(err)
	}
	defer c.guard.EndCall(c.guard.BeginCall(ctx, until))
	sent, err := c.writeMessage("call", request)
	if !sent {
		return nil, c.unsent(err)
	}
	if err == nil {
		reply, err = c.readMessage(guard.Reply)
	}
	if err == nil {
		return reply, nil
	}
	if errors.Is(err, io.EOF) {
		err = errNoReply
	}
	err = c.fail("call", err)
	c.guard.Break(err)
	return nil, err
}

// until is when a call that begins now ends at the latest; the zero time means that
// only ctx says.
func (c *Conn) until(ctx context.Context) time.Time {
	if _, ok := ctx.Deadline(); ok || c.limit < 0 {
		return time.Time{}
	}
	return time.Now().Add(c.limit)
}

// errUnread: what came before the request is no reply to it, but would be taken for
// one. A server that greets, pushes, or answers twice sends such things.
var errUnread = errors.New("input from before the request is unread, and would be taken for its reply")

var errNoReply = fmt.Errorf("%w: the peer ended its sending before it replied", io.ErrUnexpectedEOF)

// unsent is the error of a call of which no byte has left.
func (c *Conn) unsent(err error) error {
	return &operr.Error{Op: "call", Local: c.Local(), Remote: c.Remote(), Unsent: true, Err: err}
}
