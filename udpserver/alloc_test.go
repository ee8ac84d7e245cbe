//go:build !race

package udpserver_test

import (
	"context"
	"testing"

	"example.com/sockets/addr"
	"example.com/sockets/udpserver"
)

// An echo round trip allocates nothing, whatever the length and the form of the
// handler, and with every limit.
func TestRoundTripAllocatesNothing(t *testing.T) {
	handlers := map[string]udpserver.Handler{
		"handler": echo,
		"responder": udpserver.Respond(func(_ context.Context, r []byte) ([]byte, error) {
			return r, nil
		}),
	}
	handlers["limited"] = func(_ context.Context, d *udpserver.Datagram) error {
		if len(d.Data) == 64 { // the others are answered from the budget
			d.Validate()
		}
		return d.Reply(d.Data)
	}
	for name, h := range handlers {
		for _, size := range []int{0, 64, 1400, 9000} {
			s := &udpserver.Server{Handler: h}
			trips := 2000
			if name == "limited" {
				s.Limits, trips = udpserver.Limits{Rate: 1 << 20, ReplyFactor: 3}, 800
			}
			to, stop := serve(t, s)
			c := dial(t, to)
			buf := make([]byte, size)
			in := make([]byte, size+1)
			trip := func() {
				c.Write(buf)
				if n, err := c.Read(in); n != size || err != nil {
					t.Fatalf("got %d bytes: %v", n, err)
				}
			}
			for range 100 {
				trip()
			}
			if n := testing.AllocsPerRun(trips, trip); n > 0 {
				t.Errorf("%s, %d bytes: %v allocations", name, size, n)
			}
			if err := stop(); err != nil {
				t.Error(err)
			}
		}
	}
}

// Nor does what a limit of the rate drops allocate anything.
func TestDropAllocatesNothing(t *testing.T) {
	told := make(chan udpserver.Drop, 1)
	s := &udpserver.Server{
		Handler: echo, Limits: udpserver.Limits{Rate: 1, Burst: 1, ReplyFactor: 3},
		Trace: &udpserver.Trace{Dropped: func(_ addr.Endpoint, why udpserver.Drop) { told <- why }},
	}
	to, stop := serve(t, s)
	c := dial(t, to)
	c.Write(nil)
	p := make([]byte, 64)
	if n := testing.AllocsPerRun(500, func() {
		c.Write(p)
		<-told
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	ledger(t, s)
}
