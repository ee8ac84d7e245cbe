package client_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"example.com/sockets"
	"example.com/sockets/client"
	"example.com/sockets/internal/errno"
	"example.com/sockets/simnet"
)

// What a server may do to a request that it has read. Each call ends, by the
// Dialer's Timeout at the latest, and nothing that may have been executed is sent
// twice or called not sent.
var misdeeds = map[string]func(net.Conn){
	"silence":               func(nc net.Conn) { io.Copy(io.Discard, nc) },
	"an end":                func(net.Conn) {},
	"an end in the middle":  func(nc net.Conn) { nc.Write([]byte("HEL")) },
	"a reset":               func(nc net.Conn) { reset(nc) },
	"a reset in the middle": func(nc net.Conn) { nc.Write([]byte("HEL")); reset(nc) },
	"a flood without end": func(nc net.Conn) {
		for err := error(nil); err == nil; {
			_, err = nc.Write(bytes.Repeat([]byte("x"), 10_000))
		}
	},
	"a byte now and then": func(nc net.Conn) {
		for err := error(nil); err == nil; time.Sleep(100 * ms) {
			_, err = nc.Write([]byte("x"))
		}
	},
}

func reset(nc net.Conn) {
	if over, ok := nc.(*tls.Conn); ok {
		nc = over.NetConn()
	}
	nc.(*simnet.Conn).SetLinger(0)
	nc.Close()
}

func TestHostileServers(t *testing.T) {
	for _, secure := range []bool{false, true} {
		for name, do := range misdeeds {
			t.Run(name, func(t *testing.T) {
				inWorld(t, simnet.Options{Trace: -1}, func(t *testing.T, w *world) { checkHostile(t, w, secure, do) })
			})
		}
	}
}

// A server that never reads: a request that does not fit into the buffers on the way
// ends with its time, may have been executed for all the client knows, and is not sent
// again. The pool gives the connection up.
func TestServerNeverReads(t *testing.T) {
	inWorld(t, simnet.Options{ReadBuffer: 1000, WriteBuffer: 1000}, func(t *testing.T, w *world) {
		silence(w, nil)
		d := w.dialer(client.Dialer{Timeout: 3 * time.Second})
		c := must(d.DialTCP(t.Context(), "10.0.0.2:80"))(t)
		defer c.Close()
		p := newPool(w, &client.Pool{Dialer: *d})
		l := must(d.DialPipeline(t.Context(), "10.0.0.2:80", 0))(t)
		defer l.Close()
		for name, call := range map[string]func(context.Context, []byte) ([]byte, error){"conn": c.Call, "pool": p.Call, "pipeline": l.Call} {
			start := w.now()
			_, err := call(t.Context(), make([]byte, 10_000))
			if !sockets.IsTimeout(err) || sockets.NotSent(err) || w.now()-start != 3*time.Second {
				t.Errorf("%s: after %v: %v", name, w.now()-start, err)
			}
		}
		if s := p.Stats(); s.Retired.Broken != 1 || s.Dialed != 1 || s.Repeated != 0 {
			t.Errorf("stats %+v", s)
		}
	})
}

// A reset at each stage of a connection: nothing was sent before the request is, and
// each stage's error is the reset.
func TestResetAtEachStage(t *testing.T) {
	for _, tt := range []struct {
		name    string
		secure  bool
		read    int // lines that the server reads and answers first
		notSent bool
	}{
		{"in the handshake", true, 0, true},
		{"before the request", false, 0, false}, // by an in-memory connection nothing is proved
		{"after the first reply", false, 1, false},
	} {
		inWorld(t, simnet.Options{}, func(t *testing.T, w *world) {
			ln := must(w.server.Listen(t.Context(), "tcp", ":80"))(t)
			defer ln.Close()
			go func() {
				for nc, err := ln.Accept(); err == nil; nc, err = ln.Accept() {
					c := sockets.NewConn(nc, nil)
					for range tt.read {
						m, _ := c.ReadMessage()
						c.WriteMessage(m)
					}
					if tt.secure {
						nc.Read(make([]byte, 5))
					}
					reset(nc)
				}
			}()
			d := w.dialer(client.Dialer{})
			if tt.secure {
				d.TLS = &tls.Config{}
			}
			c, err := d.DialTCP(t.Context(), "10.0.0.2:80")
			for range tt.read + 1 {
				if err == nil {
					synctest.Wait()
					_, err = c.Call(t.Context(), []byte("x"))
				}
			}
			if !errno.In(err, syscall.ECONNRESET, syscall.EPIPE) || sockets.NotSent(err) != tt.notSent {
				t.Errorf("%s: NotSent %v: %v", tt.name, sockets.NotSent(err), err)
			}
			if c != nil {
				c.Close()
			}
		})
	}
}

func checkHostile(t *testing.T, w *world, secure bool, do func(net.Conn)) {
	d := w.dialer(client.Dialer{Timeout: 3 * time.Second})
	ln := must(w.server.Listen(t.Context(), "tcp", ":80"))(t)
	if secure {
		cert, roots := certificate(t, "10.0.0.2")
		d.TLS = &tls.Config{RootCAs: roots, Time: time.Now}
		ln = tls.NewListener(ln, &tls.Config{Certificates: []tls.Certificate{cert}})
	}
	requests := 0
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			if _, err := sockets.NewConn(nc, nil).ReadMessage(); err == nil {
				requests++
				do(nc)
			}
			nc.Close()
		}
	}()
	p := &client.Pool{Address: "10.0.0.2:80", Dialer: *d, Conns: 1}
	pipeline := func(ctx context.Context, request []byte) ([]byte, error) {
		l, err := d.DialPipeline(ctx, "10.0.0.2:80", 1)
		if err != nil {
			return nil, err
		}
		defer l.Close()
		return l.Call(ctx, request)
	}
	for name, call := range map[string]func(context.Context, []byte) ([]byte, error){"pool": p.Call, "pipeline": pipeline} {
		before, start := requests, w.now()
		_, err := call(t.Context(), []byte("transfer"))
		if err == nil || sockets.NotSent(err) || w.now()-start > 4*time.Second || errors.Is(err, net.ErrClosed) {
			t.Errorf("%s: after %v: %v", name, w.now()-start, err)
		}
		if requests != before+1 {
			t.Errorf("%s: the server got %d requests", name, requests-before)
		}
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	ln.Close()
	<-done
}
