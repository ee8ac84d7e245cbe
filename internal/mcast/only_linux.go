package mcast

import "golang.org/x/sys/unix"

// only keeps from the socket what is sent to groups that it has not joined itself,
// or not on the interface in question. Without that Linux gives a socket whatever
// any process of the host has joined. IPv6 has it since Linux 4.20.
func only(fd uintptr) {
	_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_MULTICAST_ALL, 0)
	_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_ALL, 0)
}
