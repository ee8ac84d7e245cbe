//go:build race

package udpserver_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"

	"example.com/sockets/udpserver"
)

// lengths are a datagram in the worker's own buffer, the longest there, and those in
// a buffer on loan.
var lengths = []int{1, 2048, 2049, 60000}

// Under the race detector what a handler has kept of its datagram is overwritten when
// it has returned, so that the mistake shows at its first occurrence and not under
// load. A Clone is not touched. So it is with every engine, and for what a Responder
// is given.
func TestKeptDataIsPoisoned(t *testing.T) {
	for name, e := range engineNames {
		for _, responder := range []bool{false, true} {
			for _, size := range lengths {
				t.Run(fmt.Sprintf("%s, responder %v, %d bytes", name, responder, size), func(t *testing.T) {
					testPoison(t, e, responder, strings.Repeat("x", size))
				})
			}
		}
	}
}

func testPoison(t *testing.T, e udpserver.Engine, responder bool, message string) {
	var kept []byte
	var clone *udpserver.Datagram
	s := &udpserver.Server{Engine: e, Handler: func(_ context.Context, d *udpserver.Datagram) error {
		kept, clone = d.Data, d.Clone()
		return nil
	}}
	if responder {
		s.Handler = udpserver.Respond(func(_ context.Context, request []byte) ([]byte, error) {
			kept = request
			return nil, nil
		})
	}
	to, _ := serve(t, s)
	send(t, dial(t, to), message)
	await(func() bool { return s.Stats().Handled == 1 })
	if want := bytes.Repeat([]byte{0xDB}, len(message)); !bytes.Equal(kept, want) {
		t.Errorf("kept are %d bytes from %x to %x, want all %x", len(kept), kept[0], kept[len(kept)-1], 0xDB)
	}
	if clone != nil && string(clone.Data) != message {
		t.Errorf("the clone has %d bytes, from %x", len(clone.Data), clone.Data[0])
	}
}

// A thousand datagrams, each kept as a slice and as a Clone: of the slices none has
// what it had, and of the clones all do.
func TestKeptDataOfManyDatagrams(t *testing.T) {
	const n, window = 1000, 32
	type datagram struct {
		message string
		data    []byte
		clone   *udpserver.Datagram
	}
	kept := make(chan datagram, n)
	s := &udpserver.Server{Handler: func(_ context.Context, d *udpserver.Datagram) error {
		kept <- datagram{string(d.Data), d.Data, d.Clone()}
		return d.Reply(nil)
	}}
	to, stop := serve(t, s)
	c := dial(t, to)
	for i := range n {
		send(t, c, fmt.Sprintf("message %d", i))
		if i >= window {
			receive(t, c)
		}
	}
	for range window {
		receive(t, c)
	}
	if err := stop(); err != nil {
		t.Errorf("Serve: %v", err)
	}
	close(kept)
	seen := make(map[string]bool)
	for d := range kept {
		if string(d.data) == d.message {
			t.Errorf("%q is still in a slice that was kept", d.message)
		}
		if string(d.clone.Data) != d.message {
			t.Errorf("the clone of %q has %q", d.message, d.clone.Data)
		}
		seen[d.message] = true
	}
	if len(seen) != n {
		t.Errorf("%d different datagrams", len(seen))
	}
}

// What a session's Read has returned is the caller's, and stays.
func TestSessionReadIsTheCallers(t *testing.T) {
	ln := realSessions(t, "127.0.0.1:0", udpserver.SessionConfig{})
	c := dial(t, ln.Addr())
	send(t, c, "first")
	s := accept(t, ln)
	first := make([]byte, 5)
	if n, err := s.Read(first); n != 5 || err != nil {
		t.Fatal(n, err)
	}
	for range 10 {
		send(t, c, "other")
		want(t, s, "other")
	}
	if string(first) != "first" {
		t.Errorf("it became %q", first)
	}
}
