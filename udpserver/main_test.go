package udpserver_test

import (
	"context"
	"log/slog"
	"net"
	"runtime"
	"testing"
	"time"

	"go.uber.org/goleak"

	"example.com/sockets/udpserver"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve starts s on a loopback socket, and returns its address and a function
// that stops it and returns what Serve did. The test fails if Serve hangs.
func serve(t *testing.T, s *udpserver.Server) (net.Addr, func() error) {
	t.Helper()
	pc, err := s.ListenPacket(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return pc.LocalAddr(), serveOn(t, s, pc)
}

func serveOn(t *testing.T, s *udpserver.Server, pc net.PacketConn) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx, pc) }()
	stopped := false
	stop = func() error {
		stopped = true
		cancel()
		select {
		case err := <-served:
			return err
		case <-time.After(20 * time.Second):
			t.Fatal("Serve does not return")
			return nil
		}
	}
	t.Cleanup(func() {
		if !stopped {
			if err := stop(); err != nil {
				t.Errorf("Serve: %v", err)
			}
		}
	})
	return stop
}

// dial returns a client's socket that is closed with the test.
func dial(t *testing.T, to net.Addr) *net.UDPConn {
	t.Helper()
	c, err := net.DialUDP("udp", nil, to.(*net.UDPAddr))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(10 * time.Second))
	return c
}

func send(t *testing.T, c net.Conn, messages ...string) {
	t.Helper()
	for _, m := range messages {
		if _, err := c.Write([]byte(m)); err != nil {
			t.Fatal(err)
		}
	}
}

// receive returns the next datagram.
func receive(t *testing.T, c net.Conn) string {
	t.Helper()
	buf := make([]byte, 65536)
	n, err := c.Read(buf)
	if err != nil {
		t.Fatalf("no reply: %v", err)
	}
	return string(buf[:n])
}

func echo(_ context.Context, d *udpserver.Datagram) error { return d.Reply(d.Data) }

// ledger fails the test unless what was received is what was handled and what
// was dropped.
func ledger(t *testing.T, s *udpserver.Server) udpserver.Stats {
	t.Helper()
	st := s.Stats()
	if st.Received != st.Handled+st.Dropped.Total() {
		t.Errorf("received %d, handled %d + dropped %d: %+v", st.Received, st.Handled, st.Dropped.Total(), st)
	}
	if st.Running != 0 {
		t.Errorf("running %d after Serve has returned", st.Running)
	}
	return st
}

// await waits for what the system or another goroutine does about now.
func await(happened func() bool) {
	for !happened() {
		runtime.Gosched()
	}
}

var quiet = slog.New(slog.DiscardHandler)
