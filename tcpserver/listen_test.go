package tcpserver_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"example.com/sockets"
	"example.com/sockets/internal/listen"
	"example.com/sockets/tcpserver"
)

// TestListen: what goes wrong says where, keeps its errno, and is explained with
// what to do next.
func TestListen(t *testing.T) {
	s := tcpserver.Server{Listeners: 2}
	busy := listenOn(t, &s, "127.0.0.1:0").Addr().String()
	live := filepath.Join(t.TempDir(), "live")
	listenOn(t, &s, "unix:"+live)
	file := filepath.Join(t.TempDir(), "file")
	os.WriteFile(file, nil, 0o600)
	tests := []struct {
		address string
		is      error
		says    string
		advice  string
	}{
		{busy, syscall.EADDRINUSE, "listen " + busy + "/tcp: ", "port 0"},
		{"192.0.2.1:0", syscall.EADDRNOTAVAIL, "listen 192.0.2.1:0/tcp: ", "not an address of this machine"},
		{"localhost", nil, "localhost", "localhost:"},
		{"127.0.0.1:99999", nil, "99999", "65535"},
		{"127.1:80", nil, "127.1", "four decimal numbers"},
		{"unix:", syscall.EINVAL, "listen unix:: ", `write "unix:/path"`},
		{"unix:/no/such/directory/x", syscall.ENOENT, "listen unix:/no/such/directory/x: ", "/no/such/directory"},
		{"unix:" + file, syscall.EEXIST, "listen unix:" + file, "remove it yourself"},
		{"unix:" + live, syscall.EADDRINUSE, "listen unix:" + live + ": a live server", "live server"},
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
		if got := sockets.Explain(err); !strings.Contains(got, tt.advice) {
			t.Errorf("Listen(%q) is explained as %q", tt.address, got)
		}
	}
}

func listenOn(t testing.TB, s *tcpserver.Server, address string) net.Listener {
	t.Helper()
	ln, err := s.Listen(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln
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

// TestServeUnix: twice, since a stop leaves the path free, and once more over what a
// dead server has left.
func TestServeUnix(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	for _, left := range []string{"nothing", "nothing", "a dead socket"} {
		if left != "nothing" {
			ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
			if err != nil {
				t.Fatal(err)
			}
			ln.SetUnlinkOnClose(false)
			ln.Close()
		}
		s := &tcpserver.Server{Handler: upper, Listeners: 4}
		r := serve(t, s, listenOn(t, s, "unix:"+path))
		c := dialUnix(t, path)
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
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("after the stop the file is there: %v", err)
		}
	}
}

// TestServeAbstract: a name that is no file.
func TestServeAbstract(t *testing.T) {
	s := &tcpserver.Server{Handler: upper}
	name := fmt.Sprintf("@sockets-%s-%d", t.Name(), os.Getpid())
	ln, err := s.Listen(t.Context(), "unix:"+name)
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	r := serve(t, s, ln)
	if got := ask(t, dialUnix(t, name), "hello"); got != "HELLO" {
		t.Errorf("got %q", got)
	}
	if _, err := s.Listen(t.Context(), "unix:"+name); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("a second server on one name: %v", err)
	}
	if err := r.wait(); err != nil {
		t.Error(err)
	}
}

