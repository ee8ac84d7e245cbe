package udpserver_test

import (
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"example.com/sockets/addr"
	"example.com/sockets/udpserver"
)

// A datagram that is dropped leaves no trace in those that come later: each handler
// gets the bytes of its own.
func TestAfterADrop(t *testing.T) {
	for _, e := range []udpserver.Engine{udpserver.EngineSingle, udpserver.EngineBatch, udpserver.EngineTrains} {
		s := &udpserver.Server{Handler: echo, MaxSize: 10, Engine: e}
		pc, err := s.ListenPacket(t.Context(), "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		c := dial(t, pc.LocalAddr())
		send(t, c, "this is too long", "second", "third") // one batch, if there are any
		stop := serveOn(t, s, pc)
		want := map[string]bool{"second": true, "third": true} // in any order
		for len(want) > 0 {
			got := receive(t, c)
			if !want[got] {
				t.Fatalf("engine %d: got %q, want one of %v", e, got, want)
			}
			delete(want, got)
		}
		for _, m := range []string{"4th", "the fifth", "6"} {
			if send(t, c, m); receive(t, c) != m {
				t.Errorf("engine %d: %q was answered by another", e, m)
			}
		}
		if err := stop(); err != nil {
			t.Errorf("engine %d: Serve: %v", e, err)
		}
		if st := ledger(t, s); st.Dropped.Truncated != 1 || st.Handled != 5 {
			t.Errorf("engine %d: %+v", e, st)
		}
	}
}

// deaf is a socket whose read heeds no deadline, and returns a datagram when it is
// closed.
type deaf struct {
	net.PacketConn
	reading, closed chan struct{}
	once            sync.Once
	reads           int
}

func (d *deaf) ReadFrom(p []byte) (int, net.Addr, error) {
	if d.reads++; d.reads > 1 {
		return 0, nil, net.ErrClosed
	}
	close(d.reading)
	<-d.closed
	return copy(p, "x"), &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 9}, nil
}

func (d *deaf) SetReadDeadline(time.Time) error { return nil }

func (d *deaf) Close() error {
	d.once.Do(func() { close(d.closed) })
	return d.PacketConn.Close()
}

// What is read when the grace period is over is dropped, counted, and told.
func TestTooLateToBeHandled(t *testing.T) {
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var told atomic.Uint64
	s := &udpserver.Server{
		Handler: echo, Timeouts: udpserver.Timeouts{Grace: -1},
		Trace: &udpserver.Trace{Dropped: func(_ addr.Endpoint, why udpserver.Drop) {
			if why == udpserver.DropStopped {
				told.Add(1)
			}
		}},
	}
	d := &deaf{PacketConn: pc, reading: make(chan struct{}), closed: make(chan struct{})}
	stop := serveOn(t, s, d)
	<-d.reading
	if err := stop(); err != nil {
		t.Errorf("Serve: %v", err)
	}
	if st := ledger(t, s); st.Dropped.Stopped != 1 || told.Load() != 1 {
		t.Errorf("%d dropped, %d told", st.Dropped.Stopped, told.Load())
	}
}
