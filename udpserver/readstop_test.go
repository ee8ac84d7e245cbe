package udpserver_test

import (
	"context"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"example.com/sockets/udpserver"
)

// A datagram that was cut, of which some systems tell by an error, does not keep a stop
// from handling what is behind it.
func TestStopGoesOnAfterACutDatagram(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		goOn := make(chan struct{})
		s := &udpserver.Server{MaxHandlers: 1, Queue: udpserver.Queue{Datagrams: -1, Full: udpserver.Wait},
			Handler: func(context.Context, *udpserver.Datagram) error { <-goOn; return nil }}
		pc, c := simPair(t)
		var cut atomic.Bool
		stop := serveOn(t, s, &faulty{PacketConn: pc, script: func(int) error {
			if cut.CompareAndSwap(true, false) {
				return syscall.EMSGSIZE
			}
			return nil
		}})
		send(t, c, "running", "read, and kept by the loop", "queued", "too")
		synctest.Wait()
		cut.Store(true)
		stopped := make(chan error)
		go func() { stopped <- stop() }()
		synctest.Wait()
		close(goOn)
		if err := <-stopped; err != nil {
			t.Error(err)
		}
		if st := ledger(t, s); st.Handled != 4 || st.Dropped.Truncated != 1 {
			t.Errorf("%+v", st)
		}
	})
}

// clearing is a socket on which a stop begins while somebody else's deadline is taken
// back.
type clearing struct {
	net.PacketConn
	clears int
	stop   context.CancelFunc
	ahead  chan struct{} // closed when the stop has set its deadline
	once   sync.Once
}

func (c *clearing) SetReadDeadline(at time.Time) error {
	if at.IsZero() {
		if c.clears++; c.clears == 2 { // the first is Serve's own, at the beginning
			c.stop()
			<-c.ahead
		}
		return c.PacketConn.SetReadDeadline(at)
	}
	err := c.PacketConn.SetReadDeadline(at)
	c.once.Do(func() { close(c.ahead) })
	return err
}

// A stop is not forgotten where it begins while a foreign deadline is taken back.
func TestStopDuringAForeignDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		s := &udpserver.Server{Handler: echo, Logger: quiet}
		pc, _ := simPair(t)
		socket := &clearing{PacketConn: pc, stop: cancel, ahead: make(chan struct{})}
		start := time.Now()
		err := s.Serve(ctx, &faulty{PacketConn: socket, script: func(call int) error {
			if call == 1 {
				return os.ErrDeadlineExceeded
			}
			return nil
		}})
		if d := time.Since(start); err != nil || d > time.Second {
			t.Errorf("the stop took %v: %v", d, err)
		}
	})
}
