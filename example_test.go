package sockets_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"example.com/sockets"
	"example.com/sockets/client"
	"example.com/sockets/tcpserver"
	"example.com/sockets/udpserver"
)

// The examples keep the servers' logs out of what they print.
var quiet = slog.New(slog.DiscardHandler)

// The textbook's first service, over both transports: the server sends back what it
// got. One errgroup runs both servers; the end of its context stops them.
func Example() {
	ctx, stop := context.WithCancel(context.Background())
	servers, ctx := errgroup.WithContext(ctx)

	tcp := &tcpserver.Server{Logger: quiet, Handler: tcpserver.Respond(
		func(_ context.Context, request []byte) ([]byte, error) { return request, nil })}
	welcome, err := tcp.Listen(ctx, "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	servers.Go(func() error { return tcp.Serve(ctx, welcome) })

	udp := &udpserver.Server{Logger: quiet, Handler: func(_ context.Context, d *udpserver.Datagram) error {
		return d.Reply(d.Data)
	}}
	socket, err := udp.ListenPacket(ctx, "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	servers.Go(func() error { return udp.Serve(ctx, socket) })

	conn, err := client.DialTCP(ctx, welcome.Addr().String())
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	reply, err := conn.Call(ctx, []byte("over a connection"))
	fmt.Printf("%s, %v\n", reply, err)

	datagrams, err := client.DialUDP(ctx, socket.LocalAddr().String())
	if err != nil {
		log.Fatal(err)
	}
	defer datagrams.Close()
	reply, err = datagrams.Call(ctx, []byte("in a datagram"))
	fmt.Printf("%s, %v\n", reply, err)

	stop()
	fmt.Println("stopped:", servers.Wait())
	// Output:
	// over a connection, <nil>
	// in a datagram, <nil>
	// stopped: <nil>
}

// A program that serves until Ctrl-C. A request that is under way is answered
// before Serve returns; idle connections do not delay it. The second signal, after
// stop, ends the process as if nobody caught it.
func Example_signal() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	context.AfterFunc(ctx, stop)

	working := make(chan struct{})
	slow := func(_ context.Context, c *sockets.Conn) error {
		request, err := c.ReadMessage()
		if err != nil {
			return err
		}
		close(working)
		<-c.Draining() // the stop begins in the middle of the work
		return c.WriteMessage(append(request, " is done"...))
	}
	server := &tcpserver.Server{Logger: quiet, Handler: slow, Timeouts: tcpserver.Timeouts{Grace: 10 * time.Second}}
	ln, err := server.Listen(ctx, "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	served := make(chan error)
	go func() { served <- server.Serve(ctx, ln) }()

	conn, err := client.DialTCP(ctx, ln.Addr().String())
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	go func() { // somebody presses Ctrl-C
		<-working
		if self, err := os.FindProcess(os.Getpid()); err != nil || self.Signal(os.Interrupt) != nil {
			stop()
		}
	}()
	reply, err := conn.Call(context.Background(), []byte("the work"))
	fmt.Printf("%s, %v\n", reply, err)
	fmt.Println("stopped:", <-served)
	// Output:
	// the work is done, <nil>
	// stopped: <nil>
}

// A protocol of lines: a client sends numbers, "sum" asks for their sum, and "quit"
// ends the dialogue. The loop ends by itself when the client is gone or the server
// stops.
func Example_lines() {
	adder := func(_ context.Context, c *sockets.Conn) error {
		sum := 0
		for line, err := range c.Messages() {
			if err != nil {
				return err
			}
			switch word := strings.TrimSpace(string(line)); word {
			case "sum":
				err = c.WriteMessage(strconv.AppendInt(nil, int64(sum), 10))
			case "quit":
				return c.WriteMessage([]byte("bye"))
			default:
				n, parse := strconv.Atoi(word)
				if parse != nil {
					err = c.WriteMessage([]byte("not a number: " + strconv.Quote(word)))
				}
				sum += n
			}
			if err != nil {
				return err
			}
		}
		return nil
	}

	ctx, stop := context.WithCancel(context.Background())
	server := &tcpserver.Server{Logger: quiet, Handler: adder}
	ln, err := server.Listen(ctx, "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	served := make(chan error)
	go func() { served <- server.Serve(ctx, ln) }()

	conn, err := client.DialTCP(ctx, ln.Addr().String())
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	for _, line := range []string{"1", "2", "three", "39", "sum", "quit"} {
		if err := conn.WriteMessage([]byte(line)); err != nil {
			log.Fatal(err)
		}
	}
	for line, err := range conn.Messages() {
		fmt.Printf("%s %v\n", line, err)
	}

	stop()
	fmt.Println("stopped:", <-served)
	// Output:
	// not a number: "three" <nil>
	// 42 <nil>
	// bye <nil>
	// stopped: <nil>
}

// A call over UDP. The server never answers the first datagram, as if the network
// had lost it; the client sends it again. What can't be answered ends with an error
// that says what happened.
func Example_udpCall() {
	ctx, stop := context.WithCancel(context.Background())
	lost := false
	server := &udpserver.Server{Logger: quiet, MaxHandlers: 1, Handler: func(_ context.Context, d *udpserver.Datagram) error {
		if !lost {
			lost = true
			return nil
		}
		return d.Reply(bytes.ToUpper(d.Data))
	}}
	pc, err := server.ListenPacket(ctx, "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	served := make(chan error)
	go func() { served <- server.Serve(ctx, pc) }()

	dialer := &client.Dialer{Retry: client.Retry{First: 20 * time.Millisecond}}
	udp, err := dialer.DialUDP(ctx, pc.LocalAddr().String())
	if err != nil {
		log.Fatal(err)
	}
	defer udp.Close()
	reply, err := udp.Call(ctx, []byte("hello"))
	fmt.Printf("%s, %v, repeated: %v\n", reply, err, udp.Stats().Repeated > 0)

	stop()
	fmt.Println("stopped:", <-served)

	impatient, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	_, err = udp.Call(impatient, []byte("hello")) // nobody is there any more
	fmt.Println(sockets.IsTimeout(err), errors.Is(err, context.DeadlineExceeded))
	// Output:
	// HELLO, <nil>, repeated: true
	// stopped: <nil>
	// true true
}
