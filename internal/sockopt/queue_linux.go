package sockopt

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// SIOCINQ and SIOCOUTQ of tcp(7) have the numbers of the terminal's requests.

func unread(fd uintptr) (int, error) { return unix.IoctlGetInt(int(fd), unix.TIOCINQ) }

func unacked(fd uintptr) (int, error) { return unix.IoctlGetInt(int(fd), unix.TIOCOUTQ) }

// Sendfile says that the kernel moves a regular file to a socket by itself, and
// that the count is right when a deadline cuts it.
const Sendfile = true

// Queued reports whether a connection waits to be accepted from ln.
func Queued(ln net.Listener) bool {
	sc, ok := ln.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return false
	}
	waits := false
	err = raw.Control(func(fd uintptr) { waits = readable(fd) })
	return err == nil && waits
}

// CanPoll says that Queued knows, and that a Probe does.
const CanPoll = true

// readable reports whether there is something to read or to accept, an end and an
// error included.
func readable(fd uintptr) bool {
	n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
	return err == nil && n > 0
}
