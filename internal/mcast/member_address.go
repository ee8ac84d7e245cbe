//go:build unix && !linux && !freebsd

package mcast

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// errNoAddress: the zero address would stand for whatever interface the system likes.
var errNoAddress = errors.New("it has no IPv4 address, by which this system knows it")

func join4(fd int, group [4]byte, n nic) error {
	if n.v4 == [4]byte{} {
		return errNoAddress
	}
	m := &unix.IPMreq{Multiaddr: group, Interface: n.v4}
	return os.NewSyscallError("setsockopt", unix.SetsockoptIPMreq(fd, unix.IPPROTO_IP, unix.IP_ADD_MEMBERSHIP, m))
}

func setOut4(fd int, n nic) error {
	if n.v4 == [4]byte{} {
		return errNoAddress
	}
	return os.NewSyscallError("setsockopt", unix.SetsockoptInet4Addr(fd, unix.IPPROTO_IP, unix.IP_MULTICAST_IF, n.v4))
}
