package tcpserver

import (
	"context"
	"net"
	"strconv"
	"strings"

	"example.com/sockets/addr"
	"example.com/sockets/internal/operr"
)

// Listen opens the welcoming socket that Serve serves. address is "host:port" for
// TCP, where an empty host is every interface and port 0 lets the system choose
// one, which the listener's Addr tells; or a unix socket, "unix:/path", or
// "unix:@name" for an abstract one on Linux. ctx bounds the look-up of a name.
//
// The caller closes the listener, unless it is given to Serve. For options that a
// socket can be given make the listener with a net.ListenConfig instead: Serve
// takes any.
func (s *Server) Listen(ctx context.Context, address string) (net.Listener, error) {
	network, at, err := target(address)
	if err != nil {
		return nil, &operr.Error{Op: "listen", Err: err}
	}
	var config net.ListenConfig
	ln, err := config.Listen(ctx, network, at)
	if err != nil {
		local, _ := addr.Parse(addr.TCP, at)
		return nil, &operr.Error{Op: "listen", Address: address, Local: local, Err: err}
	}
	return ln, nil
}

// target is address as the net package takes it.
func target(address string) (network, at string, err error) {
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		return "unix", path, nil
	}
	host, port, err := addr.Split(addr.TCP, address)
	if err != nil {
		return "", "", err
	}
	return "tcp", net.JoinHostPort(host, strconv.Itoa(int(port))), nil
}
