package simnet

import (
	"errors"
	"syscall"
	"time"
)

// SetWriteDeadline bounds Write. What is held back was accepted before and leaves
// first, unless a write is under way, which the deadline is for then.
func (t *tortured) SetWriteDeadline(at time.Time) error {
	select {
	case t.turn <- struct{}{}:
		_ = t.send()
		<-t.turn
	default:
	}
	return t.Conn.SetWriteDeadline(at)
}

// Write sends b, or holds it back.
func (t *tortured) Write(b []byte) (int, error) {
	t.mu.Lock()
	switch {
	case t.broken:
		t.mu.Unlock()
		return 0, t.fail("write", sysError("write", syscall.EPIPE))
	case t.late != nil:
		t.mu.Unlock()
		return 0, t.late
	case t.holdFor == 0:
		t.mu.Unlock()
		return t.Conn.Write(b)
	}
	t.held = append(t.held, b...)
	full := len(t.held) > 64<<10
	if t.flushing == nil {
		t.flushing = time.AfterFunc(t.holdFor, func() { _ = t.flush() })
	} else {
		t.flushing.Reset(t.holdFor)
	}
	t.mu.Unlock()
	if full {
		if err := t.flush(); err != nil {
			return 0, err
		}
	}
	return len(b), nil
}

// flush sends what is held back.
func (t *tortured) flush() error {
	t.turn <- struct{}{}
	defer func() { <-t.turn }()
	return t.send()
}

// send is flush for who has the turn.
func (t *tortured) send() error {
	t.mu.Lock()
	held, err := t.held, t.late
	t.held = nil
	t.mu.Unlock()
	if len(held) == 0 || err != nil {
		return err
	}
	_, err = t.Conn.Write(held)
	t.mu.Lock()
	t.late = err
	t.mu.Unlock()
	return err
}

// CloseWrite sends what is held back and the FIN; errors.ErrUnsupported where the
// connection can't.
func (t *tortured) CloseWrite() error {
	c, ok := t.Conn.(interface{ CloseWrite() error })
	if !ok {
		return errors.ErrUnsupported
	}
	return errors.Join(t.flush(), c.CloseWrite())
}

// Close sends what is held back, unless the peer takes nothing, and closes the
// connection.
func (t *tortured) Close() error {
	t.mu.Lock()
	t.closed = true
	t.stall.stop()
	t.moved.Broadcast()
	held := len(t.held) > 0
	t.mu.Unlock()
	if held {
		t.Conn.SetWriteDeadline(time.Now().Add(t.holdFor))
		_ = t.flush()
	}
	return t.Conn.Close()
}
