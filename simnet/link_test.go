package simnet_test

import (
	"errors"
	"io"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"example.com/sockets/simnet"
)

// arrivals are when the packets of a trace arrived, -1 for those that did not.
func arrivals(n *simnet.Network) (all []time.Duration) {
	for _, e := range n.Trace().Events {
		if e.Fate == simnet.Delivered {
			all = append(all, e.Arrived)
		} else {
			all = append(all, -1)
		}
	}
	return all
}

func TestBandwidthAndQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// A datagram of 72 bytes is a packet of 100, which takes 100 ms.
		n := simnet.New(simnet.Options{Link: simnet.Link{Latency: latency, Bandwidth: 1000, Queue: 300}})
		client, server := udpPair(t, n)
		for range 4 {
			client.Write(make([]byte, 72))
		}
		time.Sleep(150 * time.Millisecond)
		client.Write(make([]byte, 72))
		for range 4 {
			server.ReadFrom(make([]byte, 100))
		}
		want := []time.Duration{110, 210, 310, -1, 410}
		for i, got := range arrivals(n) {
			if got != want[i]*time.Millisecond && (got != -1 || want[i] != -1) {
				t.Errorf("packet %d arrived at %v, want %d ms\n%s", i+1, got, want[i], n.Trace())
			}
		}
	})
}

// TestJitter stays in its bounds, differs from packet to packet and does not
// reorder.
func TestJitter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := simnet.New(simnet.Options{Datagrams: -1, Link: simnet.Link{Latency: latency, Jitter: 5 * time.Millisecond}})
		client, _ := udpPair(t, n)
		for range 100 {
			client.Write(nil)
			time.Sleep(time.Millisecond)
		}
		time.Sleep(time.Second)
		before, travelled := time.Duration(0), map[time.Duration]bool{}
		for _, e := range n.Trace().Events {
			d := e.Arrived - e.At
			travelled[d] = true
			if e.Arrived < before || d < latency || d >= latency+5*time.Millisecond {
				t.Errorf("packet %d travelled %v and arrived at %v, after one at %v", e.N, d, e.Arrived, before)
			}
			before = e.Arrived
		}
		if len(travelled) < 20 {
			t.Errorf("only %d different times", len(travelled))
		}
	})
}

func TestMTU(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := simnet.New(simnet.Options{})
		n.SetLink("a", "b", simnet.Link{MTU: 1500})
		client, _ := udpPair(t, n)
		if _, err := client.Write(make([]byte, 1472)); err != nil {
			t.Error(err)
		}
		if _, err := client.Write(make([]byte, 1473)); !errors.Is(err, syscall.EMSGSIZE) {
			t.Error("1473 bytes:", err)
		}
		c, s := tcpPair(t, n)
		c.Write(make([]byte, 3000))
		c.Close()
		io.Copy(io.Discard, s)
		var sizes []int
		for _, e := range n.Trace().Between("a", "b").Events {
			if e.Network == "tcp" && e.Flags == "" {
				sizes = append(sizes, len(e.Data))
			}
		}
		if len(sizes) != 3 || sizes[0] != 1460 || sizes[1] != 1460 || sizes[2] != 80 {
			t.Error("segments of", sizes)
		}
	})
}

// TestWindow: a reader that reads nothing stops the writer when both buffers are
// full, and a byte-exact account tells where everything is.
func TestWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := simnet.New(simnet.Options{ReadBuffer: 1000, WriteBuffer: 500, Link: simnet.Link{Latency: latency}})
		client, server := tcpPair(t, n)
		client.SetWriteDeadline(time.Now().Add(time.Second))
		written, err := client.Write(make([]byte, 10_000))
		if written != 1500 || err == nil || client.Unacked() != 500 || server.Unread() != 1000 {
			t.Errorf("wrote %d, %v: %d not taken, %d unread", written, err, client.Unacked(), server.Unread())
		}
		io.ReadFull(server, make([]byte, 1500))
		time.Sleep(time.Second)
		if client.Unacked() != 0 || server.Unread() != 0 {
			t.Errorf("%d not taken, %d unread", client.Unacked(), server.Unread())
		}
		start := time.Now()
		client.SetWriteDeadline(time.Time{})
		go func() { client.Write(make([]byte, 10_000)); client.Close() }()
		got, err := io.ReadAll(server)
		// Rounds of 500 bytes, each acknowledged before the next, then the FIN.
		if want := 19*2*latency + latency; len(got) != 10_000 || err != nil || time.Since(start) != want {
			t.Errorf("read %d, %v in %v, want %v", len(got), err, time.Since(start), want)
		}
	})
}
