package sockets

import (
	"context"
	"sync"
	"time"

	"example.com/sockets/internal/operr"
)

// turn is the right to do something that one goroutine does at a time, for which
// the others wait. The wait can be cancelled, which a mutex's cannot, and in
// virtual time it counts as blocked. The zero turn is free, and one for which
// nobody has ever waited has no channel.
type turn struct {
	mu      sync.Mutex // held for moments
	taken   bool
	waiting int32
	pass    chan struct{} // hands the turn to one of those who wait
}

// take waits for the turn.
func (t *turn) take() { _ = t.takeUntil(context.Background(), time.Time{}) }

// takeUntil waits for the turn, at most until ctx ends or, unless it is zero, end
// has come.
func (t *turn) takeUntil(ctx context.Context, end time.Time) error {
	if t.takeOrJoin() {
		return nil
	}
	var late <-chan time.Time
	if !end.IsZero() {
		timer := time.NewTimer(time.Until(end))
		defer timer.Stop()
		late = timer.C
	}
	select {
	case <-t.pass:
		return nil
	case <-ctx.Done():
		t.giveUp()
		return operr.OfContext(ctx)
	case <-late:
		t.giveUp()
		return operr.ErrTimeout
	}
}

// takeOrJoin takes the turn if it is free. Otherwise the caller is one of those who
// wait from now on.
func (t *turn) takeOrJoin() (taken bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.taken {
		t.taken = true
		return true
	}
	if t.pass == nil {
		t.pass = make(chan struct{}, 1)
	}
	t.waiting++
	return false
}

// giveUp ends a wait. If the turn came in this very moment it goes to the next.
func (t *turn) giveUp() {
	t.mu.Lock()
	defer t.mu.Unlock()
	select {
	case <-t.pass:
		t.leaveLocked()
	default:
		t.waiting--
	}
}

func (t *turn) leave() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.leaveLocked()
}

func (t *turn) leaveLocked() {
	if t.waiting == 0 {
		t.taken = false
		return
	}
	t.waiting--
	t.pass <- struct{}{} // never blocks: whoever takes it out is the next to come here
}
