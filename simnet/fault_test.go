package simnet_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"example.com/sockets/simnet"
)

const latency = 10 * time.Millisecond

// udpPair is a connected client on a and a server socket on b.
func udpPair(t *testing.T, n *simnet.Network) (client *simnet.PacketConn, server net.PacketConn) {
	t.Helper()
	server, err := n.Host("b").ListenPacket(t.Context(), "udp", ":9000")
	if err != nil {
		t.Fatal(err)
	}
	c, err := n.Host("a").DialContext(t.Context(), "udp", "b:9000")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); server.Close() })
	return c.(*simnet.PacketConn), server
}

// tcpPair is an established connection from a to b.
func tcpPair(t *testing.T, n *simnet.Network) (client, server *simnet.Conn) {
	t.Helper()
	ln, err := n.Host("b").Listen(t.Context(), "tcp", ":9000")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	c, err := n.Host("a").DialContext(t.Context(), "tcp", "b:9000")
	if err != nil {
		t.Fatal(err)
	}
	s, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); s.Close() })
	return c.(*simnet.Conn), s.(*simnet.Conn)
}

// TestDatagramFaults sends the datagrams 1 to 8, one each millisecond, and lists
// what arrives and when.
func TestDatagramFaults(t *testing.T) {
	odd := func(p simnet.Packet) bool { return p.N%2 == 1 && string(p.Data) == fmt.Sprint(p.N) }
	for _, c := range []struct {
		name   string
		script simnet.Script
		want   string
	}{
		{"none", nil, "1@10 2@11 3@12 4@13 5@14 6@15 7@16 8@17"},
		{"Drop", simnet.Script{simnet.Drop(3)}, "1@10 2@11 4@13 5@14 6@15 7@16 8@17"},
		{"Drop several", simnet.Script{simnet.Drop(1, 2, 8)}, "3@12 4@13 5@14 6@15 7@16"},
		{"DropEvery", simnet.Script{simnet.DropEvery(3)}, "1@10 2@11 4@13 5@14 7@16 8@17"},
		{"DropEvery 0", simnet.Script{simnet.DropEvery(0)}, "1@10 2@11 3@12 4@13 5@14 6@15 7@16 8@17"},
		{"DropIf", simnet.Script{simnet.DropIf(odd)}, "2@11 4@13 6@15 8@17"},
		{"Duplicate", simnet.Script{simnet.Duplicate(2)}, "1@10 2@11 2@11 3@12 4@13 5@14 6@15 7@16 8@17"},
		{"Delay", simnet.Script{simnet.Delay(4, 30*time.Millisecond)}, "1@10 2@11 3@12 5@14 6@15 7@16 8@17 4@43"},
		{"Swap", simnet.Script{simnet.Swap(5, 6)}, "1@10 2@11 3@12 4@13 6@15 5@15 7@16 8@17"},
		{"Swap far", simnet.Script{simnet.Swap(5, 8)}, "1@10 2@11 3@12 4@13 6@15 7@16 8@17 5@17"},
		{"Swap with one that is lost", simnet.Script{simnet.Swap(5, 6), simnet.Drop(6)}, "1@10 2@11 3@12 4@13 5@15 7@16 8@17"},
		{"Swap with none", simnet.Script{simnet.Swap(5, 9)}, "1@10 2@11 3@12 4@13 6@15 7@16 8@17"},
		{"Truncate", simnet.Script{simnet.Truncate(7, 0)}, "1@10 2@11 3@12 4@13 5@14 6@15 @16 8@17"},
		{"From others", simnet.Script{simnet.Drop(1).From("b"), simnet.Drop(2).To("a"), simnet.Drop(3).On("tcp")}, "1@10 2@11 3@12 4@13 5@14 6@15 7@16 8@17"},
		{"From a", simnet.Script{simnet.Drop(1).From("a"), simnet.Drop(2).To("b"), simnet.Drop(3).On("udp")}, "4@13 5@14 6@15 7@16 8@17"},
		{"two faults of one packet", simnet.Script{simnet.Duplicate(1), simnet.Delay(1, time.Millisecond)}, "1@10 1@11 2@11 3@12 4@13 5@14 6@15 7@16 8@17"},
	} {
		t.Run(strings.ReplaceAll(c.name, " ", "_"), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := simnet.New(simnet.Options{Script: c.script, Link: simnet.Link{Latency: latency}})
				client, server := udpPair(t, n)
				start := time.Now()
				go func() {
					for i := range 8 {
						fmt.Fprint(client, i+1)
						time.Sleep(time.Millisecond)
					}
				}()
				var got []string
				server.SetReadDeadline(start.Add(time.Second))
				for b := make([]byte, 10); ; {
					k, _, err := server.ReadFrom(b)
					if err != nil {
						break
					}
					got = append(got, fmt.Sprintf("%s@%d", b[:k], time.Since(start).Milliseconds()))
				}
				if strings.Join(got, " ") != c.want {
					t.Errorf("got  %v\nwant %v\n%s", got, c.want, n.Trace())
				}
			})
		})
	}
}

