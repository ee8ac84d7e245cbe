//go:build !linux

package listen

import (
	"errors"
	"syscall"
)

// Groups: elsewhere the option has another name (FreeBSD), gives everything to one
// socket (macOS), or does not exist (Windows).
const Groups = false

// abstract: such names are Linux's.
const abstract = false

// keepAlive: whether a connection inherits it is not known here, and on macOS the
// system may close a listening socket that has it.
func keepAlive(syscall.RawConn) error { return errors.ErrUnsupported }

func share(socket) bool { return false }

func join(string, string, syscall.RawConn) error { return errors.ErrUnsupported }

// tellAsked: nobody reads it here.
func tellAsked(syscall.RawConn) {}
