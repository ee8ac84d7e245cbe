package udpserver

import (
	"net"
	"net/netip"
	"syscall"
	"time"

	"example.com/sockets/addr"
	"example.com/sockets/internal/mcast"
	"example.com/sockets/internal/udpio"
)

// own tells which datagrams come from the socket that they came to: to answer them
// would never end. It belongs to whoever reads.
//
// On a socket that is bound to every address no other process can have its port at one
// of them, so whatever comes from that port at an address of this host is its own. The
// address need not be the one that was asked: to the second address of an interface
// Linux sends from the first. What members of a group share says nothing of that kind,
// neither the port nor the group: see echoes.
type own struct {
	local  addr.Endpoint
	shared bool // others may have the socket's address and port
	looks  bool // the host's addresses matter
	hosts  map[netip.Addr]struct{}
	looked time.Time
}

// lookAgain is for how long the addresses of this host are taken as known. They are
// asked for only where a peer has the server's port, as with NTP.
const lookAgain = time.Second

func newOwn(pc net.PacketConn, local addr.Endpoint) own {
	c, real := pc.(syscall.Conn) // one in memory is on another host, so to say
	return own{
		local: local, shared: real && mcast.Shared(c),
		looks: real && (local.IsUnspecified() || local.IsMulticast()),
	}
}

// look asks the system for the addresses of this host, if p makes that necessary.
func (o *own) look(p *udpio.Packet, now time.Time) {
	if !o.looks || p.Peer.Port() != o.local.Port() || o.sent(p) || now.Sub(o.looked) < lookAgain {
		return
	}
	o.looked = now
	all, err := net.InterfaceAddrs()
	if err != nil {
		return // those that are known have to do
	}
	o.hosts = make(map[netip.Addr]struct{}, len(all))
	for _, a := range all {
		if n, ok := a.(*net.IPNet); ok {
			if ip, ok := netip.AddrFromSlice(n.IP); ok {
				o.hosts[ip.Unmap()] = struct{}{}
			}
		}
	}
}

// sent reports whether p came from the socket itself.
func (o *own) sent(p *udpio.Packet) bool {
	from, local := p.Peer.Addr(), o.local.Addr()
	switch {
	case !p.Peer.IsValid() || p.Peer.Port() != o.local.Port():
		return false
	case !local.IsUnspecified():
		return from == local
	case o.shared:
		return false
	case from.IsLoopback() || from == p.Asked:
		return true
	}
	_, ok := o.hosts[from.WithZone("")]
	return ok
}

// isNear reports whether a may be an address that the socket sends from, other than
// that it is bound to.
func (o *own) isNear(a netip.Addr) bool {
	if !o.local.IsUnspecified() && !o.local.IsMulticast() {
		return false
	}
	_, ok := o.hosts[a.WithZone("")]
	return ok || !o.looks
}
