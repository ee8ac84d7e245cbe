// Package backoff is the delay between two tries of something that failed: it
// grows while the failures go on, and a stop interrupts it.
package backoff

import (
	"context"
	"time"
)

// Backoff doubles its delay from Min to Max. A server's loop has one per episode
// of failures, and calls Reset at the first success. It belongs to one goroutine.
type Backoff struct {
	// Min is the first delay; 0 means 5 ms. Max is where the doubling ends;
	// 0 means 1 s, and less than Min means Min.
	Min, Max time.Duration

	last time.Duration
}

// Next returns the next delay, without waiting.
func (b *Backoff) Next() time.Duration {
	least, most := b.bounds()
	switch {
	case b.last == 0:
		b.last = least
	case b.last > most/2: // doubling would pass it, or overflow
		b.last = most
	default:
		b.last *= 2
	}
	return b.last
}

// Reset makes the next delay the first one again.
func (b *Backoff) Reset() { b.last = 0 }

// Wait waits for the next delay, or returns the cause of ctx when that ends
// first.
func (b *Backoff) Wait(ctx context.Context) error {
	t := time.NewTimer(b.Next())
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (b *Backoff) bounds() (least, most time.Duration) {
	least, most = b.Min, b.Max
	if least <= 0 {
		least = 5 * time.Millisecond
	}
	if most <= 0 {
		most = time.Second
	}
	return least, max(least, most)
}
