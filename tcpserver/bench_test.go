package tcpserver_test

import (
	"bufio"
	"context"
	"net"
	"testing"

	"example.com/sockets/tcpserver"
)

// BenchmarkEcho compares an echoed line through the server with the loop that one
// writes by hand, which has no limit, no timeout and no stop. Compare the two by
// their ratio within one run: go test -bench Echo -count 10.
func BenchmarkEcho(b *testing.B) {
	servers := map[string]func(b *testing.B) (address string, stop func()){
		"server": echoServer,
		"net":    echoByHand,
	}
	for _, name := range []string{"net", "server"} {
		b.Run(name, func(b *testing.B) {
			address, stop := servers[name](b)
			defer stop()
			c, err := net.Dial("tcp", address)
			if err != nil {
				b.Fatal(err)
			}
			defer c.Close()
			line := []byte("a line of forty bytes, or nearly so....\n")
			buf := make([]byte, len(line))
			for b.Loop() {
				if _, err := c.Write(line); err != nil {
					b.Fatal(err)
				}
				for n := 0; n < len(line); {
					k, err := c.Read(buf[n:])
					if err != nil {
						b.Fatal(err)
					}
					n += k
				}
			}
		})
	}
}

func echoServer(b *testing.B) (string, func()) {
	r := serveReal(b, &tcpserver.Server{
		Handler: tcpserver.Respond(func(_ context.Context, q []byte) ([]byte, error) { return q, nil }),
	})
	return r.addr, func() { r.wait() }
}

func echoByHand(b *testing.B) (string, func()) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				r := bufio.NewReader(c)
				for {
					line, err := r.ReadSlice('\n')
					if err != nil {
						return
					}
					if _, err := c.Write(line); err != nil {
						return
					}
				}
			}()
		}
	}()
	return ln.Addr().String(), func() { ln.Close() }
}
