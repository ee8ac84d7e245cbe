package udpserver_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"runtime"

	"example.com/sockets/udpserver"
)

// Several sockets on one port: the system shares the senders out among them, and
// several cores read. Nothing else changes: one Serve, one sum in Stats, and where a
// system can't do it there is one socket.
func ExampleServer_sockets() {
	s := &udpserver.Server{
		Sockets: runtime.NumCPU(),
		Handler: func(_ context.Context, d *udpserver.Datagram) error {
			return d.Reply(bytes.ToUpper(d.Data))
		},
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	pc, err := s.ListenPacket(ctx, "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx, pc) }()

	for range 3 { // each may get to another socket
		client, err := net.Dial("udp", pc.LocalAddr().String())
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Fprint(client, "hello")
		reply := make([]byte, 64)
		n, _ := client.Read(reply)
		fmt.Printf("%s\n", reply[:n])
		client.Close()
	}

	stop()
	fmt.Println("stopped:", <-served)
	fmt.Println("handled:", s.Stats().Handled)
	// Output:
	// HELLO
	// HELLO
	// HELLO
	// stopped: <nil>
	// handled: 3
}
