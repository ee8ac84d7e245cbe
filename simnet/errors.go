package simnet

import (
	"net"
	"net/netip"
	"os"
	"syscall"
)

// errTimeout is os.ErrDeadlineExceeded itself, because crypto/tls and others
// compare with it.
var errTimeout = os.ErrDeadlineExceeded

// sysError is what the net package makes of a failed system call.
func sysError(call string, errno syscall.Errno) error { return os.NewSyscallError(call, errno) }

// opError wraps err as the net package does.
func opError(op, network string, source, addr net.Addr, err error) error {
	return &net.OpError{Op: op, Net: network, Source: source, Addr: addr, Err: err}
}

// listenError names the address if there is one.
func listenError(network string, at netip.AddrPort, err error) error {
	if !at.IsValid() {
		return opError("listen", network, nil, nil, err)
	}
	if network[:3] == "udp" {
		return opError("listen", network, nil, udpAddr(at), err)
	}
	return opError("listen", network, nil, tcpAddr(at), err)
}

// dialError is how a client's handshake ends.
func dialError(network string, to *net.TCPAddr, err error) error {
	if errno, ok := err.(syscall.Errno); ok {
		err = sysError("connect", errno)
	}
	return opError("dial", network, nil, to, err)
}

func tcpAddr(a netip.AddrPort) *net.TCPAddr { return net.TCPAddrFromAddrPort(a) }

func udpAddr(a netip.AddrPort) *net.UDPAddr { return net.UDPAddrFromAddrPort(a) }

// seen is how a socket bound to local shows a peer's address: on a socket for
// both families an IPv4 peer is mapped into IPv6, which surprises programs often
// enough to be worth simulating.
func seen(network string, local netip.Addr, peer netip.AddrPort) netip.AddrPort {
	if local == netip.IPv6Unspecified() && network[len(network)-1] != '6' && peer.Addr().Is4() {
		return netip.AddrPortFrom(netip.AddrFrom16(peer.Addr().As16()), peer.Port())
	}
	return peer
}
