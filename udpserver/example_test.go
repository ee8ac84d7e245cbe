package udpserver_test

import (
	"bytes"
	"context"
	"fmt"
	"net"

	"example.com/sockets/udpserver"
)

// The textbook's uppercase service: each request names its sender, and the reply
// goes there.
func Example() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	s := &udpserver.Server{Handler: func(_ context.Context, d *udpserver.Datagram) error {
		return d.Reply(bytes.ToUpper(d.Data))
	}}
	pc, err := s.ListenPacket(ctx, "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx, pc) }()

	client, err := net.Dial("udp", pc.LocalAddr().String())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()
	fmt.Fprint(client, "hello")
	reply := make([]byte, 64)
	n, _ := client.Read(reply)
	fmt.Printf("%s\n", reply[:n])

	stop()
	fmt.Println("stopped:", <-served)
	fmt.Println("handled:", s.Stats().Handled)
	// Output:
	// HELLO
	// stopped: <nil>
	// handled: 1
}