func TestCorruptFlipsOneBit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := udpPair(t, simnet.New(simnet.Options{Script: simnet.Script{simnet.Corrupt(1), simnet.Corrupt(2)}}))
		sent := []byte("payload")
		client.Write(sent)
		client.Write(nil) // has no bit to flip, so it is lost
		b := make([]byte, 10)
		n, _, err := server.ReadFrom(b)
		if err != nil || n != len(sent) {
			t.Fatal(n, err)
		}
		flipped := 0
		for i := range sent {
			flipped += bits.OnesCount8(sent[i] ^ b[i])
		}
		if flipped != 1 || string(sent) != "payload" {
			t.Errorf("%d bits differ in %q, the sender's copy is %q", flipped, b[:n], sent)
		}
		server.SetReadDeadline(time.Now().Add(time.Second))
		if _, _, err := server.ReadFrom(b); err == nil {
			t.Error("the empty datagram came")
		}
	})
}

// TestStreamFaults: TCP repairs everything, in the time that takes.
func TestStreamFaults(t *testing.T) {
	const retry = 220 * time.Millisecond // 200 ms and a round trip
	for _, c := range []struct {
		name   string
		script simnet.Script
		want   time.Duration
	}{
		{"none", nil, latency},
		{"Drop", simnet.Script{simnet.Drop(2)}, latency + retry},
		{"Drop the retry too", simnet.Script{simnet.Drop(2, 4)}, latency + retry + 2*retry}, // packet 3 is the FIN
		{"Corrupt", simnet.Script{simnet.Corrupt(2)}, latency + retry},
		{"Truncate", simnet.Script{simnet.Truncate(2, 1)}, latency + retry},
		{"Duplicate", simnet.Script{simnet.Duplicate(2)}, latency},
		{"Delay", simnet.Script{simnet.Delay(2, 100*time.Millisecond)}, latency + 100*time.Millisecond},
		{"Swap", simnet.Script{simnet.Swap(2, 3)}, latency},
		{"Swap with none", simnet.Script{simnet.Swap(3, 5)}, latency + retry},
	} {
		t.Run(strings.ReplaceAll(c.name, " ", "_"), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				for i := range c.script {
					c.script[i] = c.script[i].From("a") // packet 1 is the SYN
				}
				n := simnet.New(simnet.Options{Script: c.script, Link: simnet.Link{Latency: latency}})
				client, server := tcpPair(t, n)
				time.Sleep(time.Second)
				start := time.Now()
				client.Write([]byte("hello"))
				client.Close()
				got, err := io.ReadAll(server)
				if string(got) != "hello" || err != nil || time.Since(start) != c.want {
					t.Errorf("%q, %v after %v, want it after %v\n%s", got, err, time.Since(start), c.want, n.Trace())
				}
			})
		})
	}
}

// TestHandshakeLosses: each lost SYN costs its timeout, doubled every time.
func TestHandshakeLosses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := simnet.New(simnet.Options{
			Script: simnet.Script{simnet.Drop(1, 2).From("a"), simnet.Drop(1).From("b")},
			Link:   simnet.Link{Latency: latency},
		})
		start := time.Now()
		tcpPair(t, n)
		if want := 3*time.Second + time.Second + 3*latency; time.Since(start) != want {
			t.Errorf("the connection took %v, want %v\n%s", time.Since(start), want, n.Trace())
		}
	})
}

