//go:build !race

package client_test

import (
	"context"
	"net"
	"testing"
	"time"

	"example.com/sockets"
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

// A call through a pool allocates its reply, and what the connection does: the
// watcher of the call, and the two errors with which Await says that it was woken.
func TestPoolCallAllocs(t *testing.T) {
	ln := must(net.Listen("tcp", "127.0.0.1:0"))(t)
	served := make(chan struct{})
	go func() {
		defer close(served)
		nc, err := ln.Accept()
		if err != nil {
			return
		}
		c := sockets.NewConn(nc, nil)
		defer c.Close()
		for line := range c.Messages() {
			c.WriteMessage(line)
		}
	}()
	defer func() { ln.Close(); <-served }()
	p := &client.Pool{Address: ln.Addr().String()}
	defer p.Close()
	request, ctx := []byte("hello"), context.Background()
	n := testing.AllocsPerRun(500, func() {
		if _, err := p.Call(ctx, request); err != nil {
			t.Error(err)
		}
	})
	if n > 4 {
		t.Errorf("%v allocations per call, want at most 4", n)
	}
}
