package udpserver_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"example.com/sockets"
	"example.com/sockets/udpserver"
)

// A server that waits to try its socket again says so, and why, until it reads.
func TestHealth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		s := &udpserver.Server{Logger: quiet, Handler: func(_ context.Context, d *udpserver.Datagram) error {
			<-release
			return d.Reply(d.Data)
		}}
		if err := s.Health(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("before Serve: %v", err)
		}
		pc, c := simPair(t)
		stop := serveOn(t, s, &faulty{PacketConn: pc, script: func(call int) error {
			if call <= 11 { // 1 ms, then twice as long each time: 2 s in all
				return syscall.ENETDOWN
			}
			return nil
		}})
		time.Sleep(1500 * time.Millisecond)
		err := s.Health()
		if !errors.Is(err, syscall.ENETDOWN) || !strings.Contains(err.Error(), "127.0.0.1:9000/udp") {
			t.Errorf("while the link is down: %v", err)
		}
		if st := s.Stats(); st.Failing != 1 {
			t.Errorf("%d sockets fail", st.Failing)
		}
		time.Sleep(time.Second) // it reads, and nothing comes
		if err := s.Health(); err != nil || s.Stats().Failing != 0 {
			t.Errorf("when it is up again: %v", err)
		}
		send(t, c, "hello")
		synctest.Wait()
		if err := s.Health(); err != nil {
			t.Errorf("while a handler is busy: %v", err)
		}
		stopped := make(chan error)
		go func() { stopped <- stop() }()
		synctest.Wait()
		if err := s.Health(); !errors.Is(err, sockets.ErrDraining) {
			t.Errorf("while it stops: %v", err)
		}
		close(release)
		if err := <-stopped; err != nil {
			t.Error(err)
		}
		if err := s.Health(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("after Serve: %v", err)
		}
	})
}
