package udpio_test

import (
	"net"
	"slices"
	"testing"
	"time"

	"example.com/sockets/internal/udpio"
)

// Who has read may put the packets in another order, as a server does that drops
// some: the next read is right all the same.
func TestPacketsMayBeMoved(t *testing.T) {
	engines(t, "127.0.0.1:0", func(t *testing.T, open func(t *testing.T, size int) (udpio.Conn, net.PacketConn)) {
		c, pc := open(t, 100)
		for range 3 {
			for _, p := range []string{"first", "2nd", "the third"} {
				if err := c.Write([]byte(p), routeTo(pc)); err != nil {
					t.Fatal(err)
				}
			}
			pc.SetReadDeadline(time.Now().Add(5 * time.Second))
			var got []string
			for len(got) < 3 {
				packets, err := c.Read()
				if err != nil {
					t.Fatalf("after %q: %v", got, err)
				}
				for _, p := range packets {
					got = append(got, string(p.Data))
				}
				copy(packets, packets[1:])
			}
			if want := []string{"first", "2nd", "the third"}; !slices.Equal(got, want) {
				t.Fatalf("read %q, want %q", got, want)
			}
		}
	})
}
