package guard

import "example.com/sockets/internal/operr"

// Reason is why a guard ended what its connection was waiting for. All are final:
// none is a timeout in the sense of net.Error, so that a loop which retries
// timeouts cannot spin on one. Package sockets exports them under its own names.
type Reason string

// Error returns the reason as a sentence.
func (r Reason) Error() string { return string(r) }

// The reasons.
const (
	ErrDraining  Reason = "the server is stopping"
	ErrEvicted   Reason = "evicted to make room for another connection"
	ErrIdle      Reason = "idle for longer than the idle timeout"
	ErrMessage   Reason = "message not complete within the message timeout"
	ErrWrite     Reason = "the peer took no byte within the write timeout"
	ErrHandshake Reason = "handshake not complete within the handshake timeout"
	ErrLifetime  Reason = "the connection has reached its lifetime"
	ErrMinRate   Reason = "the peer is slower than the minimum rate"
	ErrCutOff    Reason = "cut off: still busy when the grace period of the stop ended"
)

// reasons are why things of one connection ended. Most connections, most of the
// time, have none: they share one value, which is never written.
type reasons struct {
	ended    error         // the connection is closed
	closing  chan struct{} // closed when End has closed it
	readEnd  error         // nothing more is read
	writeEnd error         // nothing more is written
	broken   error         // the conversation is void
	call     error         // callAt has come before its time
	drain    Reason        // drainAt was set: a stop, or the end of its lifetime
}

var noReasons reasons

// ownReasonsLocked is where to write one.
func (g *Guard) ownReasonsLocked() *reasons {
	if g.why == &noReasons {
		g.why = new(reasons)
	}
	return g.why
}

func (g *Guard) overLocked() error {
	if g.why.ended != nil {
		return g.why.ended
	}
	return g.why.broken
}

// callWhyLocked is what callAt is the end of.
func (g *Guard) callWhyLocked() error {
	if g.why.call != nil {
		return g.why.call
	}
	return operr.ErrTimeout
}
