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
func (s *Server) ListenPacket(ctx context.Context, address string) (net.PacketConn, error) {
	host, port, err := addr.Split(addr.UDP, address)
	if err != nil {
		return nil, &operr.Error{Op: "listen", Err: err}
	}
	var lc net.ListenConfig
	pc, err := lc.ListenPacket(ctx, "udp", net.JoinHostPort(host, strconv.Itoa(int(port))))
	if err != nil {
		local, _ := addr.Parse(addr.UDP, address)
		return nil, &operr.Error{Op: "listen", Local: local, Err: err}
	}
	return pc, nil
}
