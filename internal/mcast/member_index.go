//go:build linux || freebsd

package mcast

import (
	"os"

	"golang.org/x/sys/unix"
)

func join4(fd int, group [4]byte, n nic) error {
	m := &unix.IPMreqn{Multiaddr: group, Ifindex: int32(n.index)}
	return os.NewSyscallError("setsockopt", unix.SetsockoptIPMreqn(fd, unix.IPPROTO_IP, unix.IP_ADD_MEMBERSHIP, m))
}

// setOut4 names the address to send from on the loopback interface, because Linux
// takes another interface's there, or none at all, to which nobody can reply. On
// the others it finds one by itself, which may change while the socket is open.
func setOut4(fd int, n nic) error {
	m := &unix.IPMreqn{Ifindex: int32(n.index)}
	if n.loopback {
		m.Address = n.v4
	}
	return os.NewSyscallError("setsockopt", unix.SetsockoptIPMreqn(fd, unix.IPPROTO_IP, unix.IP_MULTICAST_IF, m))
}
