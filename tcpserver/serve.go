package tcpserver

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"runtime/debug"
	"syscall"
	"time"

	"example.com/sockets"
	"example.com/sockets/internal/errno"
	"example.com/sockets/internal/guard"
	"example.com/sockets/internal/operr"
)

// errGoexit is the outcome of a handler that did not return. A panic is one too,
// until it is recovered.
var errGoexit = errors.New("the handler called runtime.Goexit")

// errRejected is the outcome of a connection for which there was no place.
var errRejected = errors.New("rejected: over the limit")

// errUnserved is the outcome of one that was closed before it had its turn.
var errUnserved = errors.New("closed before its turn came")

// panicked is the outcome of a handler that panicked.
type panicked struct {
	value any
	stack []byte
}

func (p *panicked) Error() string { return fmt.Sprintf("the handler panicked: %v", p.value) }

// staged reports whether something comes before the handler.
func (s *Server) staged() bool { return s.TLS != nil || s.Prepare != nil }

// serve is the life of a connection: handshake, a turn, the handler, its outcome,
// the close.
func (c *connection) serve() {
	outcome := errGoexit
	defer c.leave()
	defer func() {
		if !c.run.server.Crash {
			if v := recover(); v != nil {
				outcome = &panicked{v, debug.Stack()}
			}
		}
		c.end(outcome)
	}()
	if t := c.run.server.Trace; t != nil && t.Open != nil {
		t.Open(c.conn)
	}
	if outcome = c.prepare(); outcome != nil {
		return
	}
	outcome = errGoexit
	c.phase.Store(&inHandler)
	defer c.limitLife()()
	outcome = c.run.server.Handler(c.guard, c.conn)
}

// handshakeError is the outcome of a connection that did not reach its handler.
type handshakeError struct{ error }

func (e handshakeError) Unwrap() error { return e.error }

// prepare does what comes before the handler, and takes its turn.
func (c *connection) prepare() error {
	s := c.run.server
	if s.staged() {
		err := c.handshake()
		if t := s.Trace; t != nil && t.Handshake != nil {
			t.Handshake(c.conn, err)
		}
		if err != nil {
			return handshakeError{err}
		}
	}
	if !c.source.IsValid() && !c.charge() {
		s.rejectedSource.Add(1)
		return errRejected
	}
	if !s.staged() {
		return nil
	}
	c.phase.Store(&waiting)
	switch s.admit(c.guard.Done()) {
	case rejected:
		s.rejected.Add(1)
		return errRejected
	case stopped:
		return fmt.Errorf("%w: %w", errUnserved, context.Cause(c.guard))
	}
	c.slot.give()
	c.slot = s.handlers
	if ended := c.guard.Ended(); ended != nil { // in the moment in which its turn came
		return fmt.Errorf("%w: %w", errUnserved, ended)
	}
	return nil
}

// handshake is counted while it runs, however it ends: its steps are the user's code.
func (c *connection) handshake() error {
	s := c.run.server
	s.handshaking.Add(1)
	defer s.handshaking.Add(-1)
	return c.guard.Handshake(s.Timeouts.handshake(), c.steps()...)
}

// steps are the upgrades before the handler.
func (c *connection) steps() (steps []func(net.Conn) (net.Conn, error)) {
	s := c.run.server
	if s.Prepare != nil {
		steps = append(steps, c.userStep)
	}
	if s.TLS != nil {
		steps = append(steps, func(nc net.Conn) (net.Conn, error) {
			over := tls.Server(nc, s.TLS)
			return over, over.Handshake() // bounded by the guard, which closes nc
		})
	}
	return steps
}

// userStep calls Prepare. What that returns may read its address from the peer when
// it is asked, so this is the time to ask, if it is needed: later nothing bounds it.
func (c *connection) userStep(nc net.Conn) (net.Conn, error) {
	next, err := c.run.server.Prepare(c.guard, nc)
	if err == nil && next != nil && c.run.server.Limits.PerSource > 0 {
		_ = next.RemoteAddr()
	}
	return next, err
}

// limitLife starts the clocks of Timeouts.Lifetime, and returns what stops them.
func (c *connection) limitLife() (stop func()) {
	life := c.run.server.Timeouts.Lifetime
	if life <= 0 {
		return func() {}
	}
	left := life - c.guard.Age()
	told := left - rand.N(life/5+1)
	tell := time.AfterFunc(told, func() { c.guard.Retire(guard.ErrLifetime) })
	end := time.AfterFunc(left, func() { c.guard.End(sockets.ErrLifetime) })
	return func() { tell.Stop(); end.Stop() }
}

// end reports how the connection ended, and closes it.
func (c *connection) end(outcome error) {
	c.report(outcome)
	if errors.Is(outcome, errRejected) {
		c.turnAway(true)
	} else {
		c.close(!errors.Is(outcome, errGoexit))
	}
	if t := c.run.server.Trace; t != nil && t.Close != nil {
		t.Close(c.conn, outcome)
	}
}

// report counts how the connection ended, and logs what a person should see.
func (c *connection) report(outcome error) {
	s := c.run.server
	var p *panicked
	var h handshakeError
	switch {
	case errors.Is(outcome, errRejected): // counted when it was
	case errors.Is(outcome, errUnserved):
		s.unserved.Add(1)
	case errors.As(outcome, &h): // also where a handler's would have been normal
		s.unprepared.Add(1)
		c.log(handshakeLevel(h), "handshake failed", "err", h.error)
	case normal(outcome):
		s.served.Add(1)
	case errors.As(outcome, &p):
		s.panics.Add(1)
		c.log(slog.LevelError, "handler panicked; its connection is closed", "panic", p.value, "stack", string(p.stack))
	default:
		s.failed.Add(1)
		c.log(level(outcome), "handler ended with an error", "err", outcome)
	}
}

func (c *connection) log(l slog.Level, message string, args ...any) {
	if !c.run.log.Enabled(c.guard, l) {
		return
	}
	args = append([]any{"id", c.conn.ID(), "remote", c.conn.Remote(), "phase", *c.phase.Load()}, args...)
	c.run.log.Log(c.guard, l, message, args...)
}

// normal reports whether a handler's outcome is an ordinary end.
func normal(err error) bool {
	return err == nil || errors.Is(err, io.EOF) || errors.Is(err, sockets.ErrDraining) ||
		errors.Is(err, sockets.ErrIdle) || errors.Is(err, net.ErrClosed)
}

// level is how much a failure deserves attention: what the peer or a limit did is
// daily life of a server on the open network.
func level(err error) slog.Level {
	for _, ours := range []error{sockets.ErrEvicted, sockets.ErrLifetime, sockets.ErrMessage, sockets.ErrMinRate, sockets.ErrWrite} {
		if errors.Is(err, ours) {
			return slog.LevelInfo
		}
	}
	if errno.In(err, syscall.ECONNRESET, syscall.EPIPE, syscall.ECONNABORTED, syscall.ETIMEDOUT) ||
		errors.Is(err, io.ErrUnexpectedEOF) { // gone in the middle of a message
		return slog.LevelInfo
	}
	var op *operr.Error
	if errors.Is(err, sockets.ErrTooLong) && errors.As(err, &op) && op.Op == "read message" { // and not one of the handler's
		return slog.LevelInfo
	}
	return slog.LevelWarn
}

// handshakeLevel makes nothing of a probe, which connects and closes without a byte.
func handshakeLevel(err error) slog.Level {
	if errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, sockets.ErrDraining) {
		return slog.LevelDebug
	}
	return slog.LevelInfo
}
