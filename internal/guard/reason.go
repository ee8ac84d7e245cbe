package guard

// Reason is why a guard ended what its connection was waiting for. All are final:
// none is a timeout in the sense of net.Error, so that a loop which retries
// timeouts cannot spin on one. Package sockets exports them under its own names.
type Reason string

// Error returns the reason as a sentence.
func (r Reason) Error() string { return string(r) }

// The reasons.
const (
	Draining Reason = "the server is stopping"
	Evicted  Reason = "evicted to make room for another connection"
	Idle     Reason = "idle for longer than the idle timeout"
	Message  Reason = "message not complete within the message timeout"
	Write    Reason = "the peer took no byte within the write timeout"
	CutOff   Reason = "cut off: still busy when the grace period of the stop ended"
)
