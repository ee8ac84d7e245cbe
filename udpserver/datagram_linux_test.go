package udpserver_test

import (
	"context"
	"net"
	"testing"

	"golang.org/x/sys/unix"

	"example.com/sockets/udpserver"
)

// What the system knows about a datagram reaches the handler, and a Clone.
func TestInterfaceAndECN(t *testing.T) {
	lo, err := net.InterfaceByName("lo")
	if err != nil {
		t.Skip(err)
	}
	for _, e := range []udpserver.Engine{udpserver.EngineSingle, udpserver.EngineBatch, udpserver.EngineTrains} {
		for _, order := range []udpserver.Order{udpserver.Concurrent, udpserver.PerSender} {
			got := make(chan *udpserver.Datagram, 3)
			s := &udpserver.Server{Engine: e, Order: order, ECN: true, Handler: func(_ context.Context, d *udpserver.Datagram) error {
				got <- d.Clone()
				return nil
			}}
			pc, err := s.ListenPacket(t.Context(), "0.0.0.0:0")
			if err != nil {
				t.Fatal(err)
			}
			stop := serveOn(t, s, pc)
			c := dial(t, &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: pc.LocalAddr().(*net.UDPAddr).Port})
			raw, _ := c.SyscallConn()
			raw.Control(func(fd uintptr) { unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_TOS, 3) })
			send(t, c, "first") // when it arrived the system may not have been asked yet
			if d := <-got; d.To.Addr().String() != "127.0.0.1" || d.ECN != 3 {
				t.Errorf("engine %d: first to %v, ECN %d", e, d.To, d.ECN)
			}
			send(t, c, "a", "b", "c") // with PerSender some are queued
			for range 3 {
				if d := <-got; d.Interface != lo.Index || d.ECN != 3 || d.To.Addr().String() != "127.0.0.1" {
					t.Errorf("engine %d: interface %d, ECN %d, to %v", e, d.Interface, d.ECN, d.To)
				}
			}
			if err := stop(); err != nil {
				t.Error(err)
			}
		}
	}
}

// Datagrams that the system has merged are handled and counted each by itself, also
// those that a stop finds.
func TestMergedDatagrams(t *testing.T) {
	for _, order := range []udpserver.Order{udpserver.Concurrent, udpserver.PerSender} {
		for _, stopFirst := range []bool{false, true} {
			s := &udpserver.Server{Handler: echo, Order: order, Queue: udpserver.Queue{Full: udpserver.Wait}}
			pc, err := s.ListenPacket(t.Context(), "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			c := dial(t, pc.LocalAddr())
			raw, _ := c.SyscallConn()
			raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_UDP, unix.UDP_SEGMENT, 10) })
			if err != nil {
				t.Skip("no UDP_SEGMENT: ", err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			train := make([]byte, 1000)
			for i := range train {
				train[i] = byte(i / 10)
			}
			for range 2 {
				send(t, c, string(train))
			}
			if stopFirst {
				cancel()
			}
			served := make(chan error)
			go func() { served <- s.Serve(ctx, pc) }()
			seen := map[byte]int{}
			for range 200 {
				got := receive(t, c)
				if len(got) != 10 {
					t.Fatalf("a reply of %d bytes", len(got))
				}
				seen[got[0]]++
			}
			for i := range byte(100) {
				if seen[i] != 2 {
					t.Errorf("%d replies of datagram %d", seen[i], i)
				}
			}
			cancel()
			if err := <-served; err != nil {
				t.Error(err)
			}
			if st := ledger(t, s); st.Received != 200 || st.Handled != 200 || st.Sent != 200 {
				t.Errorf("%+v", st)
			}
		}
	}
}

// What came before Serve began, when the system had not been asked yet for the
// address that was asked, is answered from that address all the same.
func TestAskedBeforeServe(t *testing.T) {
	for _, e := range []udpserver.Engine{udpserver.EngineSingle, udpserver.EngineTrains} {
		for _, asked := range []net.IP{net.IPv4(127, 0, 0, 9), net.IPv6loopback} {
			s := &udpserver.Server{Engine: e, Order: udpserver.PerSender, Handler: echo}
			pc, err := s.ListenPacket(t.Context(), "[::]:0")
			if err != nil {
				t.Skip(err)
			}
			c := dial(t, &net.UDPAddr{IP: asked, Port: pc.LocalAddr().(*net.UDPAddr).Port})
			send(t, c, "hello", "again")
			stop := serveOn(t, s, pc)
			for _, want := range []string{"hello", "again"} { // a connected socket hears no other address
				if got := receive(t, c); got != want {
					t.Errorf("got %q, want %q", got, want)
				}
			}
			if err := stop(); err != nil {
				t.Error(err)
			}
		}
	}
}
