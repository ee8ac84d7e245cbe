package listen

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// Groups: the system shares out what arrives among the sockets of one address.
const Groups = true

// abstract: names that begin with "@" and are no files.
const abstract = true

// keepAlives are what the net package sets on each connection, in seconds. Since
// an accepted socket starts as a copy of the listening one, once is enough.
var keepAlives = [...]struct{ level, name, value int }{
	{unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
	{unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 15},
	{unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, 15},
	{unix.IPPROTO_TCP, unix.TCP_KEEPCNT, 9},
}

func keepAlive(raw syscall.RawConn) error {
	return option(raw, func(fd uintptr) error {
		for _, o := range keepAlives {
			if err := unix.SetsockoptInt(int(fd), o.level, o.name, o.value); err != nil {
				return err
			}
		}
		return nil
	})
}

func reusePort(raw syscall.RawConn) error {
	return option(raw, func(fd uintptr) error {
		return unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
	})
}

// share lets others join s, and reports whether the system can do that.
func share(s socket) bool {
	raw, err := s.SyscallConn()
	return err == nil && reusePort(raw) == nil
}

// join makes a socket one that joins others on its address.
func join(_, _ string, raw syscall.RawConn) error { return reusePort(raw) }

// tellAsked: a socket of one family refuses the other's option.
func tellAsked(raw syscall.RawConn) {
	_ = option(raw, func(fd uintptr) error {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_PKTINFO, 1)
		return unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1)
	})
}
