package udpio

import (
	"encoding/binary"
	"net/netip"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// CanBatch reports whether there is an engine that moves many datagrams at once,
// and CanMeasure whether Memory tells anything.
const CanBatch, CanMeasure = true, true

// CanSource reports whether replies leave from the address that was asked, on a
// socket that is bound to all.
const CanSource = true

// controlSize is the room that the control messages of one datagram take: 24
// bytes each for the size of merged ones and twice the ECN bits, 72 for the address
// asked, which a socket of both families reports twice, and 48 to spare, for what a
// process may have enabled too. What is cut are the addresses: the system puts the
// size before them.
const controlSize = 192

const (
	headerLen = unix.SizeofCmsghdr
	align     = unsafe.Sizeof(uintptr(0)) // what CMSG_ALIGN rounds up to
)

// enableControl asks the system to say where datagrams were sent to. A socket of
// one family refuses the other's option, so one success is enough.
func enableControl(raw syscall.RawConn) (ok bool) {
	err := raw.Control(func(fd uintptr) {
		v4 := unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_PKTINFO, 1)
		v6 := unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1)
		ok = v4 == nil || v6 == nil
	})
	return ok && err == nil
}

// enableECN asks the system for the bits of ECN.
func enableECN(raw syscall.RawConn) (ok bool) {
	err := raw.Control(func(fd uintptr) {
		v4 := unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_RECVTOS, 1)
		v6 := unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_RECVTCLASS, 1)
		ok = v4 == nil || v6 == nil
	})
	return ok && err == nil
}

// parseControl fills in what the control messages in b say, and returns the size of
// the datagrams that were merged, 0 if none were. Broken messages end it: a
// datagram without them is still a datagram.
func parseControl(b []byte, p *Packet) (merged int) {
	for len(b) >= headerLen {
		h := (*unix.Cmsghdr)(unsafe.Pointer(&b[0]))
		n := uint64(h.Len) //nolint:unconvert // 32 bits wide on some systems, and hostile in a test
		if n < headerLen || n > uint64(len(b)) {
			break
		}
		data := b[headerLen:n]
		switch h.Level {
		case unix.IPPROTO_IP:
			parseIPv4(h.Type, data, p)
		case unix.IPPROTO_IPV6:
			parseIPv6(h.Type, data, p)
		case unix.SOL_UDP:
			if h.Type == unix.UDP_GRO && len(data) >= 4 {
				merged = max(0, int(int32(binary.NativeEndian.Uint32(data))))
			}
		}
		next := (int(n) + int(align) - 1) &^ (int(align) - 1)
		b = b[min(next, len(b)):]
	}
	return merged
}

// isControlCut reports whether a message had more control data than there was room
// for.
func isControlCut(flags int) bool { return flags&unix.MSG_CTRUNC != 0 }

// ecnBits are those of the traffic class that are for ECN (RFC 3168 section 5).
const ecnBits = 3

func parseIPv4(kind int32, data []byte, p *Packet) {
	switch {
	case kind == unix.IP_PKTINFO && len(data) >= unix.SizeofInet4Pktinfo:
		// Index, the address to reply from, the address that was asked.
		p.Index = int(binary.NativeEndian.Uint32(data))
		p.Source = ownSource(netip.AddrFrom4([4]byte(data[4:8])))
		p.Asked = netip.AddrFrom4([4]byte(data[8:12]))
		if p.Source.IsUnspecified() { // it came before the system was asked
			p.Source = ownSource(p.Asked)
		}
	case kind == unix.IP_TOS && len(data) >= 1:
		p.ECN = data[0] & ecnBits
	}
}

func parseIPv6(kind int32, data []byte, p *Packet) {
	switch {
	case kind == unix.IPV6_PKTINFO && len(data) >= unix.SizeofInet6Pktinfo:
		asked := netip.AddrFrom16([16]byte(data[:16]))
		if asked.Is4In6() { // the IPv4 message beside it says more
			return
		}
		p.Index = int(binary.NativeEndian.Uint32(data[16:]))
		p.Asked, p.Source = asked, ownSource(asked)
	case kind == unix.IPV6_TCLASS && len(data) >= 4:
		p.ECN = uint8(binary.NativeEndian.Uint32(data)) & ecnBits
	}
}

// appendControl appends the message that makes a datagram leave from r.Source,
// which goes by the family of the peer: that of the socket says nothing, and the
// IPv6 message does not work for a mapped peer.
func appendControl(b []byte, r Route) []byte {
	switch src := r.Source; {
	case !src.IsValid() || src.IsUnspecified() || src.Is4() != r.Peer.Addr().Is4():
		return b
	case src.Is4():
		b = appendHeader(b, unix.IPPROTO_IP, unix.IP_PKTINFO, unix.SizeofInet4Pktinfo)
		b = binary.NativeEndian.AppendUint32(b, outIndex(r))
		a := src.As4()
		b = append(b, a[:]...)
		b = append(b, 0, 0, 0, 0)
	default:
		b = appendHeader(b, unix.IPPROTO_IPV6, unix.IPV6_PKTINFO, unix.SizeofInet6Pktinfo)
		a := src.As16()
		b = append(b, a[:]...)
		b = binary.NativeEndian.AppendUint32(b, outIndex(r))
	}
	return padded(b)
}

// padded makes room for another message after the last.
func padded(b []byte) []byte {
	for len(b)%int(align) != 0 {
		b = append(b, 0)
	}
	return b
}

func appendHeader(b []byte, level, kind int32, n int) []byte {
	var h unix.Cmsghdr
	h.Level, h.Type = level, kind
	h.SetLen(headerLen + n)
	return append(b, (*[headerLen]byte)(unsafe.Pointer(&h))[:]...)
}

// outIndex is the interface that a reply is bound to: the one it came from if the
// peer's address means something there only. Elsewhere the routes decide, which
// need not be symmetric.
func outIndex(r Route) uint32 {
	if a := r.Peer.Addr(); a.IsLinkLocalUnicast() || a.IsMulticast() {
		return uint32(r.Index)
	}
	return 0
}

// sourceGone reports whether err may mean that the host does not have the source
// address any more. Then the reply is sent as the routes say, which is better
// than not at all.
func sourceGone(err error) bool {
	switch Errno(err) {
	case unix.EINVAL, unix.ENETUNREACH, unix.EADDRNOTAVAIL, unix.EHOSTUNREACH:
		return true
	}
	return false
}
