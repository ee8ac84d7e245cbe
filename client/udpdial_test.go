package client_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"

	"example.com/sockets"
	"example.com/sockets/addr"
	"example.com/sockets/client"
	"example.com/sockets/simnet"
)

func TestDialUDP(t *testing.T) {
	p := newPeer(t)
	p.serve(upper)
	u, err := client.DialUDP(t.Context(), p.address())
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	if reply, err := u.Call(t.Context(), []byte("hello")); string(reply) != "HELLO" {
		t.Errorf("got %q, %v", reply, err)
	}
}

func TestDialUDPErrors(t *testing.T) {
	boom := errors.New("boom")
	tests := []struct {
		name    string
		dialer  client.Dialer
		address string
		is      error
		text    string
	}{
		{"no port", client.Dialer{}, "localhost", nil, "no port"},
		{"port zero", client.Dialer{}, "localhost:0", nil, "port 0"},
		{"service of TCP", client.Dialer{}, "localhost:http", nil, "http"},
		{"unix", client.Dialer{}, "unix:/path", nil, "unix:/path"},
		{"not allowed", client.Dialer{Allow: func(addr.Endpoint) error { return boom }}, "127.0.0.1:7", boom, "dial 127.0.0.1:7/udp: not allowed: boom"},
		{"every address", client.Dialer{
			Resolve:     resolver("10.0.0.1", "10.0.0.2"),
			DialContext: func(context.Context, string, string) (net.Conn, error) { return nil, syscall.EMFILE },
		}, "name:7", syscall.EMFILE, `dial "name:7": dial 10.0.0.1:7/udp: too many open files; dial 10.0.0.2:7/udp: too many open files`},
		{"resolver", client.Dialer{Resolve: func(context.Context, addr.Transport, string) ([]addr.Endpoint, error) {
			return nil, boom
		}}, "name:7", boom, `dial "name:7": boom`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := tt.dialer.DialUDP(t.Context(), tt.address)
			if err == nil || !strings.Contains(err.Error(), tt.text) || !sockets.NotSent(err) {
				t.Errorf("got %v, want %q in it", err, tt.text)
			}
			if tt.is != nil && !errors.Is(err, tt.is) {
				t.Errorf("%v does not match %v", err, tt.is)
			}
		})
	}
}

// An address that has no socket is left for the next one, also by Send.
func TestDialUDPSkipsAddresses(t *testing.T) {
	inWorld(t, simnet.Options{}, func(t *testing.T, w *world) {
		got := 0
		w.udp(func(_ int, request []byte, answer func(string)) { got++; answer(string(request)) })
		d := w.dialer(client.Dialer{Resolve: resolver("fd00::9", "10.0.0.2", "10.0.0.9")})
		d.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			if !strings.HasPrefix(address, "10.0.0.2:") {
				return nil, syscall.ENETUNREACH
			}
			return w.client.DialContext(ctx, network, address)
		}
		u := dialUDP(t, d, "name:7")
		if err := u.Send([]byte("one")); err != nil {
			t.Error(err)
		}
		if reply, err := u.Receive(t.Context()); string(reply) != "one" {
			t.Errorf("got %q, %v", reply, err)
		}
		if reply, err := u.Call(t.Context(), []byte("two")); string(reply) != "two" || w.now() != 0 {
			t.Errorf("at %v: %q, %v", w.now(), reply, err)
		}
		if got != 2 {
			t.Errorf("the server got %d datagrams", got)
		}
	})
}

// bouncing is a socket of which each write first reports, instead of sending, that
// an earlier datagram came back.
type bouncing struct {
	net.Conn
	bounces int
}

func (b *bouncing) Write(p []byte) (int, error) {
	if b.bounces--; b.bounces >= 0 {
		return 0, &net.OpError{Op: "write", Net: "udp", Err: syscall.ECONNREFUSED}
	}
	return b.Conn.Write(p)
}

// A write that reports a bounce has not sent, and is made again once.
func TestUDPWriteBounces(t *testing.T) {
	for _, tt := range []struct {
		bounces  int
		failFast bool
		sent     int64
		err      error
	}{{1, false, 1, nil}, {1, true, 1, nil}, {3, false, 1, nil}, {1000, true, 0, client.ErrPortUnreachable}} {
		inWorld(t, simnet.Options{}, func(t *testing.T, w *world) {
			address := w.udp(func(_ int, request []byte, answer func(string)) { answer(string(request)) })
			d := w.dialer(client.Dialer{FailFast: tt.failFast})
			d.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
				nc, err := w.client.DialContext(ctx, network, address)
				return &bouncing{nc, tt.bounces}, err
			}
			u := dialUDP(t, d, address)
			_, err := u.Call(t.Context(), []byte("hello"))
			if !errors.Is(err, tt.err) || u.Stats().Sent != tt.sent {
				t.Errorf("%d bounces: %v, %+v", tt.bounces, err, u.Stats())
			}
			if tt.err != nil && !sockets.NotSent(err) {
				t.Errorf("nothing was sent, and %v", err)
			}
			synctest.Wait()
		})
	}
}
