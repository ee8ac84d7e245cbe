//go:build !race

package udpserver_test

import (
	"context"
	"net"
	"runtime"
	"runtime/debug"
	"testing"
	"time"

	"example.com/sockets/tcpserver"
	"example.com/sockets/udpserver"
)

// A message in and out of a session allocates nothing, whatever its length.
func TestSessionRoundTripAllocatesNothing(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // a collection would empty the pools
	ln := realSessions(t, "127.0.0.1:0", udpserver.SessionConfig{})
	defer serving(&tcpserver.Server{Handler: tcpserver.Respond(same)}, ln)()
	c := dial(t, ln.Addr())
	in := make([]byte, 65536)
	for _, size := range []int{0, 64, 1400, 9000, 60000} {
		out := make([]byte, size)
		trip := func() {
			c.Write(out)
			if n, err := c.Read(in); n != size || err != nil {
				t.Fatalf("got %d bytes: %v", n, err)
			}
		}
		for range 100 {
			trip()
		}
		if n := testing.AllocsPerRun(1000, trip); n > 0 {
			t.Errorf("%d bytes: %v allocations", size, n)
		}
	}
}

// A session that waits holds no buffer, whatever it has read before: 500 of them,
// with their handlers, take less than one buffer each.
func TestSessionParkedHoldsNoBuffer(t *testing.T) {
	const many, each = 500, 16 << 10
	ln := realSessions(t, "127.0.0.1:0", udpserver.SessionConfig{})
	defer serving(&tcpserver.Server{Handler: tcpserver.Respond(same)}, ln)()
	before := heap()
	var clients []net.Conn
	for range many {
		c, err := net.Dial("udp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(10 * time.Second))
		send(t, c, string(make([]byte, 60000)))
		receive(t, c)
		clients = append(clients, c)
	}
	if grown := heap() - before; grown > many*each {
		t.Errorf("%d sessions take %d bytes each", many, grown/many)
	}
	runtime.KeepAlive(clients)
}

func heap() int64 {
	runtime.GC()
	runtime.GC() // the first leaves what pools hold to the second
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func same(_ context.Context, q []byte) ([]byte, error) { return q, nil }
