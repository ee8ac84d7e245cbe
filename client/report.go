package client

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"example.com/sockets/addr"
	"example.com/sockets/internal/operr"
)

// Report is how a dial went, as data. Its times are those of one clock, so that
// the attempts can be drawn beside each other.
type Report struct {
	Address   string        // as it was given
	Start     time.Time     // when the whole began
	Took      time.Duration // the whole, pauses included
	Resolving time.Duration // of that, looking up the name
	Attempts  []Attempt     // in the order in which they began, of all rounds
}

// Attempt is one try to connect to one address. The one that won has no error.
type Attempt struct {
	To      addr.Endpoint // invalid for a unix socket
	Address string        // what was dialled: To without its transport, or a path
	Start   time.Time     // when it began
	Took    time.Duration // to the connection, TLS included, or to the error
	Err     error         // nil: it won
}

// fail gives the attempt's error the form in which it reaches a user.
func (a *Attempt) fail(err error) error {
	op := "dial"
	if !a.To.IsValid() {
		op = "dial " + shown("unix:"+a.Address)
	}
	return &operr.Error{Op: op, Remote: a.To, Unsent: true, Err: err}
}

// DialError is a dial that failed. It matches, by errors.Is and errors.As, what
// went wrong with each address in the last round.
type DialError struct {
	Report Report // of all rounds
	Err    error  // the last round's errors, or why there was none
}

// Error names the addresses with what went wrong with each.
func (e *DialError) Error() string {
	if f, ok := e.Err.(failures); ok && len(f) == 1 {
		return f[0].Error() // it names the address itself
	}
	return fmt.Sprintf("dial %.80q: %v", e.Report.Address, e.Err)
}

// Unwrap returns Err.
func (e *DialError) Unwrap() error { return e.Err }

// NotSent is true: see sockets.NotSent.
func (e *DialError) NotSent() bool { return true }

// Timeout reports whether a time that the user set has run out.
func (e *DialError) Timeout() bool { return operr.IsTimeout(e.Err) }

// Temporary is the same as Timeout: net.Error asks for it.
func (e *DialError) Temporary() bool { return e.Timeout() }

// failures is what went wrong with several addresses, on one line.
type failures []error

func (f failures) Error() string {
	var texts []string
	for _, err := range f[:min(len(f), mostShown)] {
		texts = append(texts, err.Error())
	}
	if more := len(f) - mostShown; more > 0 {
		texts = append(texts, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(texts, "; ")
}

// mostShown is how many failures a text names. A name may have any number of
// addresses; errors.Is and the Report know them all.
const mostShown = 8

// shown is an address as a user wrote it, fit for the text of an error.
func shown(address string) string {
	const most = 120 // the longest path of a unix socket has 108 bytes
	if len(address) <= most && strings.IndexFunc(address, func(r rune) bool { return !strconv.IsPrint(r) }) < 0 {
		return address
	}
	return fmt.Sprintf("%.*q", most, address)
}

func (f failures) Unwrap() []error { return f }
