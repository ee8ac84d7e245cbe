//go:build !race

package client_test

import (
	"context"
	"io"
	"net"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"example.com/sockets/client"
)

// A call over UDP allocates its reply and nothing else.
func TestUDPCallAllocs(t *testing.T) {
	all := func(_, _ []byte) bool { return true }
	id := func([]byte) (uint64, bool) { return 1, true }
	for name, d := range map[string]client.Dialer{"in turns": {}, "Match": {Match: all}, "ID": {ID: id}, "both": {Match: all, ID: id}} {
		t.Run(name, func(t *testing.T) {
			p := newPeer(t)
			reply := []byte("REPLY")
			served := make(chan struct{})
			go func() {
				defer close(served)
				buf := make([]byte, 100)
				for {
					_, from, err := p.PacketConn.(udpConn).ReadFromUDPAddrPort(buf)
					if err != nil {
						return
					}
					p.PacketConn.(udpConn).WriteToUDPAddrPort(reply, from)
				}
			}()
			u := dialUDP(t, &d, p.address())
			request, ctx := []byte("hello"), t.Context()
			got := testing.AllocsPerRun(500, func() {
				if _, err := u.Call(ctx, request); err != nil {
					t.Error(err)
				}
			})
			if got > 1 {
				t.Errorf("%v allocations per call, want 1", got)
			}
			p.Close()
			<-served
		})
	}
}

// Estimating allocates nothing.
func TestRTTAllocs(t *testing.T) {
	var rtt client.RTT
	var sum time.Duration
	if n := testing.AllocsPerRun(100, func() { rtt.Sample(ms, 1); sum += rtt.Timeout() }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// A call through a pool allocates its reply and nothing else; under a context that
// can end, also what watches that.
func TestPoolCallAllocs(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	watcher := testing.AllocsPerRun(100, func() { context.AfterFunc(ctx, func() {})() })
	for _, tt := range []struct {
		name, network, address string
		ctx                    context.Context
		want                   float64
	}{
		{"TCP", "tcp", "127.0.0.1:0", context.Background(), 1},
		{"unix", "unix", filepath.Join(t.TempDir(), "socket"), context.Background(), 1},
		{"a context that can end", "tcp", "127.0.0.1:0", ctx, 1 + watcher + 1}, // and a closure
	} {
		ln := must(net.Listen(tt.network, tt.address))(t)
		done := make(chan struct{})
		go func() { defer close(done); echoOne(ln) }()
		p := &client.Pool{Address: ln.Addr().String()}
		if tt.network == "unix" {
			p.Address = "unix:" + p.Address
		}
		request := []byte("hello")
		got := testing.AllocsPerRun(500, func() {
			if _, err := p.Call(tt.ctx, request); err != nil {
				t.Error(err)
			}
		})
		if got > tt.want {
			t.Errorf("%s: %v allocations per call, want %v", tt.name, got, tt.want)
		}
		p.Close()
		ln.Close()
		<-done
	}
}

// A call that waits for its connection allocates its reply and nothing else: its
// place in the queue, with the clock, is used again.
func TestPoolQueuedCallAllocs(t *testing.T) {
	ln := must(net.Listen("tcp", "127.0.0.1:0"))(t)
	defer ln.Close()
	p := &client.Pool{Address: ln.Addr().String(), Conns: 1}
	const callers = 4
	served := make(chan struct{})
	go func() {
		defer close(served)
		echoOnce(ln, callers, func() bool { return p.Stats().Waiting == callers-1 })
	}()
	begin, done := make(chan struct{}), make(chan error)
	request := []byte("hello")
	for range callers {
		go func() {
			for range begin {
				_, err := p.Call(context.Background(), request)
				done <- err
			}
		}()
	}
	got := testing.AllocsPerRun(200, func() {
		for range callers {
			begin <- struct{}{}
		}
		for range callers {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	})
	if got > callers {
		t.Errorf("%v allocations per %d calls", got, callers)
	}
	close(begin)
	p.Close()
	<-served
}

// echoOnce answers on one connection; to the first of each batch of requests only
// when all is ready.
func echoOnce(ln net.Listener, batch int, ready func() bool) {
	nc, err := ln.Accept()
	if err != nil {
		return
	}
	defer nc.Close()
	buf := make([]byte, 100)
	for i := 0; ; i++ {
		n, err := nc.Read(buf)
		if err != nil {
			return
		}
		for i%batch == 0 && !ready() {
			runtime.Gosched()
		}
		nc.Write(buf[:n])
	}
}

// echoOne answers on one connection, and allocates nothing for it.
func echoOne(ln net.Listener) {
	nc, err := ln.Accept()
	if err != nil {
		return
	}
	defer nc.Close()
	io.CopyBuffer(struct{ io.Writer }{nc}, struct{ io.Reader }{nc}, make([]byte, 1024))
}
