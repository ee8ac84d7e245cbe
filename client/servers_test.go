package client_test

import (
	"bytes"
	"context"
	"net"
	"runtime"
	"testing"
	"time"

	"example.com/sockets/client"
	"example.com/sockets/tcpserver"
	"example.com/sockets/udpserver"
)

func respondUpper(_ context.Context, request []byte) ([]byte, error) {
	return bytes.ToUpper(request), nil
}

// The module's own TCP server: when it stops, the pool's idle connections are gone
// at once, and when it is back the next call finds it.
func TestPoolAndTCPServer(t *testing.T) {
	ln := must(net.Listen("tcp", "127.0.0.1:0"))(t)
	address := ln.Addr().String()
	serve := func(ln net.Listener) (stop func()) {
		ctx, cancel := context.WithCancel(t.Context())
		served := make(chan error)
		s := &tcpserver.Server{Handler: tcpserver.Respond(respondUpper)}
		go func() { served <- s.Serve(ctx, ln) }()
		return func() {
			cancel()
			if err := <-served; err != nil {
				t.Errorf("Serve: %v", err)
			}
		}
	}
	stop := serve(ln)
	p := &client.Pool{Address: address}
	defer p.Close()
	calls(8, func(int) {
		for range 100 {
			wantCall(t, p, "hello")
		}
	})
	stop()
	for deadline := time.Now().Add(5 * time.Second); p.Stats().Open > 0; {
		if time.Now().After(deadline) {
			t.Fatalf("stats %+v", p.Stats())
		}
		runtime.Gosched() // the FINs are on their way to real watchers
	}
	stop = serve(must(net.Listen("tcp", address))(t))
	defer stop()
	wantCall(t, p, "again")
	if s := p.Stats(); s.Retired.Ended == 0 || s.Failed != 0 {
		t.Errorf("stats %+v", s)
	}
}

// The module's own UDP server.
func TestUDPAndUDPServer(t *testing.T) {
	pc := must(net.ListenPacket("udp", "127.0.0.1:0"))(t)
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error)
	s := &udpserver.Server{Handler: udpserver.Respond(respondUpper)}
	go func() { served <- s.Serve(ctx, pc) }()
	defer func() {
		cancel()
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	}()
	u := dialUDP(t, &client.Dialer{Match: bytes.EqualFold}, pc.LocalAddr().String())
	calls(8, func(i int) {
		for range 100 {
			request := []byte{'a' + byte(i), 'x'}
			if reply, err := u.Call(t.Context(), request); err != nil || !bytes.Equal(reply, bytes.ToUpper(request)) {
				t.Errorf("%s: got %q, %v", request, reply, err)
			}
		}
	})
}
