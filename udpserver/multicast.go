package udpserver

import (
	"context"
	"net"
	"net/netip"

	"example.com/sockets/addr"
	"example.com/sockets/internal/listen"
	"example.com/sockets/internal/mcast"
)

// Multicast says how the sockets that Server.ListenPacket opens join groups and
// send to them. The zero value joins on every interface, and what is sent to a
// group stays on the link and is heard on this host too.
//
// A socket for the address of a group is a member of that one. It is bound to the
// group, so that it hears neither other groups nor what is sent to the host at the
// same port (but see Support.Members). Other sockets of this and of other processes
// can be members at the port beside it, and each gets every datagram. A Reply leaves
// from the host's own address and the group's port: what the peer sends there needs
// a second socket, bound to that address and not to the wildcard, and one Server
// serves both. What a handler sends to its own group the others hear, and not the
// server itself (Drops.Self); but it hears what was sent by pc.WriteTo.
//
// A socket for any other address is a member of none and can send to all, from
// Interfaces[0] and with that TTL. It is what asks a group: the members answer from
// their own addresses, so who asks must hear everybody.
//
// IPv6 groups of an interface or a link (ff01::/16, ff02::/16) are others on each, and
// need the name of one, as the zone of the address or in Interfaces, unless there is
// only one interface beside the loopback one.
type Multicast struct {
	// Interfaces are those on which a group is joined, by name ("eth0") or
	// number; what is sent to groups leaves from the first. Each must exist, be
	// up and let the group be joined.
	//
	// Nil means all that are up when the socket is opened and have an address of
	// the group's family, the loopback interface among them. At least one must
	// let the group be joined, and another than the loopback interface where
	// there is one: of many Linux takes 20 (igmp_max_memberships). What is sent
	// leaves as the system's routes say. Interfaces that come up later are not
	// joined.
	Interfaces []string
	// TTL is how many links what is sent to groups may cross: 0 means 1, the
	// own link (RFC 1112, section 6.1); negative means none, so that it is
	// heard on this host only; more than 255 is an error.
	TTL int
	// NoLoopback keeps what is sent to groups from the members on this host,
	// the sender included. On Windows it is the receiver's choice: a member
	// that has it set does not hear senders on its own host. What is sent from
	// the loopback interface is heard there in any case.
	NoLoopback bool
}

// options are m in the form of those who do it.
func (m Multicast) options() mcast.Options { return mcast.Options(m) }

// listen binds the sockets of s. local is invalid if host is a name.
func (s *Server) listen(ctx context.Context, local addr.Endpoint, host, port string) (net.PacketConn, error) {
	if local.IsMulticast() {
		return s.join(ctx, local.AddrPort())
	}
	pc, err := listen.UDP(ctx, net.JoinHostPort(host, port), s.Sockets)
	if err != nil {
		return nil, err
	}
	bound, _ := addr.From(pc.LocalAddr())
	if bound.IsUnspecified() && host != "" && !local.IsValid() {
		if all, err := addr.Resolve(ctx, addr.UDP, net.JoinHostPort(host, port)); err == nil && all[0].IsMulticast() {
			pc.Close() // to which the net package has given the wildcard
			return s.join(ctx, all[0].AddrPort())
		}
	}
	members := []net.PacketConn{pc}
	if group, ok := pc.(*listen.Packets); ok {
		members = group.Members()
	}
	for _, m := range members {
		if err := s.Multicast.options().Apply(m.(*net.UDPConn)); err != nil {
			pc.Close()
			return nil, err
		}
	}
	return pc, nil
}

// join opens a member of a group. There is one, whatever Sockets says: of several
// each would get every datagram.
func (s *Server) join(ctx context.Context, group netip.AddrPort) (net.PacketConn, error) {
	c, err := s.Multicast.options().Listen(ctx, group)
	if err != nil {
		return nil, err // not c: a nil *net.UDPConn is no nil net.PacketConn
	}
	return c, nil
}
