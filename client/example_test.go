package client_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"sync"
	"time"

	"example.com/sockets"
	"example.com/sockets/client"
)

// A connection that moves lines. Try the same against any server of lines, such
// as one made by: socat -v TCP-LISTEN:12000,fork EXEC:'tr a-z A-Z'
func ExampleDialTCP() {
	ln := serveUpper()
	defer ln.Close()

	ctx := context.Background()
	c, err := client.DialTCP(ctx, ln.Addr().String())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	reply, err := c.Call(ctx, []byte("hello"))
	fmt.Printf("%s %v\n", reply, err)
	// Output: HELLO <nil>
}

// A pool keeps connections for the next call, and dials when one is needed.
func ExamplePool() {
	ln := serveUpper()
	defer ln.Close()

	p := &client.Pool{Address: ln.Addr().String(), Conns: 4}
	defer p.Close()
	ctx := context.Background()
	for _, word := range []string{"one", "two", "three"} {
		reply, err := p.Call(ctx, []byte(word))
		if err != nil {
			fmt.Println(err, sockets.NotSent(err)) // true: it may be repeated, whatever it does
			return
		}
		fmt.Printf("%s ", reply)
	}
	fmt.Println("over", p.Stats().Dialed, "connection")
	// Output: ONE TWO THREE over 1 connection
}

// Requests that do not wait for the replies to earlier ones.
func ExampleDialer_DialPipeline() {
	ln := serveUpper()
	defer ln.Close()

	ctx := context.Background()
	p, err := new(client.Dialer).DialPipeline(ctx, ln.Addr().String(), 0)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer p.Close()
	replies := make([]string, 3)
	var calls sync.WaitGroup
	for i, word := range []string{"one", "two", "three"} {
		calls.Go(func() {
			reply, err := p.Call(ctx, []byte(word))
			replies[i] = fmt.Sprintf("%s %v", reply, err)
		})
	}
	calls.Wait()
	fmt.Printf("%q\n", replies)
	// Output: ["ONE <nil>" "TWO <nil>" "THREE <nil>"]
}

// serveUpper serves lines in upper case until the listener is closed.
func serveUpper() net.Listener {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	go func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				c := sockets.NewConn(nc, nil)
				defer c.Close()
				for line := range c.Messages() {
					c.WriteMessage(bytes.ToUpper(line))
				}
			}()
		}
	}()
	return ln
}

// The server loses the first datagram, and the client sends it again.
func ExampleUDP_Call() {
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer pc.Close()
	go func() {
		buf := make([]byte, 1500)
		pc.ReadFrom(buf) // lost
		n, from, _ := pc.ReadFrom(buf)
		pc.WriteTo(bytes.ToUpper(buf[:n]), from)
	}()

	ctx := context.Background()
	d := client.Dialer{Retry: client.Retry{First: 50 * time.Millisecond}}
	u, err := d.DialUDP(ctx, pc.LocalAddr().String())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer u.Close()
	reply, err := u.Call(ctx, []byte("hello"))
	fmt.Printf("%s %v, sent %d times\n", reply, err, u.Stats().Sent)
	// Output: HELLO <nil>, sent 2 times
}

// The estimate by itself, for a protocol of one's own.
func ExampleRTT() {
	var rtt client.RTT
	fmt.Println("nothing measured:", rtt.Timeout())
	for _, sample := range []time.Duration{100 * time.Millisecond, 140 * time.Millisecond} {
		rtt.Sample(sample, 1)
		fmt.Println(rtt.SampleRTT(), rtt.EstimatedRTT(), rtt.DevRTT(), rtt.Timeout())
	}
	rtt.Backoff()
	fmt.Println("after a timeout:", rtt.Timeout())
	// Output:
	// nothing measured: 1s
	// 100ms 100ms 50ms 300ms
	// 140ms 105ms 47.5ms 295ms
	// after a timeout: 590ms
}
