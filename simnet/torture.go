package simnet

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// Torture returns c, but everything that a stream may do to its user happens. A
// program that passes its tests through it has no mistake about message borders
// left. Without torments it is Chunks(1) and DataWithEOF.
//
// It wraps any net.Conn; what is read ahead stays in the wrapper, so c must not be
// used beside it. Reads by several goroutines take turns, as do writes.
func Torture(c net.Conn, how ...Torment) net.Conn {
	t := &tortured{Conn: c, resetAt: -1, turn: make(chan struct{}, 1)}
	if len(how) == 0 {
		how = []Torment{Chunks(1), DataWithEOF()}
	}
	for _, torment := range how {
		torment(t)
	}
	t.moved = sync.NewCond(&t.mu)
	return t
}

// tortured is what Torture returns. It waits on a sync.Cond and a channel and never
// for a mutex that somebody holds while waiting, so it runs in virtual time too.
type tortured struct {
	net.Conn

	// What the torments set.
	chunks     []int
	crlf       bool
	eofNow     bool
	holdFor    time.Duration
	resetAt    int
	stallEvery int
	stallFor   time.Duration

	// Reading.
	mu      sync.Mutex
	moved   *sync.Cond
	busy    bool      // a Read is under way
	ahead   []byte    // read and not given out
	end     error     // comes after ahead
	given   int       // bytes given out
	reads   int       // Reads that gave something out
	stalled int       // bytes at which the latest stall was
	by      time.Time // the user's read deadline
	stall   deadline  // wakes at the end of a stall or at by
	closed  bool
	broken  bool

	// Writing.
	turn     chan struct{} // taken by who writes to the connection
	held     []byte
	flushing *time.Timer
	late     error // of a write nobody waited for
}

// Read returns less than the caller hopes for, as the torments say.
func (t *tortured) Read(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for t.busy {
		t.moved.Wait()
	}
	t.busy = true
	defer func() { t.busy = false; t.moved.Broadcast() }()
	if len(t.held) > 0 {
		t.flushing.Reset(0) // who reads may wait for the answer to it
	}
	if t.resetAt >= 0 && t.given >= t.resetAt {
		return 0, t.reset()
	}
	if err := t.pause(); err != nil {
		return 0, err
	}
	if len(t.ahead) > 0 && t.interrupted() != nil {
		return 0, t.interrupted()
	}
	if len(t.ahead) == 0 && t.end == nil {
		if err := t.fetch(); err != nil || len(b) == 0 {
			return 0, err
		}
	}
	return t.give(b)
}

// fetch reads ahead, and with DataWithEOF looks whether that was all. A timeout
// leaves no trace, so that the next Read goes on.
func (t *tortured) fetch() error {
	b := make([]byte, 4096)
	n, err := t.read(b)
	t.ahead = b[:n]
	if n == 0 && errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	t.end = err
	if !t.eofNow || n == 0 || err != nil {
		return nil
	}
	t.Conn.SetReadDeadline(time.Now().Add(time.Millisecond))
	more := make([]byte, 1)
	n, err = t.read(more)
	t.ahead = append(t.ahead, more[:n]...)
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.end = err
	}
	t.Conn.SetReadDeadline(t.by)
	return nil
}

// read reads from the connection, without the lock.
func (t *tortured) read(b []byte) (int, error) {
	t.mu.Unlock()
	defer t.mu.Lock()
	return t.Conn.Read(b)
}

// give hands out some of what was read ahead.
func (t *tortured) give(b []byte) (int, error) {
	n := min(len(b), len(t.ahead))
	if len(t.chunks) > 0 {
		n = min(n, max(1, t.chunks[t.reads%len(t.chunks)]))
	}
	if t.resetAt >= 0 {
		n = min(n, t.resetAt-t.given)
	}
	if t.stallEvery > 0 {
		n = min(n, t.stallEvery-t.given%t.stallEvery)
	}
	if t.crlf {
		for i, c := range t.ahead[:n] {
			if c == '\r' {
				n = i + 1
				break
			}
		}
	}
	copy(b, t.ahead[:n])
	t.ahead = t.ahead[n:]
	t.given += n
	if n > 0 {
		t.reads++
	}
	if len(t.ahead) == 0 && t.end != nil && (n == 0 || t.eofNow && t.end == io.EOF) {
		return n, t.end
	}
	return n, nil
}

// pause is a stall.
func (t *tortured) pause() error {
	if t.stallEvery == 0 || t.given == t.stalled || t.given%t.stallEvery != 0 {
		return nil
	}
	t.stalled = t.given
	until := time.Now().Add(t.stallFor)
	for time.Now().Before(until) {
		if err := t.interrupted(); err != nil {
			return err
		}
		wake := until
		if !t.by.IsZero() && t.by.Before(until) {
			wake = t.by
		}
		t.stall.set(wake, t.moved)
		t.moved.Wait()
	}
	return nil
}

// interrupted is why a Read that does not reach the connection must end.
func (t *tortured) interrupted() error {
	switch {
	case t.closed:
		return t.fail("read", net.ErrClosed)
	case !t.by.IsZero() && !time.Now().Before(t.by):
		return t.fail("read", os.ErrDeadlineExceeded)
	}
	return nil
}

// reset breaks the connection for both ends.
func (t *tortured) reset() error {
	if !t.broken {
		t.broken = true
		if l, ok := t.Conn.(interface{ SetLinger(int) error }); ok {
			_ = l.SetLinger(0)
		}
		t.Conn.Close()
	}
	return t.fail("read", sysError("read", syscall.ECONNRESET))
}

func (t *tortured) fail(op string, err error) error {
	return opError(op, t.LocalAddr().Network(), t.LocalAddr(), t.RemoteAddr(), err)
}

// SetDeadline is SetReadDeadline and SetWriteDeadline.
func (t *tortured) SetDeadline(at time.Time) error {
	return errors.Join(t.SetReadDeadline(at), t.SetWriteDeadline(at))
}

// SetReadDeadline bounds Read and its stalls.
func (t *tortured) SetReadDeadline(at time.Time) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.by = at
	t.moved.Broadcast()
	return t.Conn.SetReadDeadline(at)
}
