package sockets_test

import (
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"example.com/sockets"
	"example.com/sockets/internal/guard"
)

// The minimum rate holds over what the kernel moves by itself: a peer that takes less
// is ended in the middle of a sendfile and of a splice, whatever its system has
// acknowledged.
func TestMinRateOfZeroCopy(t *testing.T) {
	if testing.Short() {
		t.Skip("the first 5 s are free, in real time")
	}
	needSplice(t)
	for name, from := range map[string]func(t *testing.T) io.Reader{
		"sendfile": func(t *testing.T) io.Reader { return tempFile(t, make([]byte, 32<<20)) },
		"splice": func(t *testing.T) io.Reader {
			here, there := tcpPair(t)
			go func() { _, _ = there.Write(make([]byte, 32<<20)) }()
			return sockets.NewConn(here, nil)
		},
	} {
		for _, each := range []int{4 << 10, 128 << 10} { // bytes in 20 ms: 200 KB a second, and as much as 6 MB
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				here, there := tcpPair(t)
				_ = here.(*net.TCPConn).SetWriteBuffer(64 << 10)
				_ = there.(*net.TCPConn).SetReadBuffer(64 << 10)
				c, g := guarded(here, guard.Limits{MinRate: 500_000})
				var reader sync.WaitGroup
				reader.Go(func() { readSlowly(there, each, 20*time.Millisecond) })
				source := from(t)
				if each < 40<<10 {
					start := time.Now()
					_, err := io.Copy(c, source)
					wantFinal(t, "Copy", err, sockets.ErrMinRate)
					if d := time.Since(start); d < 5*time.Second || d > 12*time.Second {
						t.Errorf("it took %v", d)
					}
				} else if n, err := io.Copy(c, io.LimitReader(source, 32<<20)); n != 32<<20 || err != nil { // in more than 5 s
					t.Errorf("copied %d, %v", n, err)
				}
				g.End(io.EOF)
				if s, ok := source.(io.Closer); ok {
					s.Close()
				}
				reader.Wait()
			})
		}
	}
}
