package tcpserver_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"expvar"
	"fmt"
	"io"
	"log"
	"net"
	"time"

	"example.com/sockets"
	"example.com/sockets/client"
	"example.com/sockets/tcpserver"
)

// A server that turns away who comes when it is full, and says so: the client reads the
// sentence and then the end of the connection, whatever it sent before.
func ExampleLimits_refusal() {
	server := &tcpserver.Server{
		Logger: quiet,
		Handler: func(_ context.Context, c *sockets.Conn) error {
			_ = c.WriteMessage([]byte("welcome"))
			return c.Await()
		},
		Limits: tcpserver.Limits{Conns: 1, Overload: tcpserver.Reject, Refusal: []byte("full, come back later\n")},
	}
	ctx, stop := context.WithCancel(context.Background())
	ln, err := server.Listen(ctx, "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- server.Serve(ctx, ln) }()

	for range 2 {
		c, err := client.DialTCP(ctx, ln.Addr().String())
		if err != nil {
			log.Fatal(err)
		}
		defer c.Close()
		line, err := c.ReadMessage()
		fmt.Printf("%s, %v\n", line, err)
	}
	stop()
	fmt.Println("stopped:", <-done)
	// Output:
	// welcome, <nil>
	// full, come back later, <nil>
	// stopped: <nil>
}

// The numbers of a server on the debug page of its process. The library imports neither
// expvar nor net/http: a function that returns the Stats is all that expvar needs.
func ExampleServer_Stats_expvar() {
	server := &tcpserver.Server{
		Logger: quiet,
		Handler: tcpserver.Respond(func(_ context.Context, request []byte) ([]byte, error) {
			return bytes.ToUpper(request), nil
		}),
	}
	expvar.Publish("lines", expvar.Func(func() any { return server.Stats() })) // once in a process
	ctx, stop := context.WithCancel(context.Background())
	ln, err := server.Listen(ctx, "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- server.Serve(ctx, ln) }()

	c, err := client.DialTCP(ctx, ln.Addr().String())
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Call(ctx, []byte("hello")); err != nil {
		log.Fatal(err)
	}
	stop()
	<-done

	var numbers map[string]int // as a monitor reads them
	if err := json.Unmarshal([]byte(expvar.Get("lines").String()), &numbers); err != nil {
		log.Fatal(err)
	}
	fmt.Println("accepted", numbers["Accepted"], "served", numbers["Served"], "running", numbers["Running"])
	fmt.Println("read", numbers["Read"], "bytes, written", numbers["Written"])
	// Output:
	// accepted 1 served 1 running 0
	// read 6 bytes, written 6
}

// Time limits: a client that begins a line and does not end it is let go, and the
// handler learns why.
func ExampleTimeouts() {
	server := &tcpserver.Server{
		Logger: quiet,
		Handler: func(_ context.Context, c *sockets.Conn) error {
			_, err := c.ReadMessage()
			fmt.Println("not complete in time:", errors.Is(err, sockets.ErrMessage))
			fmt.Println("to be tried again:", sockets.IsTimeout(err))
			return err
		},
		Timeouts: tcpserver.Timeouts{
			Idle:     5 * time.Minute,        // between two messages
			Message:  100 * time.Millisecond, // from its first byte to its last
			Write:    10 * time.Second,       // in which the peer takes no byte
			Lifetime: 24 * time.Hour,
			MinRate:  100, // bytes per second, once it has begun
		},
	}
	ctx, stop := context.WithCancel(context.Background())
	ln, err := server.Listen(ctx, "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- server.Serve(ctx, ln) }()

	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	fmt.Fprint(c, "half a li")
	_, _ = io.Copy(io.Discard, c) // until the server ends it
	stop()
	<-done
	// Output:
	// not complete in time: true
	// to be tried again: false
}

// A span for each connection: Trace tells when it begins, when the first byte comes and
// how it ends.
func ExampleTrace() {
	server := &tcpserver.Server{
		Logger: quiet,
		Handler: tcpserver.Respond(func(_ context.Context, request []byte) ([]byte, error) {
			return request, nil
		}),
		Trace: &tcpserver.Trace{
			Open:      func(*sockets.Conn) { fmt.Println("open") },
			FirstByte: func(*sockets.Conn) { fmt.Println("first byte") },
			Close:     func(_ *sockets.Conn, err error) { fmt.Println("closed:", err) },
		},
	}
	ctx, stop := context.WithCancel(context.Background())
	ln, err := server.Listen(ctx, "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- server.Serve(ctx, ln) }()

	c, err := client.DialTCP(ctx, ln.Addr().String())
	if err != nil {
		log.Fatal(err)
	}
	if _, err := c.Call(ctx, []byte("hello")); err != nil {
		log.Fatal(err)
	}
	_ = c.Close()
	stop()
	<-done
	// Output:
	// open
	// first byte
	// closed: <nil>
}
