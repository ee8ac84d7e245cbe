// Command tcpserver answers each line with the same in capitals. Try:
//
//	printf 'hello\n' | nc -N 127.0.0.1 12000
package main

import (
	"bytes"
	"context"
	"log"
	"os"
	"os/signal"

	"example.com/sockets/tcpserver"
)

func upper(_ context.Context, request []byte) ([]byte, error) {
	return bytes.ToUpper(request), nil
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	err := tcpserver.ListenAndServe(ctx, "127.0.0.1:12000", tcpserver.Respond(upper))
	if err != nil {
		log.Fatal(err)
	}
}