func dialUnix(t testing.TB, path string) net.Conn {
	t.Helper()
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// TestUnixSuccessor: the file of a server that has taken the path survives the stop
// of the one that had it.
func TestUnixSuccessor(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	var servers []*running
	for range 2 {
		os.Remove(path)
		s := &tcpserver.Server{Handler: upper}
		servers = append(servers, serve(t, s, listenOn(t, s, "unix:"+path)))
	}
	for i, r := range servers {
		if i > 0 {
			if got := ask(t, dialUnix(t, path), "hello"); got != "HELLO" {
				t.Errorf("got %q", got)
			}
		}
		if err := r.wait(); err != nil {
			t.Error(err)
		}
	}
}

// TestListeners: the sockets of a group are served together, through a wrapper too,
// and nobody else gets their port before all are closed.
func TestListeners(t *testing.T) {
	const many = 100
	wrappers := map[string]func(net.Listener) net.Listener{
		"plain":   func(ln net.Listener) net.Listener { return ln },
		"wrapped": func(ln net.Listener) net.Listener { return struct{ net.Listener }{ln} },
	}
	for name, wrap := range wrappers {
		t.Run(name, func(t *testing.T) {
			s := &tcpserver.Server{Handler: upper, Listeners: 4}
			r := serve(t, s, wrap(listenOn(t, s, "127.0.0.1:0")))
			for range many {
				c := r.client()
				defer c.Close()
				if got := ask(t, c, "hello"); got != "HELLO" {
					t.Errorf("got %q", got)
				}
			}
			if n := s.Stats().Accepted; n != many {
				t.Errorf("accepted %d, want %d", n, many)
			}
			if _, err := s.Listen(t.Context(), r.addr); !errors.Is(err, syscall.EADDRINUSE) {
				t.Errorf("a second server on one port: %v", err)
			}
			if err := r.wait(); err != nil {
				t.Error(err)
			}
			listenOn(t, s, r.addr)
		})
	}
}

// TestListenersLoops: each socket of a group has a loop, which holds one connection
// while all slots are taken.
func TestListenersLoops(t *testing.T) {
	const loops = 4
	release := make(chan struct{})
	s := &tcpserver.Server{
		Listeners: loops,
		Limits:    tcpserver.Limits{Conns: 1, Overload: tcpserver.Block},
		Handler: func(context.Context, *sockets.Conn) error {
			<-release
			return nil
		},
	}
	ln := listenOn(t, s, "127.0.0.1:0")
	if _, ok := ln.(*listen.Group); !ok {
		t.Skip("no groups here")
	}
	r := serve(t, s, ln)
	for range 100 {
		defer r.client().Close()
	}
	begin := time.Now()
	for s.Stats().Accepted < 1+loops && time.Since(begin) < 10*time.Second {
		runtime.Gosched()
	}
	if n := s.Stats().Accepted; n != 1+loops {
		t.Errorf("%d were accepted, want one that is served and one for each of %d loops", n, loops)
	}
	close(release)
	if err := r.wait(); err != nil {
		t.Error(err)
	}
}

// TestListenersQueue: a stop takes the queue of each socket, and what it finds there
// is served.
func TestListenersQueue(t *testing.T) {
	const many = 100
	s := &tcpserver.Server{Handler: upper, Listeners: 4, Limits: tcpserver.Limits{Conns: 1}, Timeouts: tcpserver.Timeouts{Grace: time.Minute}}
	ln := listenOn(t, s, "127.0.0.1:0")
	var clients []net.Conn
	for range many {
		c, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.Write([]byte("hello\n"))
		clients = append(clients, c)
	}
	r := serve(t, s, ln)
	r.stop()
	for i, c := range clients {
		if got, err := io.ReadAll(c); string(got) != "HELLO\n" || err != nil {
			t.Errorf("client %d read %q, %v", i, got, err)
		}
	}
	if err := r.wait(); err != nil {
		t.Error(err)
	}
}

// TestListenersFail: a socket of a group that somebody else closes ends Serve, which
// closes the others.
func TestListenersFail(t *testing.T) {
	s := &tcpserver.Server{Handler: upper, Listeners: 4}
	ln := listenOn(t, s, "127.0.0.1:0")
	group, ok := ln.(*listen.Group)
	if !ok {
		t.Skip("no groups here")
	}
	r := serve(t, s, ln)
	if got := ask(t, r.client(), "hello"); got != "HELLO" {
		t.Errorf("got %q", got)
	}
	group.Members()[2].Close()
	err := <-r.done
	r.done <- err
	if err := r.wait(); !errors.Is(err, net.ErrClosed) || !strings.Contains(err.Error(), "accept "+r.addr) {
		t.Errorf("Serve returned %v", err)
	}
	listenOn(t, s, r.addr)
}
