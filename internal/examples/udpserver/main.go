// Command udpserver answers each datagram with the same in capitals. Try:
//
//	printf 'hello\n' | nc -u -w1 127.0.0.1 12000
package main

import (
	"bytes"
	"context"
	"log"
	"os"
	"os/signal"

	"example.com/sockets/udpserver"
)

func upper(_ context.Context, d *udpserver.Datagram) error {
	return d.Reply(bytes.ToUpper(d.Data))
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	err := udpserver.ListenAndServe(ctx, "127.0.0.1:12000", upper)
	if err != nil {
		log.Fatal(err)
	}
}
