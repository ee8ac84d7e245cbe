package client_test

import (
	"context"
	"errors"
	"math"
	"net"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"example.com/sockets"
	"example.com/sockets/addr"
	"example.com/sockets/client"
	"example.com/sockets/simnet"
)

// checkJitter checks that each of the waits between times, the first of which is
// nominally first and each next one twice the one before, is lengthened by a draw
// of its own: not by nothing, and not all by the same part.
func checkJitter(t *testing.T, what string, times []time.Duration, first time.Duration) {
	t.Helper()
	var parts []float64
	for i, at := range times[1:] {
		want := first << i
		wait := at - times[i]
		if !near(wait, want) {
			t.Errorf("%s: wait %d is %v, want %v and up to a quarter", what, i+1, wait, want)
		}
		parts = append(parts, float64(wait-want)/float64(want))
	}
	if len(parts) < 3 || slices.Max(parts)-slices.Min(parts) < 1e-6 || math.Abs(parts[0]) < 1e-9 {
		t.Errorf("%s: the waits are lengthened by %v", what, parts)
	}
}

// Clients that failed together do not come back together: every wait between
// attempts has a random part of its own.
func TestWaitsHaveJitter(t *testing.T) {
	inWorld(t, simnet.Options{}, func(t *testing.T, w *world) {
		var times []time.Duration
		record := func(context.Context, string, string) (net.Conn, error) {
			times = append(times, w.now())
			return nil, syscall.ECONNREFUSED
		}
		d := client.Dialer{DialContext: record, Retry: client.Retry{Attempts: 6, First: 100 * ms}}
		d.DialTCP(t.Context(), "10.0.0.2:80")
		checkJitter(t, "dial", times, 100*ms)

		times = nil
		p := &client.Pool{Address: "10.0.0.2:80", Dialer: client.Dialer{DialContext: record, Retry: client.Retry{First: 100 * ms}}}
		for range 5 {
			p.Call(t.Context(), nil)
		}
		p.Close()
		checkJitter(t, "pool", times, 100*ms)

		times = nil
		address := w.udp(func(int, []byte, func(string)) { times = append(times, w.now()) })
		u := dialUDP(t, w.dialer(client.Dialer{Timeout: 2 * time.Second, Retry: client.Retry{First: 100 * ms}}), address)
		u.Call(t.Context(), nil)
		synctest.Wait()
		checkJitter(t, "UDP", times, 100*ms)
	})
}

// A dial is tried again where time may mend what went wrong: a peer that was silent,
// a name server that was busy. It is not where the answer will be the same.
func TestDialRetriesWhatPasses(t *testing.T) {
	silent := func(ctx context.Context, _, _ string) (net.Conn, error) { <-ctx.Done(); return nil, ctx.Err() }
	for _, tt := range []struct {
		name string
		err  error // of the resolver; nil: the peer is silent
		want int
	}{
		{"silence", nil, 3},
		{"the name server does not answer", &net.DNSError{Err: "timeout", IsTimeout: true}, 3},
		{"the name server fails", &net.DNSError{Err: "server misbehaving", IsTemporary: true}, 3},
		{"no such name", &net.DNSError{Err: "no such host", IsNotFound: true}, 1},
		{"another error", errOwn, 1},
	} {
		inWorld(t, simnet.Options{}, func(t *testing.T, w *world) {
			asked := 0
			found := resolver("10.0.0.2")
			d := client.Dialer{Timeout: time.Second, DialContext: silent, Retry: client.Retry{Attempts: 3, First: 100 * ms}}
			d.Resolve = func(ctx context.Context, tr addr.Transport, s string) ([]addr.Endpoint, error) {
				asked++
				if tt.err != nil {
					return nil, tt.err
				}
				return found(ctx, tr, s)
			}
			_, err := d.DialTCP(t.Context(), "name:80")
			if asked != tt.want || tt.err != nil && !errors.Is(err, tt.err) || tt.err == nil && !sockets.IsTimeout(err) {
				t.Errorf("%s: tried %d times: %v, want %d", tt.name, asked, err, tt.want)
			}
		})
	}
}
