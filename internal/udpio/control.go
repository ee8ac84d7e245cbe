package udpio

import (
	"net"
	"net/netip"
	"syscall"
)

// rawConn returns the system's socket under pc, nil if there is none.
func rawConn(pc net.PacketConn) syscall.RawConn {
	sc, ok := pc.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil
	}
	return raw
}

// isChoosing reports whether pc is bound to every address of the host, or to a group.
// On such a socket the system takes the source of a reply from its routes, and the
// peer, which has asked another address, does not recognise it, and a group may have
// been joined on several interfaces. Elsewhere there is nothing to choose, and on some
// systems choosing would unbind the socket.
func isChoosing(pc net.PacketConn) bool {
	a, ok := pc.LocalAddr().(*net.UDPAddr)
	return ok && a != nil && (len(a.IP) == 0 || a.IP.IsUnspecified() || a.IP.IsMulticast())
}

// ownSource is asked if a reply can leave from it, and invalid otherwise: nothing
// can be sent from a multicast address.
func ownSource(asked netip.Addr) netip.Addr {
	if asked.IsMulticast() {
		return netip.Addr{}
	}
	return asked
}
