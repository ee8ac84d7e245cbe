package sockopt

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// AcceptQueue is how many connections wait to be accepted from ln, and how many may.
// TCP_INFO of a socket that listens has them in the fields of a connection's
// unacknowledged and selectively acknowledged segments (tcp_get_info in net/ipv4).
func AcceptQueue(ln net.Listener) (n, limit int, ok bool) {
	sc, ok := ln.(syscall.Conn)
	if _, tcp := ln.Addr().(*net.TCPAddr); !ok || !tcp {
		return 0, 0, false
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return 0, 0, false
	}
	var info *unix.TCPInfo
	err = raw.Control(func(fd uintptr) {
		info, _ = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
	})
	if err != nil || info == nil {
		return 0, 0, false
	}
	return int(info.Unacked), int(info.Sacked), true
}
