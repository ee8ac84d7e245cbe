package client_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"os"
	"testing"
	"time"

	"example.com/sockets"
	"example.com/sockets/addr"
	"example.com/sockets/client"
	"example.com/sockets/simnet"
)

// endWith makes a context that ends at the time, with the cause.
func endWith(t *testing.T, after time.Duration, cause error) context.Context {
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(after, func() { cancel(cause) })
	return ctx
}

// silence accepts connections, with TLS if there is a configuration, and answers
// nothing but the handshake.
func silence(w *world, c *tls.Config) {
	ln := must(w.server.Listen(w.t.Context(), "tcp", ":80"))(w.t)
	done := make(chan struct{})
	w.t.Cleanup(func() { ln.Close(); <-done })
	go func() {
		defer close(done)
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			if c != nil {
				nc = tls.Server(nc, c)
				nc.(*tls.Conn).HandshakeContext(w.t.Context())
			}
			w.t.Cleanup(func() { nc.Close() })
		}
	}()
}

// Whatever is blocked ends with its context, at that very moment, with the cause,
// over TCP and over TLS.
func TestContextEndsWhatIsBlocked(t *testing.T) {
	why := errors.New("lost interest")
	for _, secure := range []bool{false, true} {
		inWorld(t, simnet.Options{}, func(t *testing.T, w *world) {
			d := w.dialer(client.Dialer{})
			var server *tls.Config
			if secure {
				cert, roots := certificate(t, "10.0.0.2")
				server = &tls.Config{Certificates: []tls.Certificate{cert}}
				d.TLS = &tls.Config{RootCAs: roots, Time: time.Now}
			}
			silence(w, server)
			c := must(d.DialTCP(t.Context(), "10.0.0.2:80"))(t)
			pool := &client.Pool{Address: "10.0.0.2:80", Dialer: *d, Conns: 1}
			hold := make(chan struct{})
			go pool.Do(t.Context(), func(context.Context, *sockets.Conn) error { <-hold; return nil })
			pipeline := must(d.DialPipeline(t.Context(), "10.0.0.2:80", 1))(t)
			greeting := &client.Pool{Address: "10.0.0.2:80", Dialer: *d, Restore: func(_ context.Context, c *sockets.Conn) error {
				_, err := c.ReadMessage()
				return err
			}}
			time.Sleep(time.Second)
			for name, f := range map[string]func(context.Context) error{
				"Call":                   func(ctx context.Context) error { _, err := c.Call(ctx, []byte("x")); return err },
				"a wait in a pool":       func(ctx context.Context) error { _, err := pool.Call(ctx, []byte("x")); return err },
				"a wait for Restore":     func(ctx context.Context) error { _, err := greeting.Call(ctx, []byte("x")); return err },
				"a call in a pipeline":   func(ctx context.Context) error { _, err := pipeline.Call(ctx, []byte("x")); return err },
				"a turn in the pipeline": func(ctx context.Context) error { _, err := pipeline.Call(ctx, []byte("x")); return err },
			} {
				start := w.now()
				err := f(endWith(t, 50*ms, why))
				if d := w.now() - start; d != 50*ms || !errors.Is(err, why) || !errors.Is(err, context.Canceled) || sockets.IsTimeout(err) {
					t.Errorf("TLS %v: %s: after %v: %v", secure, name, d, err)
				}
			}
			close(hold)
			c.Close()
			pipeline.Close()
			if err := pool.Close(); err != nil {
				t.Error(err)
			}
			start := w.now()
			if err := greeting.Close(); err != nil || w.now() != start {
				t.Errorf("Close during a silent Restore: after %v: %v", w.now()-start, err)
			}
		})
	}
}

