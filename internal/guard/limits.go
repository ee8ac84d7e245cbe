package guard

import (
	"sync/atomic"
	"time"
)

// Limits are what a server sets for its connections. Zero: none.
type Limits struct {
	Idle    time.Duration // from the end of a message to the first byte of the next
	Message time.Duration // from the first byte of a message to its last
	Write   time.Duration // in which the peer must take at least one byte
	MinRate int           // bytes per second, of a message and of a write
	Hooks   *Hooks        // nil: none

	Evictions *atomic.Int64 // counts them; nil: nobody asks
	Scarce    *atomic.Int64 // changes when who lingers must make room; nil: never
}

func (l *Limits) scarcity() int64 {
	if l.Scarce == nil {
		return 0
	}
	return l.Scarce.Load()
}

// Hooks are told what only the guard sees, with the Owner of the connection. Nil
// ones are left out. They are called under no lock, by who reads.
type Hooks struct {
	FirstByte func(owner any) // the first byte after the handshake was read
	Idle      func(owner any) // the wait for the first byte of a message begins
}

// rateGrace is what a transfer may take beyond what its bytes are worth at the
// minimum rate. A peer far away needs it to begin, and to get over a loss.
const rateGrace = 5 * time.Second

// rate is the clock of one transfer: it runs while somebody waits for the peer.
type rate struct {
	bytes  int64         // moved by the connection when the transfer began
	waited time.Duration // for the peer, since then
}

// rates are those of both directions.
type rates struct {
	read, write rate
	// record is when the TLS record under way must have been taken. Its
	// deadline can't be renewed, so the whole of it is counted in advance.
	record time.Duration
}

// left is how much longer the peer may be waited for, after moved bytes of the
// connection, at perSecond or more.
func (r rate) left(moved int64, perSecond int) time.Duration {
	seconds := float64(moved-r.bytes) / float64(perSecond)
	const enough = 1 << 30 // seconds: 34 years
	return rateGrace + time.Duration(min(seconds, enough)*float64(time.Second)) - r.waited
}
