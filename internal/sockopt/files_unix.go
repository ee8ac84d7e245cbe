//go:build unix

package sockopt

import "golang.org/x/sys/unix"

// OpenFiles is the limit on the open files of this process.
func OpenFiles() (n uint64, ok bool) {
	var l unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &l) != nil || l.Cur == unix.RLIM_INFINITY {
		return 0, false
	}
	return uint64(l.Cur), true //nolint:unconvert // it is signed on FreeBSD
}
