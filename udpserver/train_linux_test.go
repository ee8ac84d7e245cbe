package udpserver_test

import (
	"context"
	"net"
	"testing"

	"golang.org/x/sys/unix"

	"example.com/sockets/udpserver"
)

// A stop takes all that was queued although it reads a merged message in parts, and
// that message alone is more than the receive buffer is said to hold.
func TestStopTakesAllOfATrain(t *testing.T) {
	const size, n = 500, 128
	running, goOn := make(chan struct{}, n+2), make(chan struct{})
	s := &udpserver.Server{MaxHandlers: 1, Queue: udpserver.Queue{Datagrams: -1, Full: udpserver.Wait},
		Handler: func(context.Context, *udpserver.Datagram) error {
			running <- struct{}{}
			<-goOn
			return nil
		}}
	pc, err := s.ListenPacket(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	control(t, pc.(*net.UDPConn), func(fd int) error { return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 1) })
	c := dial(t, pc.LocalAddr())
	stop := serveOn(t, s, pc)
	send(t, c, "running")
	<-running
	send(t, c, "read, and kept by the loop")
	await(func() bool { return s.Stats().Received == 2 })
	control(t, c, func(fd int) error { return unix.SetsockoptInt(fd, unix.SOL_UDP, unix.UDP_SEGMENT, size) })
	send(t, c, string(make([]byte, size*n)))
	stopped := make(chan error)
	go func() { stopped <- stop() }()
	await(func() bool { return udpserver.Draining(s) })
	close(goOn)
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	if st := ledger(t, s); st.Handled != n+2 || st.KernelDropped > 0 {
		t.Errorf("%d of %d were handled: %+v", st.Handled, n+2, st)
	}
}
