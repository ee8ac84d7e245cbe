package udpserver_test

import (
	"context"
	"fmt"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"example.com/sockets/addr"
	"example.com/sockets/udpserver"
)

// On a socket bound to every address a datagram says which one was asked, and its reply
// comes from there; to a broadcast or a multicast from the host's own address.
func TestRepliesComeFromWhereTheyWereAsked(t *testing.T) {
	for name, e := range engineNames {
		for _, local := range []string{"0.0.0.0:0", "[::]:0"} {
			for asked, want := range map[string]string{
				"127.0.0.1": "127.0.0.1", "127.0.0.9": "127.0.0.9", "127.255.255.255": "127.0.0.1", "239.1.2.3": "127.0.0.1",
			} {
				t.Run(fmt.Sprintf("%s, %s, %s", name, local, asked), func(t *testing.T) {
					testArrival(t, e, local, asked, want)
				})
			}
		}
	}
}

func testArrival(t *testing.T, e udpserver.Engine, local, asked, want string) {
	to := make(chan addr.Endpoint, 3)
	s := &udpserver.Server{Engine: e, Handler: func(_ context.Context, d *udpserver.Datagram) error {
		to <- d.To
		return d.Reply(d.Data)
	}}
	pc, err := s.ListenPacket(t.Context(), local)
	if err != nil {
		t.Skip(err)
	}
	port := pc.LocalAddr().(*net.UDPAddr).Port
	client, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	onLoopback(t, pc.(*net.UDPConn), client, net.ParseIP(asked))
	for range 3 { // before anything is read, so that they come together
		if _, err := client.WriteTo([]byte("hello"), &net.UDPAddr{IP: net.ParseIP(asked), Port: port}); err != nil {
			pc.Close()
			t.Skip(err)
		}
	}
	stop := serveOn(t, s, pc)
	client.SetReadDeadline(time.Now().Add(10 * time.Second))
	for range 3 {
		_, from, err := client.ReadFrom(make([]byte, 9))
		if err != nil || from.String() != fmt.Sprintf("%s:%d", want, port) {
			t.Errorf("the reply comes from %v, %v; want %s", from, err, want)
		}
		if got := <-to; got.Addr().String() != asked {
			t.Errorf("asked %v, want %s", got, asked)
		}
	}
	if err := stop(); err != nil {
		t.Errorf("Serve: %v", err)
	}
	if st := ledger(t, s); st.Sent != 3 || st.Unsent.Total() > 0 {
		t.Errorf("stats %+v", st)
	}
}

// onLoopback lets the client send to every kind of address through the loopback
// interface, and the server receive it there.
func onLoopback(t *testing.T, server, client *net.UDPConn, asked net.IP) {
	t.Helper()
	lo, err := net.InterfaceByName("lo")
	if err != nil {
		t.Skip(err)
	}
	m := &unix.IPMreqn{Multiaddr: [4]byte(asked.To4()), Ifindex: int32(lo.Index)}
	if asked.IsMulticast() {
		control(t, server, func(fd int) error { return unix.SetsockoptIPMreqn(fd, unix.IPPROTO_IP, unix.IP_ADD_MEMBERSHIP, m) })
	}
	control(t, client, func(fd int) error { return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_BROADCAST, 1) })
	control(t, client, func(fd int) error {
		return unix.SetsockoptIPMreqn(fd, unix.IPPROTO_IP, unix.IP_MULTICAST_IF, &unix.IPMreqn{Ifindex: int32(lo.Index)})
	})
}

func control(t *testing.T, c *net.UDPConn, set func(fd int) error) {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if raw.Control(func(fd uintptr) { err = set(int(fd)) }); err != nil {
		t.Skip(err)
	}
}
