//go:build !race

package udpserver_test

import (
	"context"
	"testing"

	"example.com/sockets/udpserver"
)

// An echo round trip allocates nothing, whatever the length and the form of the
// handler.
func TestRoundTripAllocatesNothing(t *testing.T) {
	handlers := map[string]udpserver.Handler{
		"handler": echo,
		"responder": udpserver.Respond(func(_ context.Context, r []byte) ([]byte, error) {
			return r, nil
		}),
	}
	for name, h := range handlers {
		for _, size := range []int{0, 64, 1400, 9000} {
			s := &udpserver.Server{Handler: h}
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
			if n := testing.AllocsPerRun(2000, trip); n > 0 {
				t.Errorf("%s, %d bytes: %v allocations", name, size, n)
			}
			if err := stop(); err != nil {
				t.Error(err)
			}
		}
	}
}
