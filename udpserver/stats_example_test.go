package udpserver_test

import (
	"context"
	"encoding/json"
	"expvar"
	"fmt"
	"net"

	"example.com/sockets/udpserver"
)

// Stats is plain numbers. expvar.Func makes them a variable that is read when
// somebody asks; expvar.Publish, with a name, would put it on /debug/vars. What was
// received is what was handled and each kind of drop, and what was replied was sent
// or counts as unsent.
func ExampleServer_Stats() {
	s := &udpserver.Server{
		MaxSize: 10,
		Handler: func(_ context.Context, d *udpserver.Datagram) error { return d.Reply(d.Data) },
	}
	live := expvar.Func(func() any { return s.Stats() })

	ctx, stop := context.WithCancel(context.Background())
	defer stop()
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
	fmt.Fprint(client, "this is too long")
	fmt.Fprint(client, "short")
	client.Read(make([]byte, 64))
	stop()
	<-served

	var st struct {
		Received, Handled, Sent, BytesOut uint64
		Dropped                           struct{ Truncated uint64 }
	}
	json.Unmarshal([]byte(live.String()), &st) // as whoever collects them does
	fmt.Printf("%+v\n", st)
	// Output:
	// {Received:2 Handled:1 Sent:1 BytesOut:5 Dropped:{Truncated:1}}
}
