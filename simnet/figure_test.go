package simnet_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/sockets/simnet"
)

// stopAndWait is rdt3.0 of the textbook: the sender sends one packet at a time
// and again after each timeout, the receiver acknowledges what comes. The packets
// carry the alternating bit.
func stopAndWait(net *simnet.Network, packets int, timeout time.Duration) {
	ctx := context.Background()
	receiver, err := net.Host("receiver").ListenPacket(ctx, "udp", ":9000")
	if err != nil {
		panic(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		receive(receiver)
	}()
	sender, err := net.Host("sender").DialContext(ctx, "udp", "receiver:9000")
	if err != nil {
		panic(err)
	}
	for i := range packets {
		send(sender, i%2, timeout)
	}
	time.Sleep(timeout) // what is still under way arrives
	sender.Close()
	receiver.Close()
	<-done
}

func send(c net.Conn, bit int, timeout time.Duration) {
	ack := make([]byte, 10)
	for {
		fmt.Fprintf(c, "pkt%d", bit)
		c.SetReadDeadline(time.Now().Add(timeout))
		for {
			n, err := c.Read(ack)
			if errors.Is(err, os.ErrDeadlineExceeded) {
				break // send it again
			}
			if string(ack[:n]) == fmt.Sprintf("ack%d", bit) {
				return
			}
		}
	}
}

func receive(pc net.PacketConn) {
	b := make([]byte, 10)
	for {
		n, from, err := pc.ReadFrom(b)
		if err != nil {
			return
		}
		fmt.Fprintf(replyTo{pc, from}, "ack%s", b[3:n])
	}
}

// replyTo is an io.Writer that sends datagrams to one address.
type replyTo struct {
	net.PacketConn
	to net.Addr
}

func (r replyTo) Write(b []byte) (int, error) { return r.WriteTo(b, r.to) }

// figure runs the protocol with a script, in virtual time, and prints what the
// textbook prints.
func figure(script simnet.Script) {
	var diagram string
	bubble(func() {
		net := simnet.New(simnet.Options{Script: script, Link: simnet.Link{Latency: 10 * time.Millisecond}})
		stopAndWait(net, 3, 50*time.Millisecond)
		diagram = net.Diagram()
	})
	fmt.Print(diagram)
}

// bubble is synctest.Test for examples, which have no testing.T. What a verbose
// run says about the inner test must not get into the example's output.
func bubble(f func()) {
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		panic(err)
	}
	defer null.Close()
	defer func(out *os.File) { os.Stdout = out }(os.Stdout)
	os.Stdout = null
	var once sync.Once // whatever -count and -cpu say
	testing.RunTests(func(string, string) (bool, error) { return true, nil }, []testing.InternalTest{{
		Name: "bubble",
		F: func(t *testing.T) {
			once.Do(func() { synctest.Test(t, func(*testing.T) { f() }) })
		},
	}})
}

func Example_noLoss() {
	figure(nil)
	// Output:
	//           sender                                     receiver
	//        0s |--- pkt0 -------------------------------->| 10ms
	//      20ms |<-------------------------------- ack0 ---| 10ms
	//      20ms |--- pkt1 -------------------------------->| 30ms
	//      40ms |<-------------------------------- ack1 ---| 30ms
	//      40ms |--- pkt0 -------------------------------->| 50ms
	//      60ms |<-------------------------------- ack0 ---| 50ms
}

func Example_lostPacket() {
	figure(simnet.Script{simnet.Drop(2).From("sender")})
	// Output:
	//           sender                                     receiver
	//        0s |--- pkt0 -------------------------------->| 10ms
	//      20ms |<-------------------------------- ack0 ---| 10ms
	//      20ms |--- pkt1 ----------------X                |           Drop(2)
	//      70ms |--- pkt1 -------------------------------->| 80ms      retry 1
	//      90ms |<-------------------------------- ack1 ---| 80ms
	//      90ms |--- pkt0 -------------------------------->| 100ms
	//     110ms |<-------------------------------- ack0 ---| 100ms
}

func Example_lostAcknowledgement() {
	figure(simnet.Script{simnet.Drop(2).From("receiver")})
	// Output:
	//           sender                                     receiver
	//        0s |--- pkt0 -------------------------------->| 10ms
	//      20ms |<-------------------------------- ack0 ---| 10ms
	//      20ms |--- pkt1 -------------------------------->| 30ms
	//           |                X---------------- ack1 ---| 30ms      Drop(2)
	//      70ms |--- pkt1 -------------------------------->| 80ms      retry 1
	//      90ms |<-------------------------------- ack1 ---| 80ms      retry 1
	//      90ms |--- pkt0 -------------------------------->| 100ms
	//     110ms |<-------------------------------- ack0 ---| 100ms
}

func Example_prematureTimeout() {
	figure(simnet.Script{simnet.Delay(2, 45*time.Millisecond).From("receiver")})
	// Output:
	//           sender                                     receiver
	//        0s |--- pkt0 -------------------------------->| 10ms
	//      20ms |<-------------------------------- ack0 ---| 10ms
	//      20ms |--- pkt1 -------------------------------->| 30ms
	//           |                - - - - - - - - - ack1 ---| 30ms      Delay(2, 45ms)
	//      70ms |--- pkt1 -------------------------------->| 80ms      retry 1
	//           |                - - - - - - - - - ack1 ---| 80ms
	//      85ms |<-- ack1 - - - - - - - - -                |
	//      85ms |--- pkt0 - - - - - - - - -                |
	//      90ms |<-- ack1 - - - - - - - - -                |
	//           |                - - - - - - - - - pkt0 -->| 95ms
	//     105ms |<-------------------------------- ack0 ---| 95ms
}
