package sockets

import (
	"context"
	"sync"

	"example.com/sockets/internal/operr"
)

// turn is the right to do something that one goroutine does at a time, for which
// the others wait. The wait can be cancelled, which a mutex's cannot, and in
// virtual time it counts as blocked. The zero turn is free.
type turn struct {
	once sync.Once
	slot chan struct{} // holds a token while the turn is taken
}

// take waits for the turn, at most until ctx ends; a nil ctx never does.
func (t *turn) take(ctx context.Context) error {
	t.once.Do(func() { t.slot = make(chan struct{}, 1) })
	select {
	case t.slot <- struct{}{}:
		return nil
	default:
	}
	if ctx == nil {
		t.slot <- struct{}{}
		return nil
	}
	select {
	case t.slot <- struct{}{}:
		return nil
	case <-ctx.Done():
		return operr.OfContext(ctx)
	}
}

func (t *turn) leave() { <-t.slot }
