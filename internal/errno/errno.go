// Package errno finds the system's error numbers in errors, by the POSIX names on
// every system: Windows Sockets has numbers of its own for the same things.
package errno

import (
	"errors"
	"syscall"
)

// Is reports whether err comes from the system and means e.
func Is(err error, e syscall.Errno) bool {
	var found syscall.Errno
	return errors.As(err, &found) && (found == e || found == sockets[e])
}

// In reports whether err comes from the system and means one of es.
func In(err error, es ...syscall.Errno) bool {
	for _, e := range es {
		if Is(err, e) {
			return true
		}
	}
	return false
}
