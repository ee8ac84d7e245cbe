package sockets_test

import (
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"example.com/sockets"
)

// relays are ours, and what one writes with the net package alone, which splices too.
var relays = []func(b *testing.B, a, c net.Conn){
	func(b *testing.B, a, c net.Conn) {
		_ = sockets.Relay(b.Context(), sockets.NewConn(a, nil), sockets.NewConn(c, nil)) // it is cut at its end
	},
	func(_ *testing.B, a, c net.Conn) {
		var wg sync.WaitGroup
		for from, to := range map[net.Conn]net.Conn{a: c, c: a} {
			wg.Go(func() {
				_, _ = io.Copy(to, from)
				_ = to.(*net.TCPConn).CloseWrite()
			})
		}
		wg.Wait()
	},
}

// BenchmarkRelay runs both in turns and reports how much more time the second takes,
// so that what else the machine does meets both.
func BenchmarkRelay(b *testing.B) {
	for name, load := range map[string]func(left, right net.Conn){
		"stream of 64 MiB": func(left, right net.Conn) {
			go func() {
				for part := make([]byte, 1<<20); ; {
					if _, err := left.Write(part); err != nil {
						return
					}
				}
			}()
			_, _ = io.CopyN(io.Discard, right, 64<<20)
		},
		"500 echoes of 1 KiB":  func(left, right net.Conn) { echoes(left, right, 500, 1<<10) },
		"500 echoes of 64 B":   func(left, right net.Conn) { echoes(left, right, 500, 64) },
		"500 echoes of 16 KiB": func(left, right net.Conn) { echoes(left, right, 500, 16<<10) },
	} {
		b.Run(name, func(b *testing.B) {
			var spent [2]time.Duration
			for b.Loop() {
				for i, run := range relays {
					spent[i] += timeRelay(b, run, load)
				}
			}
			b.ReportMetric(float64(spent[0].Milliseconds())/float64(b.N), "ours-ms/op")
			b.ReportMetric(float64(spent[1])/float64(spent[0]), "net/ours")
		})
	}
}

func timeRelay(b *testing.B, run func(*testing.B, net.Conn, net.Conn), load func(left, right net.Conn)) time.Duration {
	hereA, left := benchPair(b)
	hereB, right := benchPair(b)
	var wg sync.WaitGroup
	wg.Go(func() { run(b, hereA, hereB) })
	start := time.Now()
	load(left, right)
	spent := time.Since(start)
	left.Close()
	right.Close()
	hereA.Close()
	hereB.Close()
	wg.Wait()
	return spent
}

func echoes(left, right net.Conn, n, size int) {
	go func() { _, _ = io.Copy(right, struct{ io.Reader }{right}) }()
	p := make([]byte, size)
	for range n {
		_, _ = left.Write(p)
		_, _ = io.ReadFull(left, p)
	}
}

func benchPair(b *testing.B) (here, there net.Conn) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer ln.Close()
	if there, err = net.Dial("tcp", ln.Addr().String()); err != nil {
		b.Fatal(err)
	}
	if here, err = ln.Accept(); err != nil {
		b.Fatal(err)
	}
	return here, there
}
