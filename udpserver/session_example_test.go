package udpserver_test

import (
	"context"
	"fmt"
	"net"

	"example.com/sockets"
	"example.com/sockets/tcpserver"
	"example.com/sockets/udpserver"
)

// One handler for both transports: over TCP a message is a line, over the sessions of
// a UDP socket a datagram.
func ExampleSessions() {
	count := func(_ context.Context, c *sockets.Conn) error {
		n := 0
		for m, err := range c.Messages() {
			if err != nil {
				return err
			}
			n++
			if err := c.WriteMessage(fmt.Appendf(nil, "%s is number %d", m, n)); err != nil {
				return err
			}
		}
		return nil
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()

	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	udp, err := udpserver.Sessions(pc, udpserver.SessionConfig{PerSource: 100})
	if err != nil {
		fmt.Println(err)
		return
	}
	s := &tcpserver.Server{Handler: count}
	served := make(chan error, 2)
	for _, ln := range []net.Listener{tcp, udp} {
		go func() { served <- s.Serve(ctx, ln) }()
	}
	for _, to := range []net.Addr{tcp.Addr(), udp.Addr()} {
		nc, err := net.Dial(to.Network(), to.String())
		if err != nil {
			fmt.Println(err)
			return
		}
		framing := sockets.Lines(0)
		if to.Network() == "udp" {
			framing = sockets.Packets()
		}
		c := sockets.NewConn(nc, framing)
		for _, q := range []string{"hello", "world"} {
			reply, err := c.Call(ctx, []byte(q))
			fmt.Printf("%s: %s %v\n", to.Network(), reply, err)
		}
		c.Close()
	}
	stop()
	fmt.Println("stopped:", <-served, <-served)
	// Output:
	// tcp: hello is number 1 <nil>
	// tcp: world is number 2 <nil>
	// udp: hello is number 1 <nil>
	// udp: world is number 2 <nil>
	// stopped: <nil> <nil>
}
