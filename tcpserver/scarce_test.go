package tcpserver_test

import (
	"context"
	"net"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"example.com/sockets"
	"example.com/sockets/simnet"
	"example.com/sockets/tcpserver"
)

// starving is a listener that runs out of descriptors when it is told.
type starving struct {
	net.Listener
	conns chan net.Conn
	out   chan error
}

func starve(ln net.Listener) *starving {
	s := &starving{ln, make(chan net.Conn), make(chan error)}
	go func() {
		defer close(s.conns)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			s.conns <- c
		}
	}()
	return s
}

func (s *starving) Accept() (net.Conn, error) {
	select {
	case c, ok := <-s.conns:
		if !ok {
			return nil, net.ErrClosed
		}
		return c, nil
	case err := <-s.out:
		return nil, err
	}
}

// Who lingers gives up when the process is out of descriptors, whether its peer sends
// or not; another error changes nothing.
func TestLingerGivesUpUnderPressure(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		n := simnet.New(simnet.Options{})
		ln, err := n.Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		s := &tcpserver.Server{
			Handler: func(_ context.Context, c *sockets.Conn) error {
				if err := c.Await(); err != nil {
					return err
				}
				return c.WriteMessage([]byte("reply"))
			},
			Timeouts: tcpserver.Timeouts{Linger: time.Minute},
		}
		out := starve(ln)
		r := serve(t, s, out)
		r.dial = n.DialContext
		for range 5 {
			c := r.client()
			defer c.Close()
			c.Write(make([]byte, 1000)) // more than is read ahead
		}
		time.Sleep(time.Second)
		out.out <- accept(syscall.ECONNABORTED)
		time.Sleep(time.Second)
		if n := s.Stats().Lingering; n != 5 {
			t.Fatalf("%d linger", n)
		}
		out.out <- accept(syscall.EMFILE)
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		if st := s.Stats(); st.Lingering != 0 || st.Running != 0 {
			t.Errorf("%d linger, %d run", st.Lingering, st.Running)
		}
		if err := r.wait(); err != nil {
			t.Error(err)
		}
	})
}
