package client

// UDPStats counts what a UDP client has done. Received is the sum of Answers, Kept,
// Late, Unmatched and Overflowed.
type UDPStats struct {
	Calls    int64 `json:"calls"`    // begun, those waiting for their turn included
	InFlight int   `json:"inFlight"` // of these, not ended
	Failed   int64 `json:"failed"`   // ended with an error

	Sent     int64 `json:"sent"`     // datagrams, every attempt
	Repeated int64 `json:"repeated"` // of these, sent because no answer had come
	Bounced  int64 `json:"bounced"`  // came back: port unreachable
	Retired  int64 `json:"retired"`  // local ports given up, for a late reply's sake

	Received   int64 `json:"received"`   // datagrams
	Answers    int64 `json:"answers"`    // ended a call
	Kept       int64 `json:"kept"`       // went to Receive
	Late       int64 `json:"late"`       // nobody waited for them any more
	Unmatched  int64 `json:"unmatched"`  // answer none of the calls in flight
	Overflowed int64 `json:"overflowed"` // too many waited for Receive
	Truncated  int64 `json:"truncated"`  // of all received, longer than MaxReply
}

// Stats is a snapshot.
func (u *UDP) Stats() UDPStats {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.stats
}

// count changes the counters.
func (u *UDP) count(change func(*UDPStats)) {
	u.mu.Lock()
	change(&u.stats)
	u.mu.Unlock()
}
