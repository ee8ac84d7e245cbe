package nettest

import (
	"errors"
	"net"
	"testing"
	"time"

	"golang.org/x/net/nettest"

	"example.com/sockets/simnet"
)

// TestConn is the suite that connections of the net package pass, on a network
// without delays, on one with delays and small buffers, and on one that loses.
func TestConn(t *testing.T) {
	for name, o := range map[string]simnet.Options{
		"perfect": {},
		"slow":    {ReadBuffer: 4096, WriteBuffer: 4096, Link: simnet.Link{Latency: time.Millisecond, Jitter: time.Millisecond}},
		"lossy":   {Script: simnet.Script{simnet.DropEvery(2000)}},
	} {
		t.Run(name, func(t *testing.T) {
			nettest.TestConn(t, func() (client, server net.Conn, stop func(), err error) { return pipe(t, o) })
		})
	}
}

// pipe makes a connection on a network of its own.
func pipe(t *testing.T, o simnet.Options) (client, server net.Conn, stop func(), err error) {
	n := simnet.New(o)
	ln, err := n.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, nil, err
	}
	defer ln.Close()
	client, err = n.DialContext(t.Context(), "tcp", ln.Addr().String())
	if err != nil {
		return nil, nil, nil, err
	}
	server, err = ln.Accept()
	stop = func() {
		if err := errors.Join(ignoreClosed(client.Close()), ignoreClosed(server.Close())); err != nil {
			t.Error(err)
		}
	}
	return client, server, stop, err
}

// ignoreClosed drops the error of a second Close: the suite closes too.
func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
