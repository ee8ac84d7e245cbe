package udpserver

import (
	"context"
	"net"
	"strconv"

	"example.com/sockets/addr"
	"example.com/sockets/internal/listen"
	"example.com/sockets/internal/operr"
)

// ListenPacket binds a socket to address: a host and a port, as in
// "127.0.0.1:53", "[::1]:53", "localhost:domain", or ":0" for every address of
// this machine and a port that the system chooses; LocalAddr tells which. Serve
// closes the socket. ctx bounds the resolution of a name, nothing else.
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
	pc, err := listen.UDP(ctx, net.JoinHostPort(host, strconv.Itoa(int(port))), s.Sockets)
	if err != nil {
		local, _ := addr.Parse(addr.UDP, address)
		return nil, &operr.Error{Op: "listen", Local: local, Err: err}
	}
	return pc, nil
}
