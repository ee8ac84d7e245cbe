//go:build !race

package tcpserver_test

import (
	"context"
	"net"
	"path/filepath"
	"testing"

	"example.com/sockets/tcpserver"
)

// TestEchoAllocatesNothing counts the allocations of the whole process while lines
// go through a server and back. (Under the race detector pools give away at random.)
func TestEchoAllocatesNothing(t *testing.T) {
	echo := tcpserver.Respond(func(_ context.Context, q []byte) ([]byte, error) { return q, nil })
	for _, address := range []string{"127.0.0.1:0", "unix:" + filepath.Join(t.TempDir(), "s")} {
		s := &tcpserver.Server{Handler: echo}
		ln, err := s.Listen(t.Context(), address)
		if err != nil {
			t.Fatal(err)
		}
		r := serve(t, s, ln)
		c, err := net.Dial(ln.Addr().Network(), ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		for _, size := range []int{10, 1000, 10_000} {
			line := make([]byte, size)
			for i := range line {
				line[i] = 'x'
			}
			line[size-1] = '\n'
			buf := make([]byte, size)
			round := func() {
				if _, err := c.Write(line); err != nil {
					t.Fatal(err)
				}
				for n := 0; n < size; {
					k, err := c.Read(buf[n:])
					if err != nil {
						t.Fatal(err)
					}
					n += k
				}
			}
			for range 100 {
				round()
			}
			if n := testing.AllocsPerRun(1000, round); n > 0 {
				t.Errorf("%s: a line of %d bytes costs %v allocations", address, size, n)
			}
		}
		c.Close()
		if err := r.wait(); err != nil {
			t.Error(err)
		}
	}
}
