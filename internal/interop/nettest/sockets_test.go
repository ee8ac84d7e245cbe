package nettest

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"golang.org/x/net/nettest"

	"example.com/sockets"
	"example.com/sockets/client"
	"example.com/sockets/tcpserver"
)

// TestSockets runs the suite on connections as users have them: one end belongs to
// a client.Dialer, the other to the handler of a tcpserver.Server, and each is the
// first end once.
func TestSockets(t *testing.T) {
	dir, err := os.MkdirTemp("", "nettest") // short: a unix address is at most about 100 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	certificate, roots := selfMade(t)
	sockets := 0
	for name, h := range map[string]hosts{
		"tcp":  {address: func() string { return "127.0.0.1:0" }},
		"unix": {address: func() string { sockets++; return "unix:" + filepath.Join(dir, strconv.Itoa(sockets)) }},
		"tls": {
			address: func() string { return "127.0.0.1:0" },
			server:  &tls.Config{Certificates: []tls.Certificate{certificate}},
			client:  &tls.Config{RootCAs: roots},
		},
	} {
		t.Run(name+"/client first", func(t *testing.T) {
			nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) { return h.connect(t) })
		})
		t.Run(name+"/server first", func(t *testing.T) {
			nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
				c, s, stop, err := h.connect(t)
				return s, c, stop, err
			})
		})
	}
}

// hosts are the two sides of a connection.
type hosts struct {
	address        func() string // another one each time
	server, client *tls.Config
}

// connect starts a server, and returns both ends of a connection to it. stop ends all
// three, and fails the test if the server's stop was not clean.
func (h hosts) connect(t *testing.T) (client, server net.Conn, stop func(), err error) {
	t.Helper()
	taken := make(chan *sockets.Conn, 1)
	released := make(chan struct{})
	s := &tcpserver.Server{TLS: h.server, Logger: slog.New(slog.DiscardHandler), Handler: func(_ context.Context, c *sockets.Conn) error {
		taken <- c
		<-released
		return nil
	}}
	address := h.address()
	ln, err := s.Listen(t.Context(), address)
	if err != nil {
		return nil, nil, nil, err
	}
	if a, ok := ln.Addr().(*net.TCPAddr); ok {
		address = a.String()
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx, ln) }()
	end := func() {
		close(released)
		cancel()
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	}
	c, err := h.dial(t, address)
	if err != nil {
		end()
		return nil, nil, nil, err
	}
	over := <-taken
	return oneReader(c), oneReader(over), sync.OnceFunc(func() {
		c.Close()
		over.Close()
		end()
	}), nil
}

func (h hosts) dial(t *testing.T, address string) (*sockets.Conn, error) {
	d := client.Dialer{TLS: h.client}
	return d.DialTCP(t.Context(), address)
}
