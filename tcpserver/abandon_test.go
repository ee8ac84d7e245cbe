package tcpserver_test

import (
	"context"
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"example.com/sockets"
	"example.com/sockets/simnet"
	"example.com/sockets/tcpserver"
)

// slowClosers are connections that take their time to close.
type slowClosers struct {
	net.Listener
	release chan struct{}
}

func (l slowClosers) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return slowCloser{c, l.release}, err
}

type slowCloser struct {
	net.Conn
	release chan struct{}
}

func (c slowCloser) Close() error {
	<-c.release
	return c.Conn.Close()
}

// A forced close that does not return is left behind by a stop, also when the handler
// has heeded its context: it is named and counted until it ends.
func TestStopNamesACloseThatHangs(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		n := simnet.New(simnet.Options{})
		ln, err := n.Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		release := make(chan struct{})
		s := &tcpserver.Server{
			Handler: func(ctx context.Context, c *sockets.Conn) error {
				if _, err := c.ReadMessage(); err != nil {
					return err
				}
				<-ctx.Done()
				return ctx.Err()
			},
			Timeouts: tcpserver.Timeouts{Grace: time.Second},
		}
		r := serve(t, s, slowClosers{ln, release})
		r.dial = n.DialContext
		c := r.client()
		defer c.Close()
		c.Write([]byte("hello\n"))
		synctest.Wait()
		begin := time.Now()
		var drained *sockets.DrainError
		if err := r.wait(); !errors.As(err, &drained) || len(drained.Abandoned) != 1 || len(drained.CutOff) != 0 {
			t.Errorf("Serve returned %v", err)
		}
		if took := since(begin); took != 2*time.Second {
			t.Errorf("after %v, want the grace period and a second", took)
		}
		close(release)
		synctest.Wait()
		if n := s.Stats().Running; n != 0 {
			t.Errorf("Running is %d after the close has returned", n)
		}
	})
}
