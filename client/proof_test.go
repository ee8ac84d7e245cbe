package client_test

import (
	"context"
	"crypto/tls"
	"errors"
	"math"
	"net"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"example.com/sockets"
	"example.com/sockets/client"
	"example.com/sockets/simnet"
)

// What a write that fails at its first byte proves depends on what it was given
// to; what ended before proves it everywhere.
func TestNotSentProof(t *testing.T) {
	inWorld(t, simnet.Options{}, func(t *testing.T, w *world) {
		cert, roots := certificate(t, "10.0.0.2")
		silence(w, &tls.Config{Certificates: []tls.Certificate{cert}})
		d := w.dialer(client.Dialer{TLS: &tls.Config{RootCAs: roots}})
		checkProof(t, d, "10.0.0.2:80", false)
	})
	inWorld(t, simnet.Options{}, func(t *testing.T, w *world) {
		silence(w, nil)
		checkProof(t, w.dialer(client.Dialer{}), "10.0.0.2:80", false)
	})
	checkProof(t, &client.Dialer{}, newPeerTCP(t).Addr().String(), true)
}

func checkProof(t *testing.T, d *client.Dialer, address string, want bool) {
	t.Helper()
	c := must(d.DialTCP(t.Context(), address))(t)
	defer c.Close()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Call(ended, []byte("x")); !sockets.NotSent(err) {
		t.Errorf("before it began: %v", err)
	}
	if _, err := c.Call(t.Context(), []byte("two\nlines")); !sockets.NotSent(err) {
		t.Errorf("refused: %v", err)
	}
	raw := c.NetConn()
	for over, ok := raw.(layer); ok; over, ok = raw.(layer) {
		raw = over.NetConn()
	}
	raw.(interface{ CloseWrite() error }).CloseWrite()
	_, err := c.Call(t.Context(), []byte("x"))
	if !errors.Is(err, syscall.EPIPE) || sockets.NotSent(err) != want {
		t.Errorf("%T: NotSent is %v: %v", c.NetConn(), sockets.NotSent(err), err)
	}
}

// layer is what lies over a connection and shows it.
type layer interface{ NetConn() net.Conn }

// A user's way to say never is not a time in the past.
func TestRetryNever(t *testing.T) {
	inWorld(t, simnet.Options{}, func(t *testing.T, w *world) {
		var sent atomic.Int64
		address := w.udp(func(int, []byte, func(string)) { sent.Add(1) })
		u := dialUDP(t, w.dialer(client.Dialer{Retry: client.Retry{First: math.MaxInt64, Max: math.MaxInt64}}), address)
		if _, err := u.Call(t.Context(), []byte("x")); !sockets.IsTimeout(err) || sent.Load() != 1 {
			t.Errorf("%d were sent: %v", sent.Load(), err)
		}
	})
}

// An address that a user wrote is shown in an error, but not whatever it is.
func TestPoolAddressIsShownSafely(t *testing.T) {
	p := &client.Pool{Address: "host:80\r\nQUIT " + strings.Repeat("x", 10_000)}
	defer p.Close()
	_, err := p.Call(t.Context(), []byte("x"))
	if err == nil || len(err.Error()) > 600 || strings.ContainsAny(err.Error(), "\r\n") {
		t.Errorf("got %.1000v", err)
	}
}
