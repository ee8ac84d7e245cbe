package listen

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

// merged receives from several sources as from one. It is for callers that have
// only the interface of one socket, such as a wrapper of a listener: a goroutine per
// source hands over what comes. They begin with the first next and end with stop.
type merged[T any] struct {
	sources []func() (T, error) // each blocks until its socket is closed
	discard func(T)             // of what nobody has taken

	mu       sync.Mutex
	out      chan received[T] // nil before the first next
	over     chan struct{}    // closed by stop
	closed   bool
	running  sync.WaitGroup
	deadline time.Time
	moved    chan struct{} // closed when the deadline changes
}

type received[T any] struct {
	value T
	err   error
}

// begun reports whether goroutines hold what they have received.
func (m *merged[T]) begun() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.out != nil
}

// begin starts the goroutines, unless they run, and reports false after stop.
func (m *merged[T]) begin() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed || m.out != nil {
		return !m.closed
	}
	m.out, m.over, m.moved = make(chan received[T]), make(chan struct{}), make(chan struct{})
	for _, source := range m.sources {
		m.running.Go(func() { m.pump(source) })
	}
	return true
}

func (m *merged[T]) pump(source func() (T, error)) {
	for {
		v, err := source()
		select {
		case m.out <- received[T]{v, err}:
		case <-m.over:
			if err == nil {
				m.discard(v)
			}
			return
		}
		if errors.Is(err, net.ErrClosed) {
			return
		}
	}
}

// next waits for whatever comes first. As with a socket, a deadline that has passed
// takes nothing.
func (m *merged[T]) next() (none T, err error) {
	for m.begin() {
		at, moved := m.watch()
		var expired <-chan time.Time
		if !at.IsZero() {
			left := time.Until(at)
			if left <= 0 {
				return none, os.ErrDeadlineExceeded
			}
			expired = time.After(left)
		}
		select {
		case r := <-m.out:
			return r.value, r.err
		case <-expired:
			return none, os.ErrDeadlineExceeded
		case <-moved:
		case <-m.over:
		}
	}
	return none, net.ErrClosed
}

func (m *merged[T]) watch() (deadline time.Time, moved <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.deadline, m.moved
}

// set moves the deadline, and reports false after stop.
func (m *merged[T]) set(t time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.deadline = t
	if m.moved != nil {
		close(m.moved)
		m.moved = make(chan struct{})
	}
	return !m.closed
}

// stop ends next. wait returns when the goroutines have ended, for which their
// sockets must be closed.
func (m *merged[T]) stop() (wait func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.closed && m.over != nil {
		close(m.over)
	}
	m.closed = true
	return m.running.Wait
}
