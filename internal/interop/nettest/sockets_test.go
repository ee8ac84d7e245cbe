package nettest

import (
	"net"
	"path/filepath"
	"testing"

	"golang.org/x/net/nettest"

	"example.com/sockets"
)

// TestSockets runs the same suite on sockets.Conn at both ends, over TCP and unix
// sockets. (Not under the race detector: the suite also reads from several
// goroutines at once, and a Conn is read by one at a time. And not over TLS, where
// crypto/tls itself cannot pass: the suite writes on after a write that timed out.)
func TestSockets(t *testing.T) {
	t.Run("tcp", func(t *testing.T) {
		nettest.TestConn(t, func() (client, server net.Conn, stop func(), err error) {
			return wrapped(t, "tcp", "127.0.0.1:0")
		})
	})
	t.Run("unix", func(t *testing.T) {
		n := 0
		dir := t.TempDir()
		nettest.TestConn(t, func() (client, server net.Conn, stop func(), err error) {
			n++
			return wrapped(t, "unix", filepath.Join(dir, string(rune('a'+n))))
		})
	})
}

// wrapped makes a connection of two Conns.
func wrapped(t *testing.T, network, address string) (client, server net.Conn, stop func(), err error) {
	t.Helper()
	ln, err := net.Listen(network, address)
	if err != nil {
		return nil, nil, nil, err
	}
	defer ln.Close()
	c, err := net.Dial(network, ln.Addr().String())
	if err != nil {
		return nil, nil, nil, err
	}
	s, err := ln.Accept()
	if err != nil {
		return nil, nil, nil, err
	}
	client, server = sockets.NewConn(c, nil), sockets.NewConn(s, nil)
	return client, server, func() { client.Close(); server.Close() }, nil
}
