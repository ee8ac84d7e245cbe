package tcpserver

import (
	"context"
	"net"
	"strconv"
	"strings"

	"example.com/sockets/addr"
	"example.com/sockets/internal/listen"
	"example.com/sockets/internal/operr"
)

// Listen opens the welcoming socket that Serve serves. The caller closes it, unless
// it is given to Serve. address is one of these:
//
//   - "host:port" for TCP. An empty host is every interface. With port 0 the system
//     chooses one that is free, and the listener's Addr tells which. ctx bounds the
//     look-up of a name.
//   - "unix:/path" for a unix socket. What a server that died has left at the path
//     is replaced; a live server's socket is EADDRINUSE, and a file of another kind
//     is an error. Close removes the file, unless it is another's by then, or Shared
//     is set. Who may connect is decided by the file's permissions (see umask) and
//     by those of its directory.
//   - "unix:@name" for an abstract unix socket, which is no file and has no
//     permissions. Only Linux has them.
//
// With Listeners above 1 a TCP address gets that many sockets behind one
// net.Listener.
//
// Keep-alive is as the net package sets it: a peer that has been silent for 15 s is
// probed every 15 s, and given up after 9 probes without an answer. Where the system
// can (Linux), accepted connections inherit that from the listening socket, which
// saves four system calls for each. For other options, and for sockets that come
// from elsewhere (systemd, a predecessor), make a listener with net.ListenConfig or
// net.FileListener: Serve takes any.
func (s *Server) Listen(ctx context.Context, address string) (net.Listener, error) {
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		ln, err := listen.Unix(ctx, path, s.Shared)
		if err != nil {
			return nil, &operr.Error{Op: "listen", Address: address, Err: err}
		}
		return ln, nil
	}
	host, port, err := addr.Split(addr.TCP, address)
	if err != nil {
		return nil, &operr.Error{Op: "listen", Err: err}
	}
	at := net.JoinHostPort(host, strconv.Itoa(int(port)))
	ln, err := listen.TCP(ctx, at, s.Listeners)
	if err != nil {
		local, _ := addr.Parse(addr.TCP, at)
		return nil, &operr.Error{Op: "listen", Address: address, Local: local, Err: err}
	}
	return ln, nil
}

// newLoops registers a loop for ln or, if that is a group, for each of its sockets.
func (r *run) newLoops(ln net.Listener) (all []*loop) {
	members := []net.Listener{ln}
	if group, ok := ln.(*listen.Group); ok {
		members = group.Members()
	}
	for _, m := range members {
		l := newLoop(r, m)
		r.set.Add(&l.entry, l)
		all = append(all, l)
	}
	return all
}
