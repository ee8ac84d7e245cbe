package udpserver

import (
	"net/netip"

	"example.com/sockets/addr"
	"example.com/sockets/internal/udpio"
)

// SocketOf tells the sockets of a group apart: it is equal for datagrams that came
// to the same one.
func SocketOf(d *Datagram) any { return d.worker.loop }

// Loops is how many sockets are not drained.
func Loops(s *Server) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.loops)
}

// SourceOf is equal for addresses of one source.
func SourceOf(a netip.Addr) any { return sourceKey(a) }

// Collide finds another source that shares its place in the table with a. The
// server must have begun to serve.
func Collide(s *Server, a netip.Addr) netip.Addr {
	for b := a.Next(); ; b = b.Next() {
		if s.sources.place(sourceKey(b)) == s.sources.place(sourceKey(a)) {
			return b
		}
	}
}

// Draining reports whether a stop has reached all sockets.
func Draining(s *Server) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for l := range s.loops {
		if !l.isDraining() {
			return false
		}
	}
	return true
}

// Collects reports whether what d replies is kept to leave with other replies.
func Collects(d *Datagram) bool {
	d.worker.mu.Lock()
	defer d.worker.mu.Unlock()
	return d.worker.collects
}

// IsOwn tells whether what came from an address with the port of a socket is taken for
// the socket's own. It has sent nothing to a group.
func IsOwn(local netip.AddrPort, shared bool, from netip.Addr) bool {
	o := own{local: addr.FromAddrPort(addr.UDP, local), shared: shared}
	return o.sent(&udpio.Packet{Route: udpio.Route{Peer: netip.AddrPortFrom(from, local.Port())}})
}
