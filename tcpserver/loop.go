package tcpserver

import (
	"context"
	"net"
	"sync"
	"syscall"
	"time"

	"example.com/sockets"
	"example.com/sockets/addr"
	"example.com/sockets/internal/drain"
	"example.com/sockets/internal/errno"
	"example.com/sockets/internal/operr"
	"example.com/sockets/internal/sockopt"
)

const (
	// queueWait is how far ahead the deadline of an Accept is that takes what
	// the system had queued: one that has passed takes nothing.
	queueWait = 5 * time.Millisecond
	// queueTime and queueMost bound the taking, as others may go on dialling.
	queueTime = 50 * time.Millisecond
	queueMost = 4096
	// firstWait is what a connection from the queue is given to send the
	// first byte of the one message that it is served.
	firstWait = 100 * time.Millisecond
)

// loop accepts connections from one listener. Nothing in it blocks but Accept and
// the wait for a slot.
type loop struct {
	entry drain.Entry
	run   *run
	ln    net.Listener
	local addr.Endpoint
	close func() // of ln, once
	born  time.Time
	spare spare

	// stopping ends when the server stops, cut when its grace period is over.
	stopping, cut context.Context
	stop, force   context.CancelFunc

	mu        sync.Mutex
	over      bool // accept has returned
	abandoned bool // nobody waits for that any more
}

func newLoop(r *run, ln net.Listener) *loop {
	l := &loop{run: r, ln: ln, born: time.Now()}
	l.local, _ = addr.From(ln.Addr())
	l.close = sync.OnceFunc(func() { _ = ln.Close() })
	l.cut, l.force = context.WithCancel(context.Background())
	l.stopping, l.stop = context.WithCancel(l.cut)
	if d, ok := ln.(deadliner); ok {
		_ = d.SetDeadline(time.Time{}) // of an earlier user of ln
	}
	return l
}

type deadliner interface{ SetDeadline(time.Time) error }

// serve is the life of the loop. A connection that is in hand when the stop begins
// counts as one from the queue.
func (l *loop) serve() error {
	defer l.end()
	hand, err := l.accept()
	var queue []net.Conn
	if hand != nil {
		queue = append(queue, hand)
	}
	if err == nil && !l.run.server.Shared {
		queue = l.takeQueue(queue)
	}
	l.close()
	l.serveQueue(queue)
	return err
}

// accept starts a goroutine for each connection, until the server stops or the
// listener fails. hand is one for which no slot was free when the stop began.
func (l *loop) accept() (hand net.Conn, err error) {
	s := l.run.server
	failed := failures{log: l.run.log, local: l.local}
	_, real := l.ln.(syscall.Conn)
	if real {
		failed.delay.Max = starving
		l.spare.open()
		defer l.spare.close()
	}
	for {
		nc, err := l.ln.Accept()
		if err != nil {
			if l.stopping.Err() != nil {
				return nil, nil
			}
			s.acceptErrors.Add(1)
			if nc, err = l.recover(&failed, err); err != nil {
				return nil, &operr.Error{Op: "accept", Local: l.local, Err: err}
			}
			if nc == nil {
				continue
			}
		}
		if failed.over(); real {
			l.spare.open() // it may have been lost
		}
		s.accepted.Add(1)
		if l.stopping.Err() != nil || !l.run.admit(l.run.connection(nc), l.stopping.Done()) {
			return nc, nil
		}
	}
}

// recover gets over a failure of Accept, or returns why it can't. It may accept a
// connection on the way.
func (l *loop) recover(failed *failures, err error) (net.Conn, error) {
	if errno.In(err, scarce...) {
		l.run.server.starved.Add(1) // who lingers gives up first
	}
	nc, shed := l.spare.accept(l.ln, err)
	switch {
	case shed:
		failed.say(err)
		l.run.server.accepted.Add(1)
		l.run.server.shed.Add(1)
		return nil, nil
	case nc != nil:
		return nc, nil
	}
	return nil, failed.wait(l.stopping, err)
}

// takeQueue takes the connections that the system had queued for the listener. In
// the queue of a socket that closes they would be reset.
func (l *loop) takeQueue(queue []net.Conn) []net.Conn {
	d, ok := l.ln.(deadliner)
	if !ok {
		return queue
	}
	for end := time.Now().Add(queueTime); len(queue) < queueMost && time.Now().Before(end); {
		if d.SetDeadline(time.Now().Add(queueWait)) != nil {
			break
		}
		nc, err := l.ln.Accept()
		switch {
		case err == nil:
			l.run.server.accepted.Add(1)
			queue = append(queue, nc)
		case operr.IsTimeout(err) && !sockopt.Queued(l.ln), classify(err) == fatal, l.cut.Err() != nil:
			return queue
		}
	}
	return queue
}

// serveQueue serves the taken connections as slots become free. Each is waited for from
// now on, not from its turn on: many that are silent take no longer than one. What is
// left of them when the grace period is over is closed.
func (l *loop) serveQueue(queue []net.Conn) {
	first := time.Now().Add(firstWait)
	for _, nc := range queue {
		c := l.run.connection(nc)
		c.guard.Drain(max(time.Until(first), 0))
		if !l.run.admit(c, l.cut.Done()) {
			l.run.server.unserved.Add(1)
			c.guard.Farewell()
		}
	}
}

// Drain wakes Accept, so that serve goes on to the queue.
func (l *loop) Drain() {
	l.stop()
	d, ok := l.ln.(deadliner)
	if l.run.server.Shared || !ok || d.SetDeadline(time.Now()) != nil {
		l.close()
	}
}

// Cut ends the loop wherever it is, unless Accept heeds nothing.
func (l *loop) Cut() {
	l.force()
	l.close()
}

func (l *loop) end() {
	l.force()
	l.mu.Lock()
	l.over = true
	if l.abandoned {
		l.run.server.running.Add(-1)
	}
	l.mu.Unlock()
	l.run.set.Remove(&l.entry)
}

func (l *loop) ended() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.over
}

// abandon gives up waiting for a loop that has not ended, and reports whether it
// has to.
func (l *loop) abandon() (sockets.Straggler, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over {
		return sockets.Straggler{}, false
	}
	l.abandoned = true
	l.run.server.running.Add(1)
	age := time.Since(l.born)
	return sockets.Straggler{Phase: "accept", Age: age, Quiet: age}, true
}
