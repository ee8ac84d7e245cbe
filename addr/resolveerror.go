package addr

import (
	"context"
	"errors"
	"net"
	"os"
	"strconv"
)

// errNoAddress is a resolver's success without a result.
var errNoAddress = errors.New("the name has no address")

// ResolveError says that a name was not resolved, and by its message what kind
// of failure it was: no such host, no answer in time, a failing name server, or
// an end that the caller asked for.
type ResolveError struct {
	Host string // the name as it was given

	// Err is what the resolver said, a *net.DNSError if it was the system's,
	// whose IsNotFound tells a name that does not exist. If the context ended
	// the lookup it matches the context's error and its cause instead.
	Err error
}

// interrupted is the error of a lookup that ctx ended.
func interrupted(ctx context.Context, host string) *ResolveError {
	err := ctx.Err()
	if cause := context.Cause(ctx); cause != err {
		err = &causeError{cause: cause, err: err}
	}
	return &ResolveError{Host: host, Err: err}
}

// Error returns the name and the kind of failure, such as
//
//	resolve "nowhere.example": no such host
func (e *ResolveError) Error() string {
	return "resolve " + strconv.Quote(e.Host) + ": " + e.kind()
}

func (e *ResolveError) kind() string {
	var dns *net.DNSError
	switch {
	case errors.Is(e.Err, context.Canceled):
		return "cancelled: " + e.Err.Error()
	case errors.Is(e.Err, context.DeadlineExceeded):
		return "not answered in time: " + e.Err.Error()
	case !errors.As(e.Err, &dns):
		return e.Err.Error()
	case dns.IsNotFound:
		return "no such host"
	case dns.IsTimeout:
		return "the name server did not answer" + server(dns)
	}
	return "the name server failed" + server(dns) + ": " + dns.Err
}

func server(dns *net.DNSError) string {
	if dns.Server == "" {
		return ""
	}
	return " (" + dns.Server + ")"
}

// Timeout reports whether time ran out: the context's, or the resolver's own.
func (e *ResolveError) Timeout() bool {
	var timeout interface{ Timeout() bool }
	return errors.As(e.Err, &timeout) && timeout.Timeout()
}

// Is makes a deadline of the context match os.ErrDeadlineExceeded too, as every
// timeout does that the caller set.
func (e *ResolveError) Is(target error) bool {
	return target == os.ErrDeadlineExceeded && errors.Is(e.Err, context.DeadlineExceeded)
}

// Unwrap returns Err.
func (e *ResolveError) Unwrap() error { return e.Err }

// causeError shows why a context ended, and matches that and how.
type causeError struct{ cause, err error }

func (e *causeError) Error() string   { return e.cause.Error() }
func (e *causeError) Unwrap() []error { return []error{e.cause, e.err} }
