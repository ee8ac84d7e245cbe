package tcpserver_test

import (
	"net"
	"sync/atomic"
	"testing"
	"time"

	"example.com/sockets/simnet"
	"example.com/sockets/tcpserver"
)

// tardy is a listener whose connections take a second to close, though their
// reads end at once.
type tardy struct {
	net.Listener
	closing *atomic.Int32
}

func (l tardy) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return tardyConn{c, l.closing}, err
}

type tardyConn struct {
	net.Conn
	closing *atomic.Int32
}

func (c tardyConn) Close() error {
	c.closing.Add(1)
	defer c.closing.Add(-1)
	err := c.Conn.Close()
	time.Sleep(time.Second)
	return err
}

// A connection whose time was over is closed when Serve returns, also if that closes
// slowly and the handler has long seen its end.
func TestServeWaitsForTheEndOfALifetime(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		n := simnet.New(simnet.Options{Trace: -1})
		ln, err := n.Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		var closing atomic.Int32
		s := &tcpserver.Server{Handler: upper, Timeouts: tcpserver.Timeouts{Lifetime: time.Second, Linger: -1}}
		r := serve(t, s, tardy{ln, &closing})
		r.dial = n.DialContext
		c := r.client()
		defer c.Close()
		if _, err := c.Write([]byte("half a line")); err != nil { // it is not idle, and so not retired
			t.Fatal(err)
		}
		time.Sleep(1500 * time.Millisecond)
		if err := r.wait(); err != nil {
			t.Errorf("Serve: %v", err)
		}
		if n := closing.Load(); n != 0 {
			t.Errorf("Serve has returned, and %d connections are being closed", n)
		}
		time.Sleep(time.Second) // they are, by then
	})
}
