//go:build unix

package mcast

import (
	"context"
	"net"
	"net/netip"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Bound says that a member is bound to its group, and hears nothing else.
const Bound = true

// open binds a socket to the group, and to n if the group is of one link. The net
// package puts the wildcard in a group's place, so the socket is not of its making.
func open(_ context.Context, group netip.AddrPort, n nic) (*net.UDPConn, error) {
	family := unix.AF_INET
	if group.Addr().Is6() {
		family = unix.AF_INET6
	}
	fd, err := newSocket(family)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	f := os.NewFile(uintptr(fd), "")
	defer func() { _ = f.Close() }() // the copy is what counts
	if err := prepare(fd, family); err != nil {
		return nil, os.NewSyscallError("setsockopt", err)
	}
	if err := unix.Bind(fd, sockaddr(group, n)); err != nil {
		return nil, os.NewSyscallError("bind", err)
	}
	pc, err := net.FilePacketConn(f) // of a copy of fd, which does not block
	if err != nil {
		return nil, err
	}
	return pc.(*net.UDPConn), nil
}

// newSocket makes a socket that no child process inherits. Not every system does
// that in one step.
func newSocket(family int) (int, error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	fd, err := unix.Socket(family, unix.SOCK_DGRAM, 0)
	if err == nil {
		unix.CloseOnExec(fd)
	}
	return fd, err
}

// prepare sets what has to be set before a bind, and what the net package sets on
// its own.
func prepare(fd, family int) error {
	only(uintptr(fd))
	if family == unix.AF_INET6 {
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1); err != nil {
			return err
		}
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_BROADCAST, 1); err != nil {
		return err
	}
	return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
}

func sockaddr(group netip.AddrPort, n nic) unix.Sockaddr {
	a, port := group.Addr(), int(group.Port())
	if a.Is4() {
		return &unix.SockaddrInet4{Port: port, Addr: a.As4()}
	}
	sa := &unix.SockaddrInet6{Port: port, Addr: a.As16()}
	if isOfLink(a) {
		sa.ZoneId = uint32(n.index)
	}
	return sa
}

func join(fd uintptr, group netip.Addr, n nic) error {
	if group.Is4() {
		return join4(int(fd), group.As4(), n)
	}
	m := &unix.IPv6Mreq{Multiaddr: group.As16(), Interface: uint32(n.index)}
	return os.NewSyscallError("setsockopt", unix.SetsockoptIPv6Mreq(int(fd), unix.IPPROTO_IPV6, unix.IPV6_JOIN_GROUP, m))
}

func setOut(fd uintptr, v6 bool, n nic) error {
	if !v6 {
		return setOut4(int(fd), n)
	}
	return os.NewSyscallError("setsockopt", unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_IF, n.index))
}

func setTTL(fd uintptr, v6 bool, ttl int) error {
	return setNumber(int(fd), v6, unix.IPV6_MULTICAST_HOPS, unix.IP_MULTICAST_TTL, ttl)
}

func setLoop(fd uintptr, v6, on bool) error {
	n := 0
	if on {
		n = 1
	}
	return setNumber(int(fd), v6, unix.IPV6_MULTICAST_LOOP, unix.IP_MULTICAST_LOOP, n)
}

// setNumber: IPv4's are bytes, the only size that every system takes.
func setNumber(fd int, v6 bool, option6, option4, n int) error {
	if v6 {
		return os.NewSyscallError("setsockopt", unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, option6, n))
	}
	return os.NewSyscallError("setsockopt", unix.SetsockoptByte(fd, unix.IPPROTO_IP, option4, byte(n)))
}

func loops(fd uintptr, v6 bool) bool {
	if v6 {
		n, err := unix.GetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_LOOP)
		return err == nil && n != 0
	}
	n, err := unix.GetsockoptByte(int(fd), unix.IPPROTO_IP, unix.IP_MULTICAST_LOOP)
	return err == nil && n != 0
}

func shared(fd uintptr) (bool, error) {
	n, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR)
	return n != 0, err
}
