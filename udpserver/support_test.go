package udpserver_test

import (
	"context"
	"net"
	"testing"

	"example.com/sockets/udpserver"
)

// What is said to be supported is there, and nothing else.
func TestSupported(t *testing.T) {
	got := make(chan *udpserver.Datagram, 1)
	s := &udpserver.Server{Sockets: 2, ReadBuffer: 1, ECN: true, Handler: func(_ context.Context, d *udpserver.Datagram) error {
		got <- d.Clone()
		return d.Reply(d.Data)
	}}
	pc, err := s.ListenPacket(t.Context(), ":0")
	if err != nil {
		t.Fatal(err)
	}
	_, one := pc.(*net.UDPConn)
	stop := serveOn(t, s, pc)
	c := dial(t, &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: pc.LocalAddr().(*net.UDPAddr).Port})
	send(t, c, "first")
	<-got // it may have come before the system was asked to tell all
	receive(t, c)
	send(t, c, "hello")
	d := <-got
	is := udpserver.Support{
		Asked: d.To.Addr().IsLoopback() && d.Interface > 0, Sockets: !one, Memory: s.Stats().ReadBuffer > 0,
	}
	want := udpserver.Supported()
	is.ECN, is.Batch = want.ECN, want.Batch // tested with the bits, and with the engines
	is.Members = want.Members               // tested with groups
	if is != want {
		t.Errorf("is %+v, said to be %+v", is, want)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}