func TestResetAtByte(t *testing.T) {
	for _, at := range []int{0, 1, 999, 1000, 1001, 1999} {
		synctest.Test(t, func(t *testing.T) {
			n := simnet.New(simnet.Options{Script: simnet.Script{simnet.Reset(at).From("a")}, Link: simnet.Link{Latency: latency}})
			client, server := tcpPair(t, n)
			client.Write(make([]byte, 1000))
			client.Write(make([]byte, 1000))
			got, err := io.ReadAll(server)
			if len(got) != at || !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("Reset(%d): %d bytes, then %v", at, len(got), err)
			}
			if _, err := client.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("Reset(%d): the sender gets %v", at, err)
			}
			client, server = tcpPair(t, n)
			client.Write(make([]byte, 5000))
			client.Close()
			if got, err := io.ReadAll(server); len(got) != 5000 || err != nil {
				t.Errorf("Reset(%d) again: %d bytes, %v", at, len(got), err)
			}
		})
	}
}

func TestPartition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := simnet.New(simnet.Options{Link: simnet.Link{Latency: latency}})
		client, server := tcpPair(t, n)
		n.Partition("a", "b")
		start := time.Now()
		client.Write([]byte("late"))
		time.AfterFunc(time.Second, func() { n.Heal("b", "a") })
		b := make([]byte, 10)
		k, err := server.Read(b)
		// Tries at 0, 220, 660 and 1540 ms.
		if want := 1540*time.Millisecond + latency; string(b[:k]) != "late" || err != nil || time.Since(start) != want {
			t.Errorf("%q, %v after %v, want it after %v", b[:k], err, time.Since(start), want)
		}
		n.Partition("a", "b")
		start = time.Now()
		client.Write([]byte("lost"))
		if _, err := client.Read(b); !errors.Is(err, syscall.ETIMEDOUT) {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
		if d := time.Since(start); d < 13*time.Minute || d > 30*time.Minute { // RFC 1122, 4.2.3.5: at least 100 s
			t.Errorf("gave up after %v", d)
		}
		start = time.Now()
		_, err = n.Host("a").DialContext(context.Background(), "tcp", "b:1")
		if !errors.Is(err, syscall.ETIMEDOUT) || time.Since(start) != 127*time.Second {
			t.Errorf("dial: %v after %v", err, time.Since(start))
		}
	})
}

// TestPartitionTellsNobody: a RST and a datagram are lost for good, and a sender of
// datagrams hears nothing of a closed port.
func TestPartitionTellsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := simnet.New(simnet.Options{Link: simnet.Link{Latency: latency}})
		stream, peer := tcpPair(t, n)
		client, server := udpPair(t, n)
		time.Sleep(time.Second)
		server.Close()
		client.Write([]byte("x"))
		time.Sleep(latency / 2)
		n.Partition("a", "b")
		peer.SetLinger(0)
		peer.Close()
		client.Write([]byte("x"))
		deadline := time.Now().Add(time.Second)
		for _, c := range []net.Conn{stream, client} {
			c.SetReadDeadline(deadline)
			if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error(err)
			}
		}
		n.Heal("a", "b")
		stream.SetReadDeadline(time.Time{})
		stream.Write([]byte("x")) // provokes another RST
		if _, err := stream.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Error(err)
		}
	})
}

// TestRandom: the odds hold, one seed gives one network, and another another.
func TestRandom(t *testing.T) {
	run := func(seed uint64) (delivered int, trace string) {
		synctest.Test(t, func(t *testing.T) {
			odds := simnet.Odds{Drop: 0.3, Duplicate: 0.1, Corrupt: 0.1, Delay: 0.2, MaxDelay: latency}
			n := simnet.New(simnet.Options{Script: simnet.Script{simnet.Random(seed, odds)}, Datagrams: -1, Link: simnet.Link{Latency: latency}})
			client, _ := udpPair(t, n)
			for range 2000 {
				client.Write([]byte("x"))
			}
			time.Sleep(time.Second)
			for _, e := range n.Trace().Events {
				if e.Fate == simnet.Delivered {
					delivered++
				}
			}
			trace = n.Trace().String()
		})
		return delivered, trace
	}
	delivered, trace := run(simnet.Seed("student 301234567"))
	if want := 2000 * 0.7 * 1.1; float64(delivered) < 0.95*want || float64(delivered) > 1.05*want {
		t.Errorf("%d of 2000 delivered, want about %v", delivered, want)
	}
	if _, again := run(simnet.Seed("student 301234567")); again != trace {
		t.Error("the same seed gave another trace")
	}
	if _, other := run(simnet.Seed("student 301234568")); other == trace {
		t.Error("another seed gave the same trace")
	}
}
