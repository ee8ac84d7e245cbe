package udpserver_test

import (
	"context"
	"fmt"
	"net"
	"slices"

	"example.com/sockets/addr"
	"example.com/sockets/udpserver"
)

// Who is there? A question to a group is heard by all its members, as in mDNS or SSDP,
// and each answers from its own address. So who asks collects with a Server: a
// connected socket, which a client.UDP has, would hear none of them.
func ExampleMulticast() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	here := udpserver.Multicast{Interfaces: []string{loopbackName()}} // the zero value on a network

	// Two members, at one port.
	member := func(name, address string) net.PacketConn {
		s := &udpserver.Server{Multicast: here, Handler: func(_ context.Context, d *udpserver.Datagram) error {
			return d.Reply([]byte(name)) // from this host's own address
		}}
		pc, err := s.ListenPacket(ctx, address)
		if err != nil {
			panic(err)
		}
		go s.Serve(ctx, pc)
		return pc
	}
	first := member("printer", "239.255.80.1:0")
	_, port, _ := net.SplitHostPort(first.LocalAddr().String())
	group := net.JoinHostPort("239.255.80.1", port)
	member("lamp", group)

	// The question leaves from an ordinary socket, before Serve reads the answers
	// until ctx ends: here, when both have come, in general after a while.
	var found []string
	s := &udpserver.Server{Multicast: here, MaxHandlers: 1} // so found needs no lock
	s.Handler = func(_ context.Context, d *udpserver.Datagram) error {
		if found = append(found, string(d.Data)); len(found) == 2 {
			stop()
		}
		return nil
	}
	pc, err := s.ListenPacket(ctx, ":0")
	if err != nil {
		fmt.Println(err)
		return
	}
	to := net.UDPAddrFromAddrPort(addr.MustParse(addr.UDP, group).AddrPort())
	if _, err := pc.WriteTo([]byte("who is there?"), to); err != nil {
		fmt.Println(err)
	}
	err = s.Serve(ctx, pc)
	slices.Sort(found)
	fmt.Println(found, err)
	// Output: [lamp printer] <nil>
}

// loopbackName is the name of the interface on which nothing leaves this host.
func loopbackName() string {
	all, _ := net.Interfaces()
	for _, i := range all {
		if i.Flags&net.FlagLoopback != 0 {
			return i.Name
		}
	}
	return "lo"
}
