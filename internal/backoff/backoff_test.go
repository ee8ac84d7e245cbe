package backoff_test

import (
	"context"
	"errors"
	"math"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"example.com/sockets/internal/backoff"
)

func TestNextDoublesUpToMax(t *testing.T) {
	const ms = time.Millisecond
	tests := []struct {
		name string
		b    backoff.Backoff
		want []time.Duration
	}{
		{"zero value", backoff.Backoff{}, []time.Duration{5 * ms, 10 * ms, 20 * ms, 40 * ms, 80 * ms, 160 * ms, 320 * ms, 640 * ms, 1000 * ms, 1000 * ms}},
		{"own bounds", backoff.Backoff{Min: ms, Max: 3 * ms}, []time.Duration{ms, 2 * ms, 3 * ms, 3 * ms}},
		{"max below min", backoff.Backoff{Min: 4 * ms, Max: ms}, []time.Duration{4 * ms, 4 * ms}},
		{"no overflow", backoff.Backoff{Min: math.MaxInt64 / 3 * 2, Max: math.MaxInt64}, []time.Duration{math.MaxInt64 / 3 * 2, math.MaxInt64, math.MaxInt64}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for range 2 { // the second time after a Reset
				var got []time.Duration
				for range tt.want {
					got = append(got, tt.b.Next())
				}
				if !slices.Equal(got, tt.want) {
					t.Errorf("delays %v, want %v", got, tt.want)
				}
				tt.b.Reset()
			}
		})
	}
}

func TestWaitIsInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stop := errors.New("stop")
		ctx, cancel := context.WithCancelCause(t.Context())
		b := backoff.Backoff{Min: time.Hour, Max: time.Hour}
		if err := b.Wait(ctx); err != nil {
			t.Errorf("waited to the end: %v", err)
		}
		time.AfterFunc(time.Minute, func() { cancel(stop) })
		start := time.Now()
		if err := b.Wait(ctx); err != stop {
			t.Errorf("interrupted: %v, want %v", err, stop)
		}
		if d := time.Since(start); d != time.Minute {
			t.Errorf("interrupted after %v, want 1m", d)
		}
	})
}
