package sockets_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"runtime"
	"runtime/debug"
	"sync"
	"testing"
	"unsafe"

	"example.com/sockets"
)

// Beside a Conn the server has about 100 bytes for each connection; both together
// may be 640.
func TestSizeOfConn(t *testing.T) {
	const most = 540
	if size := unsafe.Sizeof(sockets.Conn{}); size > most {
		t.Errorf("a Conn has %d bytes, and may have %d", size, most)
	}
}

// allocationPairs are the transports on which a message costs nothing.
var allocationPairs = map[string]func(*testing.T) (net.Conn, net.Conn){"tcp": tcpPair, "unix": unixPair}

func TestNoAllocationPerMessage(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	for name, pair := range allocationPairs {
		for _, size := range []int{1, 100, 1000, 60_000} {
			here, there := pair(t)
			server, client := sockets.NewConn(here, nil), sockets.NewConn(there, nil)
			var wg sync.WaitGroup
			wg.Go(func() {
				for m, err := range server.Messages() {
					if err != nil || server.WriteMessage(m) != nil {
						return
					}
				}
			})
			line := bytes.Repeat([]byte("x"), size)
			if n := steadyAllocs(func() {
				if err := client.WriteMessage(line); err != nil {
					t.Fatal(err)
				}
				if m, err := client.ReadMessage(); len(m) != size || err != nil {
					t.Fatal(len(m), err)
				}
			}); n != 0 {
				t.Errorf("%s: %v allocations per echoed line of %d", name, n, size)
			}
			if n := steadyAllocs(func() {
				if m, err := client.Call(context.Background(), line); len(m) != size || err != nil {
					t.Fatal(len(m), err)
				}
			}); n != 0 {
				t.Errorf("%s: %v allocations per call of %d", name, n, size)
			}
			client.Close()
			wg.Wait()
		}
	}
}

// steadyAllocs is testing.AllocsPerRun when all pools are filled. It counts all
// goroutines, so both ends. A collection would empty the pools.
func steadyAllocs(f func()) float64 {
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	for range 20 {
		f()
	}
	return testing.AllocsPerRun(200, f)
}

// A connection that waits holds no buffer, whatever it has read before.
func TestIdleConnectionsHoldNoBuffer(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector drops what is pooled")
	}
	const conns = 200
	long := bytes.Repeat([]byte("x"), 60_000)
	var ends []io.Closer
	var wg sync.WaitGroup
	before := heap()
	for range conns {
		here, there := pipePair(t)
		server, client := sockets.NewConn(here, nil), sockets.NewConn(there, nil)
		wg.Go(func() {
			for range server.Messages() {
			}
		})
		if err := client.WriteMessage(long); err != nil {
			t.Fatal(err)
		}
		if err := client.WriteMessage(nil); err != nil { // what was long has been read
			t.Fatal(err)
		}
		ends = append(ends, client)
	}
	if each := (heap() - before) / conns; each > 16<<10 {
		t.Errorf("%d bytes for each of %d idle connections", each, conns)
	}
	for _, e := range ends {
		e.Close()
	}
	wg.Wait()
}

func heap() uint64 {
	runtime.GC()
	runtime.GC() // and what pools gave up in the first
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
