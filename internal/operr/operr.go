// Package operr is the one form in which an error of this module reaches a user:
// the operation, the two ends, and the cause, which errors.Is and errors.As find.
package operr

import (
	"context"
	"errors"
	"net"
	"os"
	"strings"

	"example.com/sockets/addr"
)

// Error says which operation failed, between which ends, and why.
type Error struct {
	Op            string        // "dial", "read", "call", ...
	Local, Remote addr.Endpoint // either may be invalid: unknown, or none
	Address       string        // what the user wrote, named where no end is known
	Unsent        bool          // proved: no byte of a request has left
	Err           error         // the cause, never nil
}

// Error prints "call 127.0.0.1:40000/tcp -> 127.0.0.1:80/tcp: cause".
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Op)
	if e.Address != "" && !e.Local.IsValid() && !e.Remote.IsValid() {
		b.WriteString(" " + e.Address)
	}
	if e.Local.IsValid() {
		b.WriteString(" " + e.Local.String())
	}
	if e.Local.IsValid() && e.Remote.IsValid() {
		b.WriteString(" ->")
	}
	if e.Remote.IsValid() {
		b.WriteString(" " + e.Remote.String())
	}
	b.WriteString(": " + Bare(e.Err).Error())
	return b.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is makes a timeout match in both of its forms, whichever the cause has: the net
// package reports a dial's as context.DeadlineExceeded, a read's as
// os.ErrDeadlineExceeded.
func (e *Error) Is(target error) bool { return isForm(target) && IsTimeout(e.Err) }

// NotSent reports whether it is proved that no byte of a request has left.
func (e *Error) NotSent() bool { return e.Unsent }

// Timeout reports whether a time that the user set has run out. What ends a
// connection for good is not one, so that a loop which retries timeouts ends.
func (e *Error) Timeout() bool { return IsTimeout(e.Err) }

// Temporary is the same as Timeout: net.Error asks for it, and nothing here
// decides by it.
func (e *Error) Temporary() bool { return e.Timeout() }

// Bare strips the net package's own operation and addresses, which an Error
// already names.
func Bare(err error) error {
	for {
		op, ok := err.(*net.OpError)
		if !ok || op.Err == nil {
			return err
		}
		err = op.Err
	}
}

// IsTimeout reports whether a deadline or a context that the user set ran out.
func IsTimeout(err error) bool {
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded)
}

// ErrTimeout is a user's deadline that has passed, in both forms.
var ErrTimeout error = timeout{}

type timeout struct{}

func (timeout) Error() string   { return "deadline exceeded" }
func (timeout) Timeout() bool   { return true }
func (timeout) Temporary() bool { return true }

func (timeout) Is(target error) bool { return isForm(target) }

func isForm(target error) bool {
	return target == os.ErrDeadlineExceeded || target == context.DeadlineExceeded
}

// OfContext is why ctx, which has ended, did: its error, a timeout in both
// forms if it was one, and its cause.
func OfContext(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = ErrTimeout
	}
	if cause == nil || errors.Is(err, cause) {
		return err
	}
	return caused{err, cause}
}

// caused is a context's error with the cause that its canceller gave.
type caused struct{ err, cause error }

func (c caused) Error() string   { return c.err.Error() + ": " + c.cause.Error() }
func (c caused) Unwrap() []error { return []error{c.err, c.cause} }
