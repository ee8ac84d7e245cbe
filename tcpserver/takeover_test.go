package tcpserver_test

import (
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"example.com/sockets"
	"example.com/sockets/tcpserver"
)

// TestTakeover: a process that stops leaves the queue, and the file, to the one that
// has a copy of its listening socket. Every client is served, by the one or the
// other.
func TestTakeover(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "unix:" + filepath.Join(t.TempDir(), "s")} {
		t.Run(address, func(t *testing.T) { takeOver(t, address) })
	}
}

// closing tells when it is closed.
type closing struct {
	net.Listener
	once   sync.Once
	closed chan struct{}
}

func (c *closing) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Listener.Close()
}

func takeOver(t *testing.T, address string) {
	const many = 20
	busy := make(chan struct{}, many)
	release := make(chan struct{})
	old := &tcpserver.Server{
		Shared: true,
		Limits: tcpserver.Limits{Conns: 1, Overload: tcpserver.Block},
		Handler: func(ctx context.Context, c *sockets.Conn) error {
			busy <- struct{}{}
			<-release
			return upper(ctx, c)
		},
	}
	ln := &closing{Listener: listenOn(t, old, address), closed: make(chan struct{})}
	file, err := ln.Listener.(interface{ File() (*os.File, error) }).File()
	if err != nil {
		t.Skip(err)
	}
	copied, err := net.FileListener(file)
	file.Close()
	if err != nil {
		t.Fatal(err)
	}
	var clients []net.Conn
	for range many {
		c, err := net.Dial(ln.Addr().Network(), ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.Write([]byte("hello\n"))
		c.(interface{ CloseWrite() error }).CloseWrite()
		clients = append(clients, c)
	}
	before := serve(t, old, ln)
	<-busy // with the first
	before.stop()
	<-ln.closed
	close(release)
	if err := before.wait(); err != nil {
		t.Error(err)
	}
	heir := &tcpserver.Server{Handler: upper}
	after := serve(t, heir, copied)
	for i, c := range clients {
		if got, err := io.ReadAll(c); string(got) != "HELLO\n" || err != nil {
			t.Errorf("client %d read %q, %v", i, got, err)
		}
	}
	if err := after.wait(); err != nil {
		t.Error(err)
	}
	if was, is := old.Stats().Accepted, heir.Stats().Accepted; was+is != many || is == 0 {
		t.Errorf("the one accepted %d and the other %d of %d", was, is, many)
	}
}
