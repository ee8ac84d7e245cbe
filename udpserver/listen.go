package udpserver

import (
	"context"
	"net"
	"strconv"

	"example.com/sockets/addr"
	"example.com/sockets/internal/operr"
)

// ListenPacket binds a socket to address: a host and a port, as in
// "127.0.0.1:53", "[::1]:53", "localhost:domain", or ":0" for every address of
// this machine and a port that the system chooses; LocalAddr tells which. Serve
// closes the socket. ctx bounds the resolution of a name, nothing else.
//
// A multicast address, as in "239.1.2.3:12000" or "[ff02::1234%eth0]:12000", makes the
// socket a member of that group: see Multicast. Broadcasts come to a socket that is
// bound to every address, as by ":12000", and Datagram.SendTo can send them.
//
// With Sockets above 1 it opens that many sockets behind one net.PacketConn, all of
// them before it returns. Whoever reads that, or wraps it, gets the datagrams of all
// of them, by goroutines that Close ends, and without the address that was asked;
// Serve and Sessions read each by itself. If another socket has the address, a group
// among them, the error is EADDRINUSE.
func (s *Server) ListenPacket(ctx context.Context, address string) (net.PacketConn, error) {
	host, port, err := addr.Split(addr.UDP, address)
	if err != nil {
		return nil, &operr.Error{Op: "listen", Err: err}
	}
	local, _ := addr.Parse(addr.UDP, address)
	pc, err := s.listen(ctx, local, host, strconv.Itoa(int(port)))
	if err != nil {
		return nil, &operr.Error{Op: "listen", Local: local, Err: err}
	}
	return pc, nil
}
