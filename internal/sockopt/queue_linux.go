package sockopt

import "golang.org/x/sys/unix"

// SIOCINQ and SIOCOUTQ of tcp(7) have the numbers of the terminal's requests.

func unread(fd uintptr) (int, error) { return unix.IoctlGetInt(int(fd), unix.TIOCINQ) }

func unacked(fd uintptr) (int, error) { return unix.IoctlGetInt(int(fd), unix.TIOCOUTQ) }

// Sendfile says that the kernel moves a regular file to a socket by itself, and
// that the count is right when a deadline cuts it.
const Sendfile = true
