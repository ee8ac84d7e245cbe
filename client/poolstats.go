package client

// PoolStats says what a Pool has done and has.
type PoolStats struct {
	Calls    int64 `json:"calls"`    // of Call and Do, begun
	Failed   int64 `json:"failed"`   // of these, ended with an error
	Repeated int64 `json:"repeated"` // sent on another connection, as the first was dead

	Dialed     int64 `json:"dialed"`     // connections made
	DialFailed int64 `json:"dialFailed"` // not made

	Open    int `json:"open"`    // connections there are now
	Idle    int `json:"idle"`    // of these, not in use
	Dialing int `json:"dialing"` // being made, or waiting for a pause to end
	Waiting int `json:"waiting"` // calls without a connection

	Retired Retired `json:"retired"` // connections that ended
}

// Retired counts why connections of a Pool were given up.
type Retired struct {
	Idle     int64 `json:"idle"`     // unused for longer than Pool.Idle
	Lifetime int64 `json:"lifetime"` // older than Pool.Lifetime
	Ended    int64 `json:"ended"`    // by the peer, with a FIN, while idle
	Reset    int64 `json:"reset"`    // by the peer or the way to it, while idle
	Unasked  int64 `json:"unasked"`  // the peer sent something while it was idle
	Broken   int64 `json:"broken"`   // a call failed, or what Do ran did
	Closed   int64 `json:"closed"`   // by Pool.Close
}

// retirement is one of the reasons.
type retirement int

const (
	retiredIdle retirement = iota
	retiredLifetime
	retiredEnded
	retiredReset
	retiredUnasked
	retiredBroken
	retiredClosed
	retirements
)

// isPeers reports whether it was the peer's doing, as far as the reason tells.
func (r retirement) isPeers() bool {
	return r == retiredEnded || r == retiredReset || r == retiredUnasked
}

// Stats is a snapshot.
func (p *Pool) Stats() PoolStats {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.stats
	s.Open, s.Idle, s.Dialing, s.Waiting = len(p.members), len(p.idle), p.dialing, len(p.waiters)
	r := p.retired
	s.Retired = Retired{
		Idle: r[retiredIdle], Lifetime: r[retiredLifetime], Ended: r[retiredEnded], Reset: r[retiredReset],
		Unasked: r[retiredUnasked], Broken: r[retiredBroken], Closed: r[retiredClosed],
	}
	return s
}

// count changes the counters.
func (p *Pool) count(change func(*PoolStats)) {
	p.mu.Lock()
	change(&p.stats)
	p.mu.Unlock()
}