// A look-up ends with the context of the dial, with the cause, whatever the resolver
// says of it.
func TestContextEndsLookup(t *testing.T) {
	why := errors.New("lost interest")
	inWorld(t, simnet.Options{}, func(t *testing.T, w *world) {
		d := w.dialer(client.Dialer{Retry: client.Retry{Attempts: -1}})
		d.Resolve = func(ctx context.Context, _ addr.Transport, _ string) ([]addr.Endpoint, error) {
			<-ctx.Done()
			return nil, errOwn
		}
		for name, dial := range map[string]func(context.Context) error{
			"TCP":      func(ctx context.Context) error { _, err := d.DialTCP(ctx, "name:80"); return err },
			"UDP":      func(ctx context.Context) error { _, err := d.DialUDP(ctx, "name:80"); return err },
			"pipeline": func(ctx context.Context) error { _, err := d.DialPipeline(ctx, "name:80", 0); return err },
		} {
			start := w.now()
			err := dial(endWith(t, 50*ms, why))
			if took := w.now() - start; took != 50*ms || !errors.Is(err, why) || !errors.Is(err, context.Canceled) || !sockets.NotSent(err) {
				t.Errorf("%s: after %v: %v", name, took, err)
			}
		}
	})
}

// Await, which has no context, ends by a deadline, an Abort or a Close, and a
// deadline that has passed ends nothing later.
func TestAwaitEnds(t *testing.T) {
	why := errors.New("lost interest")
	inWorld(t, simnet.Options{}, func(t *testing.T, w *world) {
		silence(w, nil)
		for name, tt := range map[string]struct {
			end  func(*sockets.Conn)
			want error
		}{
			"abort":    {func(c *sockets.Conn) { c.Abort(why) }, why},
			"close":    {func(c *sockets.Conn) { c.Close() }, net.ErrClosed},
			"deadline": {func(c *sockets.Conn) { c.SetReadDeadline(time.Now()) }, os.ErrDeadlineExceeded},
		} {
			c := must(w.dialer(client.Dialer{}).DialTCP(t.Context(), "10.0.0.2:80"))(t)
			start := w.now()
			time.AfterFunc(50*ms, func() { tt.end(c) })
			if err := c.Await(); !errors.Is(err, tt.want) || w.now()-start != 50*ms {
				t.Errorf("%s: after %v: %v", name, w.now()-start, err)
			}
			c.Close()
		}
	})
}

// A place that a silent Restore had is free again after the Dialer's Timeout.
func TestPoolRestoreIsBounded(t *testing.T) {
	inWorld(t, simnet.Options{}, func(t *testing.T, w *world) {
		silence(w, nil)
		p := newPool(w, &client.Pool{Dialer: client.Dialer{Timeout: 2 * time.Second}, Restore: func(_ context.Context, c *sockets.Conn) error {
			_, err := c.ReadMessage()
			return err
		}})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err := p.Call(ctx, []byte("hello"))
		if !sockets.IsTimeout(err) || !sockets.NotSent(err) || w.now() != 2*time.Second || p.Stats().Dialing != 0 {
			t.Errorf("at %v: %v, %+v", w.now(), err, p.Stats())
		}
	})
}

