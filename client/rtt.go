package client

import "time"

// The constants of RFC 6298. Its floor of 1 s for the timeout (2.4) belongs to
// clocks that tick every 500 ms; RTT.Min has one that fits today's.
const (
	firstTimeout = time.Second      // (2.1), also RFC 8085, 3.1.1
	maxTimeout   = 60 * time.Second // (2.5)
	minTimeout   = 100 * time.Millisecond
	granularity  = time.Millisecond // G: the resolution of a timer
)

// RTT estimates the round-trip time to one destination, and from it how long to
// wait for a reply before a request is sent again, as RFC 6298 says: the
// textbook's EstimatedRTT, DevRTT and TimeoutInterval. The zero RTT is ready to
// use. It is a plain value: a copy has its own future. It is not safe for
// concurrent use.
//
//	var rtt client.RTT
//	wait := rtt.Timeout() // 1 s as long as nothing was measured
//	rtt.Backoff()         // nothing came: wait twice as long the next time
//	rtt.Sample(80*time.Millisecond, 1)
type RTT struct {
	// First is the Timeout before the first sample. 0 is 1 s (RFC 6298, 2.1),
	// negative is Min.
	First time.Duration
	// Min is the shortest Timeout after a sample. 0 is 100 ms, negative is
	// none.
	Min time.Duration
	// Max is the longest Timeout, doubled ones included. 0 is 60 s (RFC 6298,
	// 2.5), negative is none.
	Max time.Duration

	sample, estimated, dev time.Duration
	measured               bool
	doubled                int // times, since the last sample that counted
}

// Sample takes in a measured round-trip time of a request that was sent attempts
// times. Only a request that was sent once counts: which of several a reply
// belongs to is unknown (Karn's rule), so that for the others neither the
// estimate changes nor the doubling of Timeout ends. A negative time counts as 0.
func (r *RTT) Sample(rtt time.Duration, attempts int) {
	if attempts > 1 {
		return
	}
	rtt = min(max(rtt, 0), forever/8) // so that Timeout does not overflow
	r.sample, r.doubled = rtt, 0
	if !r.measured { // (2.2)
		r.measured, r.estimated, r.dev = true, rtt, rtt/2
		return
	}
	// (2.3), with alpha 1/8 and beta 1/4; the deviation first, because it is
	// measured from the old estimate.
	r.dev += ((r.estimated - rtt).Abs() - r.dev) / 4
	r.estimated += (rtt - r.estimated) / 8
}

// Backoff doubles Timeout until the next sample that counts (RFC 6298, 5.5):
// call it when the timeout has passed without a reply.
func (r *RTT) Backoff() { r.doubled++ }

// SampleRTT is the last round-trip time that counted, 0 before the first.
func (r *RTT) SampleRTT() time.Duration { return r.sample }

// EstimatedRTT is the weighted moving average of the samples, 0 before the first.
func (r *RTT) EstimatedRTT() time.Duration { return r.estimated }

// DevRTT is the weighted moving average of how far the samples were from the
// estimate, 0 before the first.
func (r *RTT) DevRTT() time.Duration { return r.dev }

// Timeout is how long to wait for a reply: EstimatedRTT + 4·DevRTT and at least
// Min, or First before the first sample; doubled by each Backoff since the last
// sample; at most Max.
func (r *RTT) Timeout() time.Duration {
	floor := max(orDefault(r.Min, minTimeout), granularity)
	timeout := orDefault(r.First, firstTimeout)
	switch {
	case r.measured:
		timeout = max(r.estimated+max(granularity, 4*r.dev), floor)
	case timeout == 0:
		timeout = floor
	}
	ceiling := orDefault(r.Max, maxTimeout)
	if ceiling == 0 {
		ceiling = forever
	}
	for range r.doubled {
		if timeout > ceiling/2 {
			return ceiling
		}
		timeout *= 2
	}
	return min(timeout, ceiling)
}

// forever is a time that does not come, far enough from overflow to be added.
const forever = time.Duration(1) << 61

// orDefault applies the rule of all limits and timeouts: 0 is the default,
// negative is none, which is returned as 0.
func orDefault(d, standard time.Duration) time.Duration {
	if d == 0 {
		return standard
	}
	return max(d, 0)
}
