package udpserver

import (
	"errors"
	"net"

	"example.com/sockets"
	"example.com/sockets/internal/operr"
)

// Health returns nil if every socket that is served is read, and at least one is.
// It is for what watches a process: a port that is bound and that nobody reads
// looks alive from outside.
//
// Otherwise the error wraps, for each socket that is not read, why: what the system
// said when it was last tried, if the server waits to try again, or
// sockets.ErrDraining if it is being stopped. If no socket is served it matches
// net.ErrClosed. A server that leaves what comes to the system because its queue is
// full (see Wait) is healthy: Stats.Waiting tells. Health does not block, and is safe
// for concurrent use.
func (s *Server) Health() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.loops) == 0 {
		return &operr.Error{Op: "serve", Err: net.ErrClosed}
	}
	var all []error
	for l := range s.loops {
		all = append(all, l.health())
	}
	return errors.Join(all...)
}

func (l *loop) health() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.draining || l.ended {
		return l.readError(sockets.ErrDraining)
	}
	return l.failed
}

// setFailed notes why the socket can't be read at the moment, or by nil that it is
// tried again: a read that waits is a good sign.
func (l *loop) setFailed(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failed = err
}
