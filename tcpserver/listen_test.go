package tcpserver_test

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"example.com/sockets/tcpserver"
)

func TestListen(t *testing.T) {
	var s tcpserver.Server
	busy, err := s.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	tests := []struct {
		address string
		is      error
		says    string
	}{
		{busy.Addr().String(), syscall.EADDRINUSE, "listen " + busy.Addr().String() + "/tcp"},
		{"192.0.2.1:0", syscall.EADDRNOTAVAIL, "192.0.2.1:0/tcp"},
		{"localhost", nil, `localhost`},
		{"127.0.0.1:99999", nil, "99999"},
		{"127.1:80", nil, "127.1"},
		{"unix:/no/such/directory/x", syscall.ENOENT, "unix:/no/such/directory/x"},
	}
	for _, tt := range tests {
		ln, err := s.Listen(t.Context(), tt.address)
		if err == nil {
			ln.Close()
			t.Errorf("Listen(%q) worked", tt.address)
			continue
		}
		if tt.is != nil && !errors.Is(err, tt.is) || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("Listen(%q) says %q", tt.address, err)
		}
	}
}

func TestListenAndServe(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "localhost:0", ":0", "unix:" + filepath.Join(t.TempDir(), "s")} {
		ctx, stop := context.WithCancel(t.Context())
		stop()
		if err := tcpserver.ListenAndServe(ctx, address, upper); err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", address, err)
		}
	}
}

func TestServeUnix(t *testing.T) {
	s := &tcpserver.Server{Handler: upper}
	path := filepath.Join(t.TempDir(), "s")
	ln, err := s.Listen(t.Context(), "unix:"+path)
	if err != nil {
		t.Fatal(err)
	}
	r := serve(t, s, ln)
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got := ask(t, c, "hello"); got != "HELLO" {
		t.Errorf("got %q", got)
	}
	for conn := range s.Conns() {
		if conn.Remote().IsValid() {
			t.Errorf("a unix socket has the address %v", conn.Remote())
		}
	}
	if err := r.wait(); err != nil {
		t.Error(err)
	}
}
