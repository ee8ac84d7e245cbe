package simnet_test

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"example.com/sockets/simnet"
)

// studentSend is what a student handed in: stop-and-wait that takes any
// acknowledgement for the one it waits for.
func studentSend(c net.Conn, letters []string) error {
	for i, letter := range letters {
		for acked := false; !acked; {
			fmt.Fprintf(c, "%d %s", i%2, letter)
			c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
			_, err := c.Read(make([]byte, 16))
			acked = err == nil
		}
	}
	return nil
}

// grade runs a hand-in on a network with a script for at most so long, in virtual
// time. It returns what the receiver understood and the diagram of the run.
func grade(send func(net.Conn, []string) error, letters []string, script simnet.Script, limit time.Duration) (got []string, diagram string) {
	bubble(func() {
		n := simnet.New(simnet.Options{Script: script, Link: simnet.Link{Latency: 10 * time.Millisecond}})
		pc, _ := n.Host("receiver").ListenPacket(context.Background(), "udp", ":9000")
		c, _ := n.Host("sender").DialContext(context.Background(), "udp", "receiver:9000")
		time.AfterFunc(limit, func() { pc.Close() })
		done := make(chan error, 1)
		go func() { done <- send(c, letters) }()
		for b := make([]byte, 16); ; {
			k, from, err := pc.ReadFrom(b)
			if err != nil {
				break
			}
			bit, letter, _ := strings.Cut(string(b[:k]), " ")
			if bit == fmt.Sprint(len(got)%2) {
				got = append(got, letter)
			}
			pc.WriteTo([]byte("ack "+bit), from)
		}
		c.Close()
		<-done
		diagram = n.Diagram()
	})
	return got, diagram
}

// A grader names scenarios, gives each a time limit, and shows the run in which
// the hand-in failed. The student's id makes the last network this student's own.
func Example_grading() {
	letters := []string{"a", "b", "c"}
	for _, s := range []struct {
		name   string
		limit  time.Duration
		script simnet.Script
	}{
		{"no loss", 100 * time.Millisecond, nil},
		{"first packet lost", 150 * time.Millisecond, simnet.Script{simnet.Drop(1).From("sender")}},
		{"late acknowledgement", 250 * time.Millisecond, simnet.Script{simnet.Delay(1, 35*time.Millisecond).From("receiver"), simnet.Drop(3).From("sender")}},
		{"a bad day", 10 * time.Second, simnet.Script{simnet.Random(simnet.Seed("id 301234567"), simnet.Odds{Drop: 0.3})}},
	} {
		got, diagram := grade(studentSend, letters, s.script, s.limit)
		if slices.Equal(got, letters) {
			fmt.Printf("pass  %s\n", s.name)
			continue
		}
		fmt.Printf("FAIL  %s: the receiver got %v\n%s", s.name, got, diagram)
	}
	// Output:
	// pass  no loss
	// pass  first packet lost
	// FAIL  late acknowledgement: the receiver got [a]
	//           sender                                     receiver
	//        0s |--- 0 a --------------------------------->| 10ms
	//           |                 - - - - - - - - ack 0 ---| 10ms      Delay(1, 35ms)
	//      50ms |--- 0 a - - - - - - - - -                 |           retry 1
	//      55ms |<-- ack 0 - - - - - - - -                 |
	//      55ms |--- 1 b -----------------X                |           Drop(3)
	//           |                 - - - - - - - - - 0 a -->| 60ms
	//      70ms |<------------------------------- ack 0 ---| 60ms
	//      70ms |--- 0 c --------------------------------->| 80ms
	//      90ms |<------------------------------- ack 0 ---| 80ms
	// pass  a bad day
}
