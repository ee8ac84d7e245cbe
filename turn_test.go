package sockets_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"example.com/sockets"
)

// Upgrade waits for the turn of the writers, cancellably, and runs a function in it.
func inTurn(ctx context.Context, c *sockets.Conn, f func()) error {
	return c.Upgrade(ctx, func(nc net.Conn) (net.Conn, error) {
		f()
		return nc, nil
	})
}

func TestWaitForTurnIsCancellable(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, _ := conversation(t, nil)
		start := time.Now()
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := inTurn(t.Context(), c, func() { time.Sleep(time.Second) }); err != nil {
				t.Error(err)
			}
		})
		time.Sleep(time.Millisecond)
		for i := range 100 { // half of them give up in time
			wg.Go(func() {
				limit := time.Duration(i)*20*time.Millisecond + 10*time.Millisecond
				ctx, cancel := context.WithTimeout(t.Context(), limit)
				defer cancel()
				err := inTurn(ctx, c, func() {})
				if i < 50 {
					wantTimeout(t, "one that gave up", err)
					took(t, "its wait", start, limit+time.Millisecond)
				} else {
					wantError(t, "one that waited", err, nil)
					took(t, "its wait", start, time.Second)
				}
			})
		}
		wg.Wait()
		send(t, c, "free")
		took(t, "all", start, time.Second)
	})
}

// One at a time, and whoever waits gets the turn, whoever else gives up.
func TestTurnHammer(t *testing.T) {
	for range 20 {
		bubble(t, func(t *testing.T) {
			c, _ := conversation(t, nil)
			var inside atomic.Int64
			var wg sync.WaitGroup
			for range 50 {
				wg.Go(func() {
					ctx, cancel := context.WithCancel(t.Context())
					timer := time.AfterFunc(time.Duration(rand.IntN(50))*time.Millisecond, cancel)
					defer cancel()
					err := inTurn(ctx, c, func() {
						timer.Stop() // from here on its end would close the connection
						if inside.Add(1) != 1 {
							t.Error("two at a time")
						}
						time.Sleep(time.Millisecond)
						inside.Add(-1)
					})
					if err != nil && !errors.Is(err, context.Canceled) {
						t.Error(err)
					}
				})
				wg.Go(func() {
					if _, err := c.Write(nil); err != nil && !errors.Is(err, context.Canceled) {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			start := time.Now()
			_ = c.WriteMessage(nil)
			took(t, "the last", start, 0)
		})
	}
}

// Where the turn comes in the moment in which the wait for it ends, one of the two
// happens, and the turn is not lost.
func TestTurnComesAsTheWaitEnds(t *testing.T) {
	for range 50 {
		bubble(t, func(t *testing.T) {
			c, _ := conversation(t, nil)
			var wg sync.WaitGroup
			wg.Go(func() { _ = inTurn(t.Context(), c, func() { time.Sleep(time.Second) }) })
			time.Sleep(time.Millisecond)
			wg.Go(func() {
				_, err := c.Call(deadline(t, 999*time.Millisecond), []byte("x"))
				wantTimeout(t, "the call", err)
			})
			wg.Wait()
			start := time.Now()
			if _, err := c.Write([]byte("x")); sockets.IsTimeout(err) {
				t.Error(err)
			}
			took(t, "the next", start, 0)
		})
	}
}

func deadline(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}
