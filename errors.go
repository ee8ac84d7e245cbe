package sockets

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"example.com/sockets/addr"
	"example.com/sockets/internal/guard"
	"example.com/sockets/internal/operr"
)

// What ends a connection's reading, or the connection, on this side. Each is
// final: it is no timeout, and the next read returns it again. Errors that the
// packages of this module return wrap them; compare with errors.Is.
var (
	// ErrDraining: the server is stopping, and the connection was idle.
	// Writes still work: say goodbye and return.
	ErrDraining error = guard.ErrDraining
	// ErrEvicted: the connection was idle the longest when a server at its
	// limit needed room for another.
	ErrEvicted error = guard.ErrEvicted
	// ErrIdle: no message began within Timeouts.Idle. Writes still work.
	ErrIdle error = guard.ErrIdle
	// ErrMessage: a message had begun and did not end within
	// Timeouts.Message.
	ErrMessage error = guard.ErrMessage
	// ErrWrite: the peer took no byte for Timeouts.Write. The connection is
	// closed.
	ErrWrite error = guard.ErrWrite
	// ErrHandshake: PROXY header, TLS or whatever else comes before the
	// handler was not complete within Timeouts.Handshake.
	ErrHandshake error = guard.ErrHandshake
	// ErrLifetime: the connection has reached Timeouts.Lifetime. It was told
	// before, by Draining, and if it was idle then it got this error then.
	ErrLifetime error = guard.ErrLifetime
	// ErrMinRate: the peer sends a message, or takes what is written, slower
	// than Timeouts.MinRate.
	ErrMinRate error = guard.ErrMinRate
	// ErrCutOff: the handler still ran when the grace period of a stop was
	// over. The connection is closed.
	ErrCutOff error = guard.ErrCutOff
)

// What is wrong with a message.
var (
	// ErrTooLong: the message is longer than the framing allows. Lines goes
	// on with the next line; LengthPrefix and Uvarint cannot, and repeat the
	// error.
	ErrTooLong = errors.New("message too long")
	// ErrTruncated: a datagram was longer than the buffer that took it, and
	// its rest is lost.
	ErrTruncated = errors.New("datagram truncated")
	// ErrDelimiter: a message to be written contains the delimiter of its
	// framing, so that the peer would read two.
	ErrDelimiter = errors.New("message contains its delimiter")
)

// NotSent reports whether err proves that no byte of the request has left this
// process, so that the call can be repeated whatever it does. Otherwise the
// request may have been executed, and only the caller knows whether to repeat
// it. A nil error proves nothing.
func NotSent(err error) bool {
	var said interface{ NotSent() bool }
	if errors.As(err, &said) {
		return said.NotSent()
	}
	var op *net.OpError // an error of the net package itself
	return errors.As(err, &op) && op.Op == "dial"
}

// IsTimeout reports whether err says that a time set by the user (a deadline, a
// context) has run out. ErrIdle and the other ends of a connection are none.
func IsTimeout(err error) bool { return operr.IsTimeout(err) }

// DrainError is what Serve of either server returns when a stop was not clean:
// not everything that ran had ended when the grace period was over.
type DrainError struct {
	// Grace is the period that was granted.
	Grace time.Duration
	// CutOff ended within the second after their connection was closed.
	CutOff []Straggler
	// Abandoned heeded neither their context nor their connection and still
	// run. Stats counts them as Running until they end.
	Abandoned []Straggler
}

// Straggler is something that was still running when the grace period ended.
type Straggler struct {
	// ID is the Conn's, 0 where there is none.
	ID uint64
	// Remote is the peer, invalid where there is none or many.
	Remote addr.Endpoint
	// Phase is what it was doing: "handler", "lingering", "accept", "read".
	Phase string
	// Age is how long it has run, Quiet how long ago its last byte moved.
	Age, Quiet time.Duration
	// Read and Written are the bytes that it moved.
	Read, Written int64
}

// String prints one straggler.
func (s Straggler) String() string {
	var b strings.Builder
	b.WriteString(s.Phase)
	if s.ID != 0 {
		fmt.Fprintf(&b, " #%d", s.ID)
	}
	if s.Remote.IsValid() {
		fmt.Fprintf(&b, " %v", s.Remote)
	}
	fmt.Fprintf(&b, " (running %v, quiet %v, read %d bytes, wrote %d)",
		s.Age.Round(time.Millisecond), s.Quiet.Round(time.Millisecond), s.Read, s.Written)
	return b.String()
}

// Error lists the stragglers, the first few of each kind.
func (e *DrainError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "stop not clean after %v", e.Grace)
	listStragglers(&b, "cut off", e.CutOff)
	listStragglers(&b, "abandoned, still running", e.Abandoned)
	return b.String()
}

func listStragglers(b *strings.Builder, kind string, all []Straggler) {
	const most = 4 // an error is a line, not a report: the rest is in the fields
	for i, s := range all {
		switch {
		case i == 0:
			fmt.Fprintf(b, "; %d %s: %v", len(all), kind, s)
		case i < most:
			fmt.Fprintf(b, ", %v", s)
		case i == most:
			b.WriteString(", ...")
		}
	}
}
