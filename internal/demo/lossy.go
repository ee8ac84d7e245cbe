package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"example.com/sockets/client"
	"example.com/sockets/simnet"
	"example.com/sockets/udpserver"
)

// lossy runs the same UDP server and client on a network in memory that loses the
// second request, and draws what happened.
func lossy(ctx context.Context) error {
	network := simnet.New(simnet.Options{
		Script: simnet.Script{simnet.Drop(2).From("client")},
		Link:   simnet.Link{Latency: 20 * time.Millisecond},
	})
	server := udpserver.Server{Handler: udpserver.Respond(upper), Logger: slog.New(slog.DiscardHandler)}
	pc, err := network.Host("server").ListenPacket(ctx, "udp", ":12000")
	if err != nil {
		return err
	}
	serving, stop := context.WithCancel(ctx)
	defer stop()
	served := make(chan error, 1)
	go func() { served <- server.Serve(serving, pc) }()

	dialer := client.Dialer{
		DialContext: network.Host("client").DialContext,
		Retry:       client.Retry{First: 200 * time.Millisecond},
	}
	udp, err := dialer.DialUDP(ctx, "10.0.0.1:12000")
	if err != nil {
		return err
	}
	defer func() { _ = udp.Close() }()
	for _, word := range []string{"hello", "again"} {
		if _, err := udp.Call(ctx, []byte(word)); err != nil {
			return err
		}
	}
	stop()
	err = <-served
	fmt.Printf("\nThe same UDP server and client, on a simulated network that loses the second request:\n\n%s", network.Diagram())
	return err
}
