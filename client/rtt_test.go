package client_test

import (
	"math"
	"testing"
	"time"

	"example.com/sockets/client"
)

const ms = time.Millisecond

// The numbers of these sequences were computed by hand from RFC 6298:
//
//	first:  Estimated = R, Dev = R/2
//	others: Dev = 3/4 Dev + 1/4 |Estimated - R|, Estimated = 7/8 Estimated + 1/8 R
//	Timeout = Estimated + max(1 ms, 4 Dev)
func TestRTTSequences(t *testing.T) {
	type step struct {
		rtt                     time.Duration
		estimated, dev, timeout time.Duration
	}
	tests := []struct {
		name  string
		rtt   client.RTT
		steps []step
	}{
		{"textbook", client.RTT{}, []step{
			{100 * ms, 100 * ms, 50 * ms, 300 * ms},
			{200 * ms, 112500 * time.Microsecond, 62500 * time.Microsecond, 362500 * time.Microsecond},
			{100 * ms, 110937500, 50 * ms, 310937500},
			{100 * ms, 109570313, 40234375, 270507813}, // 10.9375 ms off; halves of 1 ns are cut towards it
		}},
		{"steady", client.RTT{Min: -1}, []step{
			{80 * ms, 80 * ms, 40 * ms, 240 * ms},
			{80 * ms, 80 * ms, 30 * ms, 200 * ms},
			{80 * ms, 80 * ms, 22500 * time.Microsecond, 170 * ms},
		}},
		{"floor", client.RTT{}, []step{{ms, ms, ms / 2, 100 * ms}}},
		{"own floor", client.RTT{Min: 20 * ms}, []step{{ms, ms, ms / 2, 20 * ms}}},
		{"no floor", client.RTT{Min: -1}, []step{{ms, ms, ms / 2, 3 * ms}}},
		{"granularity", client.RTT{Min: -1}, []step{{0, 0, 0, ms}, {-5 * ms, 0, 0, ms}}},
		{"no overflow", client.RTT{Max: -1}, []step{{math.MaxInt64, 1 << 58, 1 << 57, 1<<59 + 1<<58}}},
		{"ceiling", client.RTT{}, []step{{time.Hour, time.Hour, time.Hour / 2, time.Minute}}},
		{"no ceiling", client.RTT{Max: -1}, []step{{time.Hour, time.Hour, time.Hour / 2, 3 * time.Hour}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for i, s := range tt.steps {
				tt.rtt.Sample(s.rtt, 1)
				got := step{s.rtt, tt.rtt.EstimatedRTT(), tt.rtt.DevRTT(), tt.rtt.Timeout()}
				if got != s {
					t.Errorf("after sample %d: %v, want %v", i+1, got, s)
				}
				if want := min(max(s.rtt, 0), 1<<58); tt.rtt.SampleRTT() != want {
					t.Errorf("SampleRTT = %v, want %v", tt.rtt.SampleRTT(), want)
				}
			}
		})
	}
}

// When nothing varies any more the timeout keeps the resolution of a timer over the
// estimate: it is never the round-trip time itself.
func TestRTTGranularity(t *testing.T) {
	var rtt client.RTT
	for range 200 {
		rtt.Sample(200*ms, 1)
	}
	if got := rtt.Timeout(); got != 201*ms {
		t.Errorf("Timeout = %v, DevRTT = %v, want 201ms", got, rtt.DevRTT())
	}
}

func TestRTTBeforeTheFirstSample(t *testing.T) {
	tests := []struct {
		name string
		rtt  client.RTT
		want time.Duration
	}{
		{"zero value", client.RTT{}, time.Second},
		{"own", client.RTT{First: 20 * ms}, 20 * ms},
		{"none", client.RTT{First: -1}, 100 * ms},
		{"none at all", client.RTT{First: -1, Min: -1}, ms},
		{"over the ceiling", client.RTT{Max: 500 * ms}, 500 * ms},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.rtt.Timeout(); got != tt.want {
				t.Errorf("Timeout = %v, want %v", got, tt.want)
			}
		})
	}
}

// Karn's rule: what a reply to one of several requests took is unknown, and the
// doubled timeout stays until a request that was sent once is answered.
func TestRTTKarn(t *testing.T) {
	var rtt client.RTT
	rtt.Sample(100*ms, 1)
	rtt.Backoff()
	rtt.Backoff()
	if got := rtt.Timeout(); got != 1200*ms {
		t.Errorf("doubled twice: %v, want 1.2s", got)
	}
	rtt.Sample(5*time.Second, 3)
	if got := rtt.Timeout(); got != 1200*ms || rtt.EstimatedRTT() != 100*ms {
		t.Errorf("after an ambiguous sample: %v, estimate %v, want 1.2s and 100ms", got, rtt.EstimatedRTT())
	}
	rtt.Sample(100*ms, 1)
	if got := rtt.Timeout(); got != 250*ms {
		t.Errorf("after a sample that counts: %v, want 250ms", got)
	}
}

func TestRTTBackoffEndsAtTheCeiling(t *testing.T) {
	for _, tt := range []struct {
		rtt  client.RTT
		want time.Duration
	}{
		{client.RTT{}, time.Minute},
		{client.RTT{Max: 5 * time.Second}, 5 * time.Second},
		{client.RTT{Max: -1}, 1 << 61},
	} {
		for range 200 {
			tt.rtt.Backoff()
		}
		if got := tt.rtt.Timeout(); got != tt.want {
			t.Errorf("Max %v: %v, want %v", tt.rtt.Max, got, tt.want)
		}
	}
}
