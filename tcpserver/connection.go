package tcpserver

import (
	"errors"
	"fmt"
	"io"
	"net"
	"runtime/debug"
	"sync/atomic"

	"example.com/sockets"
	"example.com/sockets/internal/connhook"
	"example.com/sockets/internal/drain"
	"example.com/sockets/internal/guard"
)

// connection is one connection of a run, from its registration to its end.
type connection struct {
	entry drain.Entry
	run   *run
	conn  *sockets.Conn
	guard *guard.Guard
	slot  bool // it holds one
	phase atomic.Pointer[string]
}

// The phases of a connection, as a DrainError names them.
var (
	inHandler = "handler"
	lingering = "lingering"
)

// start serves nc, which holds a slot, in a goroutine of its own. It is registered
// before that starts, so that a stop finds it.
func (r *run) start(nc net.Conn) {
	c := &connection{run: r, slot: true}
	conn, g := connhook.New(nc, connhook.Options{
		Framing: r.server.Framing, Parent: r.values, Limits: &r.limits,
	})
	c.conn, c.guard = conn.(*sockets.Conn), g
	c.phase.Store(&inHandler)
	r.server.running.Add(1)
	switch r.set.Add(&c.entry, c) {
	case drain.Closed:
		r.server.unserved.Add(1)
		r.server.running.Add(-1)
		_ = c.conn.Close()
		c.giveSlot()
		return
	case drain.Draining:
		g.Drain(firstWait)
	}
	go c.serve()
}

// errGoexit is the outcome of a handler that did not return. A panic is one too,
// until it is recovered.
var errGoexit = errors.New("the handler called runtime.Goexit")

// panicked is the outcome of a handler that panicked.
type panicked struct {
	value any
	stack []byte
}

func (p *panicked) Error() string { return fmt.Sprintf("the handler panicked: %v", p.value) }

// serve runs the handler, says how it ended, and closes the connection.
func (c *connection) serve() {
	outcome := errGoexit
	defer c.leave()
	defer func() {
		if !c.run.server.Crash {
			if v := recover(); v != nil {
				outcome = &panicked{v, debug.Stack()}
			}
		}
		c.report(outcome)
		c.close(outcome)
	}()
	outcome = c.run.server.Handler(c.guard, c.conn)
}

// report counts how the handler ended, and logs what a person should see.
func (c *connection) report(outcome error) {
	s, log := c.run.server, c.run.log.With("id", c.conn.ID(), "remote", c.conn.Remote())
	var p *panicked
	switch {
	case normal(outcome):
		s.served.Add(1)
	case errors.As(outcome, &p):
		s.panics.Add(1)
		log.Error("handler panicked; its connection is closed", "panic", p.value, "stack", string(p.stack))
	default:
		s.failed.Add(1)
		log.Warn("handler ended with an error", "err", outcome)
	}
}

// normal reports whether a handler's outcome is an ordinary end.
func normal(err error) bool {
	return err == nil || errors.Is(err, io.EOF) || errors.Is(err, sockets.ErrDraining) ||
		errors.Is(err, sockets.ErrIdle) || errors.Is(err, net.ErrClosed)
}

// close closes the connection, so that a last reply is not lost. What lingers for
// that gives its slot back first.
func (c *connection) close(outcome error) {
	limit := c.run.server.Timeouts.linger()
	if outcome != errGoexit && limit > 0 && c.guard.MustLinger(limit) && c.run.server.mayLinger() {
		c.phase.Store(&lingering)
		c.giveSlot()
		c.guard.Linger(limit)
		c.run.server.lingering.Add(-1)
	}
	_ = c.conn.Close()
	c.giveSlot()
}

// mayLinger takes one of the places for lingering connections: a quarter of what
// Limits.Conns allows.
func (s *Server) mayLinger() bool {
	limit := s.slots.limit()
	if n := s.lingering.Add(1); limit < 0 || n <= int64(max(limit/4, 1)) {
		return true
	}
	s.lingering.Add(-1)
	return false
}

func (c *connection) giveSlot() {
	if c.slot {
		c.slot = false
		c.run.server.slots.give()
	}
}

// leave is the last thing that happens: then the stop may find nothing left.
func (c *connection) leave() {
	read, written, _ := c.guard.Traffic()
	c.run.server.read.Add(read)
	c.run.server.written.Add(written)
	c.run.server.running.Add(-1)
	c.run.set.Remove(&c.entry)
}

// Drain asks the connection to end when it is idle.
func (c *connection) Drain() { c.guard.Drain(0) }

// Cut takes the connection from its handler.
func (c *connection) Cut() { c.guard.End(sockets.ErrCutOff) }

func (c *connection) straggler() sockets.Straggler {
	read, written, quiet := c.guard.Traffic()
	return sockets.Straggler{
		ID: c.conn.ID(), Remote: c.conn.Remote(), Phase: *c.phase.Load(),
		Age: c.guard.Age(), Quiet: quiet, Read: read, Written: written,
	}
}
