package udpserver_test

import (
	"context"
	"fmt"
	"net"
	"sync"

	"example.com/sockets/udpserver"
)

// The datagrams of one sender are handled one after the other, as they came, and
// those of different senders at the same time. What has to wait is bounded: here
// what is old is dropped for what is new, as for measurements.
func ExampleOrder() {
	var mu sync.Mutex
	last := make(map[string]string) // by sender
	s := &udpserver.Server{
		Order: udpserver.PerSender,
		Queue: udpserver.Queue{Datagrams: 8 * 100, Full: udpserver.DropOldest}, // 100 of one sender
		Handler: func(_ context.Context, d *udpserver.Datagram) error {
			// While this runs the next of the same sender waits, and nobody else.
			mu.Lock()
			defer mu.Unlock()
			last[d.From.String()] = string(d.Data)
			return nil
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

	for range 2 {
		client, err := net.Dial("udp", pc.LocalAddr().String())
		if err != nil {
			fmt.Println(err)
			return
		}
		defer client.Close()
		for i := range 20 {
			fmt.Fprint(client, "position ", i)
		}
	}

	stop() // what has come is still handled
	fmt.Println("stopped:", <-served)
	for _, position := range last {
		fmt.Println(position)
	}
	// Output:
	// stopped: <nil>
	// position 19
	// position 19
}
