package udpio

import (
	"errors"
	"net"
	"os"
	"syscall"
)

// Class says what an error of a Read or a Write is about, and so what to do
// next. It is found by errno: Temporary calls half of these permanent, and a
// loop that believes it dies of the first ICMP message.
type Class uint8

// The classes.
const (
	Unknown  Class = iota // nothing known: wait, and go on
	Closed                // the socket was closed
	Deadline              // a deadline has passed
	TooLong               // longer than the buffer, or than the network takes
	Peer                  // about one destination: ICMP, a firewall, no route
	Resource              // the system is short of something, or the link is down
	Argument              // the destination can't be one of this socket's
	Dead                  // not a socket any more
)

// Classify returns the class of err.
func Classify(err error) Class {
	switch {
	case errors.Is(err, net.ErrClosed):
		return Closed
	case errors.Is(err, os.ErrDeadlineExceeded):
		return Deadline
	}
	if errno := Errno(err); errno != 0 {
		return classOf(errno)
	}
	var family *net.AddrError
	if errors.Is(err, ErrNoPeer) || errors.As(err, &family) {
		return Argument
	}
	return Unknown
}

// Errno returns the system's number in err, 0 if there is none.
func Errno(err error) syscall.Errno {
	var errno syscall.Errno
	errors.As(err, &errno)
	return errno
}
