package sockets

import (
	"context"
	"sync"
	"time"

	"example.com/sockets/internal/operr"
)

// turn is the right to do something that one goroutine does at a time, for which
// the others wait. The wait can be cancelled, which a mutex's cannot, and in
// virtual time it counts as blocked. The zero turn is free.
type turn struct {
	once sync.Once
	slot chan struct{} // holds a token while the turn is taken
}

// take waits for the turn.
func (t *turn) take() { _ = t.takeUntil(context.Background(), time.Time{}) }

// takeUntil waits for the turn, at most until ctx ends or, unless it is zero, end
// has come.
func (t *turn) takeUntil(ctx context.Context, end time.Time) error {
	t.once.Do(func() { t.slot = make(chan struct{}, 1) })
	select {
	case t.slot <- struct{}{}:
		return nil
	default:
	}
	var late <-chan time.Time
	if !end.IsZero() {
		timer := time.NewTimer(time.Until(end))
		defer timer.Stop()
		late = timer.C
	}
	select {
	case t.slot <- struct{}{}:
		return nil
	case <-ctx.Done():
		return operr.OfContext(ctx)
	case <-late:
		return operr.ErrTimeout
	}
}

func (t *turn) leave() { <-t.slot }
