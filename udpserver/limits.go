package udpserver

import (
	"errors"
	"math"
	"time"
)

// Limits bound what one source may ask of a server. All are off by default. A
// source is an IPv4 address, or the /64 of an IPv6 address, since who has one
// address of a /64 has all of it; its ports count together. Peers that are not of
// the Internet, as those of a Unix socket, have no limits.
//
// What is known of sources takes 4 MiB, allocated if any limit is on, however many
// there are: 65,536 places, to which a hash with a secret seed leads. Two sources
// that have a place in common share its limits: either may be held back because of
// the other, and neither ever gets more. Who fills the whole table, with forged
// sources, holds all others back, and gains nothing else.
type Limits struct {
	// Rate is how many datagrams a second of one source are handled; 0 and
	// negative mean any number. Those beyond it are dropped and counted.
	Rate int
	// Burst is how many may come at once when the source has been silent for
	// Burst/Rate seconds; 0 and negative mean as many as Rate.
	Burst int
	// ReplyFactor is how many bytes are replied for each byte that a source
	// has sent, until Datagram.Validate says that the source is no forgery; 0
	// and negative mean any number. QUIC takes 3 (RFC 9000, section 8). It
	// keeps the server from being used to flood somebody whose address is
	// forged. Bytes are those of the datagrams' data, of datagrams that were
	// not refused, and what a source may still be sent never is more than one
	// of the longest earns. An empty datagram earns an empty reply.
	//
	// It bounds the number of replies too: after 1,000 to a source that is
	// not validated there are none for a second. So two servers that answer
	// errors with errors, and whose sizes no factor stops, fall silent.
	//
	// A Reply beyond the budget returns ErrBudget, is counted in
	// Stats.Unsent.Budget and told to Trace.ReplyFailed; a handler that
	// returns this error has not failed. SendTo is bounded only towards the
	// source that the datagram came from: other destinations are the
	// handler's choice and not the sender's, unless it reads them in the data.
	ReplyFactor int
}

// ErrBudget is matched by the error of a Reply that Limits.ReplyFactor forbids.
var ErrBudget = errors.New("the source is not validated and its reply budget is used up")

const (
	// replyRun is after how many replies to an unvalidated source there is a
	// pause of replyPause. Any datagram that goes round between two servers
	// is gone by then, if its way takes no longer than the pause.
	replyRun   = 1000
	replyPause = time.Second
	// validFor is how long a validation holds: addresses change hands.
	validFor = time.Hour
)

// bucket is a limit of a rate in terms of time: a datagram may come if the
// moment at which all before it had their turn is at most slack ahead.
type bucket struct{ each, slack int64 }

// bucket rounds so that a rate is never exceeded.
func (l Limits) bucket() bucket {
	if l.Rate <= 0 {
		return bucket{}
	}
	each := (int64(time.Second) + int64(l.Rate) - 1) / int64(l.Rate)
	burst := int64(l.Burst)
	if burst <= 0 {
		burst = int64(l.Rate)
	}
	return bucket{each: each, slack: min(burst-1, math.MaxInt64/4/each) * each}
}
