package sockets_test

import (
	"bytes"
	"context"
	"fmt"
	"log"

	"golang.org/x/sync/errgroup"

	"example.com/sockets"
	"example.com/sockets/client"
	"example.com/sockets/tcpserver"
)

// A TCP relay: it passes every connection on to another server, in both directions
// and to the end of each. What a stop of either server finds idle ends at once.
func ExampleRelay() {
	ctx, stop := context.WithCancel(context.Background())
	servers, ctx := errgroup.WithContext(ctx)
	listen := func(s *tcpserver.Server) string {
		ln, err := s.Listen(ctx, "127.0.0.1:0")
		if err != nil {
			log.Fatal(err)
		}
		servers.Go(func() error { return s.Serve(ctx, ln) })
		return ln.Addr().String()
	}

	behind := listen(&tcpserver.Server{Logger: quiet, Handler: tcpserver.Respond(
		func(_ context.Context, request []byte) ([]byte, error) { return bytes.ToUpper(request), nil })})
	front := listen(&tcpserver.Server{Logger: quiet, Handler: func(ctx context.Context, c *sockets.Conn) error {
		to, err := client.DialTCP(ctx, behind)
		if err != nil {
			return err
		}
		defer to.Close()
		return sockets.Relay(ctx, c, to)
	}})

	conn, err := client.DialTCP(ctx, front)
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	reply, err := conn.Call(ctx, []byte("through the relay"))
	fmt.Printf("%s, %v\n", reply, err)

	stop()
	fmt.Println("stopped:", servers.Wait())
	// Output:
	// THROUGH THE RELAY, <nil>
	// stopped: <nil>
}
