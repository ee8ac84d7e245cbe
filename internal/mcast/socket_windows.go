package mcast

import (
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"unsafe"

	"golang.org/x/sys/windows"
)

// Bound says that a member is bound to its group, and hears nothing else.
const Bound = false

// open binds a socket to the wildcard, at a port that others can have too: Windows
// binds none to a group. The net package does just that when it is given one.
func open(ctx context.Context, group netip.AddrPort, _ nic) (*net.UDPConn, error) {
	network := "udp4"
	if group.Addr().Is6() {
		network = "udp6"
	}
	pc, err := new(net.ListenConfig).ListenPacket(ctx, network, group.String())
	if err != nil {
		return nil, err
	}
	return pc.(*net.UDPConn), nil
}

func join(fd uintptr, group netip.Addr, n nic) error {
	if group.Is4() {
		m := &windows.IPMreq{Multiaddr: group.As4(), Interface: indexAddress(n)}
		return os.NewSyscallError("setsockopt", windows.SetsockoptIPMreq(windows.Handle(fd), windows.IPPROTO_IP, windows.IP_ADD_MEMBERSHIP, m))
	}
	m := windows.IPv6Mreq{Multiaddr: group.As16(), Interface: uint32(n.index)}
	return os.NewSyscallError("setsockopt", windows.Setsockopt(windows.Handle(fd), windows.IPPROTO_IPV6, windows.IPV6_JOIN_GROUP,
		(*byte)(unsafe.Pointer(&m)), int32(unsafe.Sizeof(m))))
}

// indexAddress is an interface's number in the form of an address of 0.0.0.0/8, by
// which Windows takes it.
func indexAddress(n nic) (a [4]byte) {
	binary.BigEndian.PutUint32(a[:], uint32(n.index))
	return a
}

func setOut(fd uintptr, v6 bool, n nic) error {
	if v6 {
		return setNumber(fd, v6, windows.IPV6_MULTICAST_IF, 0, n.index)
	}
	return os.NewSyscallError("setsockopt", windows.SetsockoptInet4Addr(windows.Handle(fd), windows.IPPROTO_IP, windows.IP_MULTICAST_IF, indexAddress(n)))
}

func setTTL(fd uintptr, v6 bool, ttl int) error {
	return setNumber(fd, v6, windows.IPV6_MULTICAST_HOPS, windows.IP_MULTICAST_TTL, ttl)
}

func setLoop(fd uintptr, v6, on bool) error {
	n := 0
	if on {
		n = 1
	}
	return setNumber(fd, v6, windows.IPV6_MULTICAST_LOOP, windows.IP_MULTICAST_LOOP, n)
}

func setNumber(fd uintptr, v6 bool, option6, option4, n int) error {
	level, option := windows.IPPROTO_IP, option4
	if v6 {
		level, option = windows.IPPROTO_IPV6, option6
	}
	return os.NewSyscallError("setsockopt", windows.SetsockoptInt(windows.Handle(fd), level, option, n))
}

func loops(fd uintptr, v6 bool) bool {
	level, option := windows.IPPROTO_IP, windows.IP_MULTICAST_LOOP
	if v6 {
		level, option = windows.IPPROTO_IPV6, windows.IPV6_MULTICAST_LOOP
	}
	n, err := windows.GetsockoptInt(windows.Handle(fd), level, option)
	return err == nil && n != 0
}

func shared(fd uintptr) (bool, error) {
	n, err := windows.GetsockoptInt(windows.Handle(fd), windows.SOL_SOCKET, windows.SO_REUSEADDR)
	return n != 0, err
}
