package udpserver

import (
	"container/list"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"example.com/sockets"
	"example.com/sockets/addr"
	"example.com/sockets/internal/operr"
	"example.com/sockets/internal/udpio"
)

// session is one sender as a net.Conn. It has no lock of its own, but that of its
// listener: what is done under it takes moments.
type session struct {
	of            *SessionListener
	io            udpio.Conn // where its first datagram came
	key           sessionKey
	route         udpio.Route
	local, remote net.Addr

	readable sync.Cond
	queue    sessionQueue
	readBy   deadline
	writeBy  time.Time
	active   time.Time     // when the last datagram came or went
	place    *list.Element // in byIdle
	waiting  *list.Element // in pending, until it is accepted
	ended    error         // why; then it is in no list and no table
}

// Read takes one datagram. If p is too short it takes none, and returns a
// *sockets.ShortBufferError.
func (s *session) Read(p []byte) (int, error) {
	l := s.of
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := s.awaitLocked(); err != nil {
		return 0, s.failure("read", err)
	}
	m := s.queue.first()
	if len(p) < len(m) {
		return 0, s.failure("read", &sockets.ShortBufferError{Size: len(m), Buffer: len(p)})
	}
	n := copy(p, m)
	l.queued -= s.queue.size()
	s.queue.drop()
	l.queued += s.queue.size()
	l.counts.Read++
	l.counts.Waiting--
	return n, nil
}

// NextSize waits for a datagram as Read does, takes none, and returns how long a
// buffer Read needs. Package sockets asks, so that who waits holds no buffer.
func (s *session) NextSize() (int, error) {
	s.of.mu.Lock()
	defer s.of.mu.Unlock()
	if err := s.awaitLocked(); err != nil {
		return 0, s.failure("read", err)
	}
	return len(s.queue.first()), nil
}

// awaitLocked waits for a datagram, or returns why there will be none. As with the
// net package a deadline that has passed hides what is there.
func (s *session) awaitLocked() error {
	for {
		switch {
		case s.ended != nil:
			return s.ended
		case s.readBy.expired():
			return operr.ErrTimeout
		case s.queue.count > 0:
			return nil
		case s.of.err != nil:
			return s.of.err
		}
		s.readable.Wait()
	}
}

// Write sends p as one datagram, from the address that the sender has asked.
func (s *session) Write(p []byte) (int, error) {
	if err := s.beginWrite(); err != nil {
		return 0, s.failure("write", err)
	}
	if len(p) > maxPayload(s.route) {
		return 0, s.failure("write", sockets.ErrTooLong)
	}
	l := s.of
	if err := s.io.Write(p, s.route); err != nil {
		class := udpio.Classify(err)
		l.sends.counter(class).Add(1)
		return 0, s.failure("write", s.writeError(class, err))
	}
	l.sends.sent.Add(1)
	l.sends.bytes.Add(uint64(len(p)))
	return len(p), nil
}

// beginWrite counts as activity, whatever becomes of the write.
func (s *session) beginWrite() error {
	s.of.mu.Lock()
	defer s.of.mu.Unlock()
	switch {
	case s.ended != nil:
		return s.ended
	case !s.writeBy.IsZero() && !time.Now().Before(s.writeBy):
		return operr.ErrTimeout
	}
	s.touchLocked(time.Now())
	return nil
}

// errBusy is not a timeout: the user has not set one.
var errBusy = errors.New("the socket's buffer has had no room for a second")

// writeError says what the system's error means to the user.
func (s *session) writeError(class udpio.Class, err error) error {
	switch class {
	case udpio.Deadline:
		return errBusy // the engine's own deadline
	case udpio.TooLong:
		return fmt.Errorf("%w: %w", sockets.ErrTooLong, operr.Bare(err))
	}
	return err
}

// Close ends the session; what was not read is dropped. A second Close does nothing,
// and in particular nothing to a later session of the same sender.
func (s *session) Close() error {
	s.of.mu.Lock()
	if s.ended == nil {
		s.of.endLocked(s, net.ErrClosed)
	}
	s.ended = net.ErrClosed // it may have been something else
	return s.of.unlock()
}

// LocalAddr is the address that the sender has asked, where that is known.
func (s *session) LocalAddr() net.Addr { return s.local }

// RemoteAddr is the sender, never IPv4-mapped.
func (s *session) RemoteAddr() net.Addr { return s.remote }

// SetDeadline sets both deadlines.
func (s *session) SetDeadline(t time.Time) error {
	if err := s.SetReadDeadline(t); err != nil {
		return err
	}
	return s.SetWriteDeadline(t)
}

// SetReadDeadline ends Read with a timeout from t on.
func (s *session) SetReadDeadline(t time.Time) error {
	s.of.mu.Lock()
	defer s.of.mu.Unlock()
	if s.ended != nil {
		return s.failure("set read deadline", s.ended)
	}
	s.readBy.set(t, &s.readable)
	return nil
}

// SetWriteDeadline makes a Write that begins at t or later fail with a timeout.
func (s *session) SetWriteDeadline(t time.Time) error {
	s.of.mu.Lock()
	defer s.of.mu.Unlock()
	if s.ended != nil {
		return s.failure("set write deadline", s.ended)
	}
	s.writeBy = t
	return nil
}

// Unread is above 0 if a datagram waits: package sockets looks before it reports
// the end of a stop. An empty one counts too.
func (s *session) Unread() int {
	s.of.mu.Lock()
	defer s.of.mu.Unlock()
	return s.queue.w - s.queue.r
}

// Unacked is 0: nothing that was written is lost by a close.
func (s *session) Unacked() int { return 0 }

func (s *session) failure(op string, err error) error {
	remote, _ := addr.From(s.remote)
	local, _ := addr.From(s.local)
	return &operr.Error{Op: op, Local: local, Remote: remote, Err: err}
}

// sessionKey is what tells sessions apart. Two datagrams of one sender that asked two
// addresses of the host are two: a reply must leave from the one that was asked.
type sessionKey struct {
	peer  netip.AddrPort
	asked netip.Addr
	name  string // of a sender that has no IP address
}
