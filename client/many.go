package client

import (
	"encoding/binary"
	"fmt"
	"net"

	"example.com/sockets/addr"
)

// manyError says why nothing can be received from an address that stands for many
// hosts. Its text is a whole one: it is met by who tries the obvious.
type manyError struct{ class addr.Class }

func (e manyError) Error() string {
	return fmt.Sprintf("a %v address stands for many hosts, and each replies from its own address, which a client's socket does not hear: "+
		"send from a socket of udpserver.Server.ListenPacket, and take the replies in its Handler", e.class)
}

// many returns the error of a Call to an address that stands for many hosts, nil if to
// does not. Of a network's own broadcast address only the system's interfaces tell.
func (d *Dialer) many(to addr.Endpoint) error {
	class := to.Class()
	if class != addr.ClassMulticast && class != addr.ClassBroadcast {
		if d.DialContext != nil || !endsNetwork(to) {
			return nil
		}
		class = addr.ClassBroadcast
	}
	return manyError{class}
}

// endsNetwork reports whether to is the last address of a network that this host is
// in, which is its broadcast address (RFC 919, 7). A network of two has none (RFC
// 3021).
func endsNetwork(to addr.Endpoint) bool {
	ip := to.Addr()
	if !ip.Is4() || ip.As4()[3]&3 != 3 { // a network has four addresses or more
		return false
	}
	all, _ := net.InterfaceAddrs() // without them nothing is known
	for _, a := range all {
		n, ok := a.(*net.IPNet)
		if !ok || len(n.Mask) != net.IPv4len || !n.Contains(ip.AsSlice()) {
			continue
		}
		bits, host := ip.As4(), ^binary.BigEndian.Uint32(n.Mask)
		if host >= 3 && binary.BigEndian.Uint32(bits[:])&host == host {
			return true
		}
	}
	return false
}
