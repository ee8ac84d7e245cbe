// Command udpclient sends a datagram to the udpserver example, again until it is
// answered, and prints the answer.
package main

import (
	"context"
	"fmt"
	"log"

	"example.com/sockets/client"
)

func main() {
	ctx := context.Background()
	udp, err := client.DialUDP(ctx, "127.0.0.1:12000")
	if err != nil {
		log.Fatal(err)
	}
	defer udp.Close()
	reply, err := udp.Call(ctx, []byte("hello"))
	fmt.Printf("%s %v\n", reply, err)
}