// The pauses between dials grow as long as connections end young, and begin anew
// when one has lasted.
func TestPoolPausesBeginAnew(t *testing.T) {
	for _, tt := range []struct {
		lasts time.Duration
		want  time.Duration // the pause before the second dial after it
	}{{4 * time.Second, 4 * time.Second}, {5 * time.Second, time.Second}} {
		inWorld(t, simnet.Options{}, func(t *testing.T, w *world) {
			s := &lineServer{}
			s.serve(w)
			s.drop.Store(true)
			p := newPool(w, &client.Pool{Conns: 1, Dialer: client.Dialer{Timeout: time.Minute}})
			for range 2 { // pauses of 1 and 2 s are behind us
				p.Call(t.Context(), []byte("x"))
			}
			s.drop.Store(false)
			err := p.Do(t.Context(), func(ctx context.Context, c *sockets.Conn) error {
				time.Sleep(tt.lasts)
				_, err := c.Call(ctx, []byte("hello"))
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			s.drop.Store(true)
			s.hangUp(func(c net.Conn) { c.Close() })
			time.Sleep(time.Minute)
			p.Call(t.Context(), []byte("x")) // dials at once, is dropped, and pauses
			start := w.now()
			s.drop.Store(false)
			wantCall(t, p, "hello")
			if d := w.now() - start; !near(d, tt.want) {
				t.Errorf("after one that lasted %v the pause is %v, want %v", tt.lasts, d, tt.want)
			}
		})
	}
}

// A name that leads to an address which is not allowed, in whatever form a resolver
// or a user writes it, is not dialled.
func TestAllowSeesThroughForms(t *testing.T) {
	dialled := 0
	forms := []string{
		"127.0.0.1", "127.255.0.9", "0.0.0.0", "::", "::1", "::ffff:127.0.0.1", "::127.0.0.1",
		"64:ff9b::7f00:1", "2002:7f00:1::", "2001::80ff:fffe", "::1%eth0",
	}
	d := client.Dialer{
		DialContext: func(context.Context, string, string) (net.Conn, error) { dialled++; return nil, errOwn },
		Resolve:     resolver(forms...),
		Allow: func(e addr.Endpoint) error {
			if e.IsLoopback() {
				return errOwn
			}
			return nil
		},
	}
	if _, err := d.DialTCP(t.Context(), "innocent.example:80"); err == nil || !sockets.NotSent(err) {
		t.Error(err)
	}
	if _, err := d.DialUDP(t.Context(), "innocent.example:80"); err == nil || !sockets.NotSent(err) {
		t.Error(err)
	}
	d.Resolve = nil
	for _, host := range append(forms, "0x7f.1", "2130706433", "017700000001", "127.1", "0", "１２７.0.0.1") {
		if _, err := d.DialTCP(t.Context(), net.JoinHostPort(host, "80")); err == nil {
			t.Errorf("%s is dialled", host)
		}
	}
	d.Resolve = func(context.Context, addr.Transport, string) ([]addr.Endpoint, error) {
		return []addr.Endpoint{{}}, nil // which stands for a unix socket
	}
	if _, err := d.DialTCP(t.Context(), "innocent.example:80"); err == nil {
		t.Error("no address is dialled")
	}
	if dialled != 0 {
		t.Errorf("%d were dialled", dialled)
	}
}

// A name with thousands of addresses is tried as long as there is time, and fails
// in few words.
func TestDialManyAddresses(t *testing.T) {
	inWorld(t, simnet.Options{}, func(t *testing.T, w *world) {
		hosts := make([]string, 5000)
		for i := range hosts {
			hosts[i] = "10.0.0.3"
		}
		w.Host("other")
		d := w.dialer(client.Dialer{Resolve: resolver(hosts...)})
		_, err := d.DialTCP(t.Context(), "name:80")
		var failed *client.DialError
		if !errors.As(err, &failed) || len(failed.Report.Attempts) != 5000 || len(err.Error()) > 1000 {
			t.Errorf("%.2000v", err)
		}
		open := &counter{}
		d.DialContext = open.dial(func(ctx context.Context, _, _ string) (net.Conn, error) { <-ctx.Done(); return nil, ctx.Err() })
		start := w.now()
		_, err = d.DialTCP(t.Context(), "name:80")
		if !errors.As(err, &failed) || len(failed.Report.Attempts) > 41 || w.now()-start != 10*time.Second {
			t.Errorf("%d attempts in %v", len(failed.Report.Attempts), w.now()-start)
		}
	})
}

// Without a listener a socket may connect to itself.
func TestDialTCPSelfReal(t *testing.T) {
	ln := must(net.Listen("tcp", "127.0.0.1:0"))(t)
	here := ln.Addr().String()
	ln.Close()
	d := client.Dialer{Local: addr.MustParse(addr.TCP, here)}
	if c, err := d.DialTCP(t.Context(), here); err == nil || !sockets.NotSent(err) {
		t.Errorf("got %v, %v", c, err)
	}
}
