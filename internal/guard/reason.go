package guard

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
