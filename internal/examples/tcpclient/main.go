// Command tcpclient sends a line to the tcpserver example and prints the answer.
package main

import (
	"context"
	"fmt"
	"log"

	"example.com/sockets/client"
)

func main() {
	ctx := context.Background()
	conn, err := client.DialTCP(ctx, "127.0.0.1:12000")
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	reply, err := conn.Call(ctx, []byte("hello"))
	fmt.Printf("%s %v\n", reply, err)
}
