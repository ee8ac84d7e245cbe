package client_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"example.com/sockets"
	"example.com/sockets/addr"
	"example.com/sockets/client"
	"example.com/sockets/simnet"
)

// serveLines answers every line of every connection with its upper case.
func serveLines(t *testing.T, ln net.Listener) {
	t.Helper()
	var conns sync.WaitGroup
	t.Cleanup(func() { ln.Close(); conns.Wait() })
	conns.Go(func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			conns.Go(func() {
				c := sockets.NewConn(nc, nil)
				defer c.Close()
				for line, err := range c.Messages() {
					if err != nil || c.WriteMessage(upper(line)) != nil {
						return
					}
				}
			})
		}
	})
}

func listen(t *testing.T, network, address string) net.Listener {
	t.Helper()
	ln, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	serveLines(t, ln)
	return ln
}

// callHello makes sure that c reaches a server of lines.
func callHello(t *testing.T, c *sockets.Conn) {
	t.Helper()
	if reply, err := c.Call(t.Context(), []byte("hello")); err != nil || string(reply) != "HELLO" {
		t.Errorf("got %q, %v", reply, err)
	}
}

func TestDialTCP(t *testing.T) {
	tests := []struct{ network, listen, dial string }{
		{"tcp", "127.0.0.1:0", ""},
		{"tcp", "localhost:0", "localhost"},
		{"tcp", ":0", "0.0.0.0"},
		{"tcp", "127.0.0.1:0", "::"},
		{"tcp", "127.0.0.1:0", "-"}, // an empty host
		{"unix", filepath.Join(t.TempDir(), "socket"), ""},
	}
	if runtime.GOOS == "linux" {
		tests = append(tests, struct{ network, listen, dial string }{"unix", "@client-test-" + filepath.Base(t.TempDir()) + t.Name(), ""})
	}
	for _, tt := range tests {
		t.Run(tt.network+" "+tt.listen, func(t *testing.T) {
			address := listen(t, tt.network, tt.listen).Addr().String()
			if tt.network == "unix" {
				address = "unix:" + address
			}
			if tt.dial != "" {
				_, port, _ := net.SplitHostPort(address)
				address = net.JoinHostPort(strings.Trim(tt.dial, "-"), port)
			}
			c, err := client.DialTCP(t.Context(), address)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			callHello(t, c)
		})
	}
}

// The context has no effect once DialTCP has returned.
func TestDialTCPContextEnds(t *testing.T) {
	address := listen(t, "tcp", "127.0.0.1:0").Addr().String()
	ctx, cancel := context.WithCancel(t.Context())
	c, err := client.DialTCP(ctx, address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	cancel()
	callHello(t, c)
}

func TestDialTCPErrors(t *testing.T) {
	refusing := closedPort(t) // of UDP; of TCP nobody has it either, most likely
	forbidden := errors.New("loopback is forbidden")
	tests := []struct {
		name    string
		dialer  client.Dialer
		address string
		is      error
		text    string
	}{
		{"refused", client.Dialer{}, refusing, syscall.ECONNREFUSED, "dial " + refusing + "/tcp: "},
		{"no port", client.Dialer{}, "localhost", nil, "port"},
		{"port zero", client.Dialer{}, "localhost:0", nil, `dial "localhost:0": port 0`},
		{"numeric host", client.Dialer{}, "0x7f.1:80", nil, "0x7f.1"},
		{"control characters", client.Dialer{}, "host:80\r\nQUIT", nil, `\r\n`},
		{"no unix path", client.Dialer{}, "unix:", nil, "unix:/path"},
		{"no unix socket", client.Dialer{}, "unix:/nonexistent/socket", syscall.ENOENT, "dial unix:/nonexistent/socket: "},
		{"not allowed", client.Dialer{Allow: func(addr.Endpoint) error { return forbidden }}, "localhost:80", forbidden, "not allowed: loopback is forbidden"},
		{"unix not allowed", client.Dialer{Allow: func(e addr.Endpoint) error {
			if !e.IsValid() {
				return forbidden
			}
			return nil
		}}, "unix:/tmp/socket", forbidden, "not allowed"},
		{"no address", client.Dialer{Resolve: resolver()}, "name:80", nil, "no address"},
		{"multicast", client.Dialer{}, "224.0.0.1:80", nil, "multicast"},
		{"broadcast", client.Dialer{}, "255.255.255.255:80", nil, "broadcast"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := tt.dialer.DialTCP(t.Context(), tt.address)
			if err == nil || !strings.Contains(err.Error(), tt.text) || strings.ContainsAny(err.Error(), "\r\n") {
				t.Errorf("got %q, want %q in it", err, tt.text)
			}
			if tt.is != nil && !errors.Is(err, tt.is) {
				t.Errorf("%v does not match %v", err, tt.is)
			}
			if !sockets.NotSent(err) {
				t.Errorf("%v: NotSent is false", err)
			}
		})
	}
}

func TestDialTCPCancelled(t *testing.T) {
	inWorld(t, simnet.Options{}, func(t *testing.T, w *world) {
		w.Partition("client", "server")
		why := errors.New("lost interest")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(50*ms, func() { cancel(why) })
		_, err := w.dialer(client.Dialer{}).DialTCP(ctx, "10.0.0.2:80")
		if !errors.Is(err, context.Canceled) || !errors.Is(err, why) || sockets.IsTimeout(err) || w.now() != 50*ms {
			t.Errorf("at %v: %v", w.now(), err)
		}
		_, err = w.dialer(client.Dialer{}).DialTCP(ctx, "10.0.0.2:80")
		if !errors.Is(err, why) || w.now() != 50*ms {
			t.Errorf("with a context that has ended, at %v: %v", w.now(), err)
		}
	})
}

func TestDialTCPTimeout(t *testing.T) {
	for _, tt := range []struct {
		dialer client.Dialer
		want   time.Duration
	}{
		{client.Dialer{}, 10 * time.Second},
		{client.Dialer{Timeout: time.Second}, time.Second},
		{client.Dialer{Timeout: -1}, time.Hour},
	} {
		inWorld(t, simnet.Options{}, func(t *testing.T, w *world) {
			tt.dialer.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			_, err := tt.dialer.DialTCP(ctx, "10.0.0.2:80")
			if !sockets.IsTimeout(err) || w.now() != tt.want {
				t.Errorf("at %v: %v, want %v", w.now(), err, tt.want)
			}
		})
	}
}

// Black holes and live addresses, in every order: when the connection is there,
// and that no other is left.
func TestDialTCPRace(t *testing.T) {
	const hole, dead, live = "10.9.9.9", "10.0.0.3", "10.0.0.2"
	const live6 = "fd00::2"
	tests := []struct {
		name  string
		hosts []string
		want  time.Duration // the connection itself takes 20 ms
		tries []string
	}{
		{"first", []string{live, hole}, 20 * ms, []string{live}},
		{"after a black hole", []string{hole, live}, 270 * ms, []string{hole, live}},
		{"after two of one family", []string{hole, hole, live}, 520 * ms, []string{hole, hole, live}},
		{"after a refusal", []string{dead, live}, 40 * ms, []string{dead, live}},
		{"families take turns", []string{"fd00::9", "fd00::8", "fd00::7", live}, 270 * ms, []string{"fd00::9", live}},
		{"both families", []string{live6, live}, 20 * ms, []string{live6}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, simnet.Options{Link: simnet.Link{Latency: 10 * ms}}, func(t *testing.T, w *world) {
				w.Host("other")
				w.Host("holes", parseAll(hole, "fd00::9", "fd00::8", "fd00::7")...)
				w.Partition("client", "holes")
				ln, err := w.server.Listen(t.Context(), "tcp", ":80")
				if err != nil {
					t.Fatal(err)
				}
				serveLines(t, ln)
				var got client.Report
				open := &counter{}
				d := w.dialer(client.Dialer{Resolve: resolver(tt.hosts...), Report: func(r client.Report) { got = r }})
				d.DialContext = open.dial(d.DialContext)
				c, err := d.DialTCP(t.Context(), "name:80")
				if err != nil {
					t.Fatal(err)
				}
				if w.now() != tt.want || got.Took != tt.want {
					t.Errorf("took %v, reported %v, want %v", w.now(), got.Took, tt.want)
				}
				var tries []string
				for _, a := range got.Attempts {
					tries = append(tries, a.To.Addr().String())
				}
				if last := got.Attempts[len(got.Attempts)-1]; strings.Join(tries, " ") != strings.Join(tt.tries, " ") || last.Err != nil {
					t.Errorf("tried %v, %v", tries, last.Err)
				}
				callHello(t, c)
				c.Close()
				if n := open.n.Load(); n != 0 {
					t.Errorf("%d connections are open", n)
				}
			})
		})
	}
}

// Two connections at the same time: the loser is closed.
func TestDialTCPLoserIsClosed(t *testing.T) {
	inWorld(t, simnet.Options{}, func(t *testing.T, w *world) {
		w.SetLink("client", "server", simnet.Link{Latency: 280 * ms})
		w.Host("other")
		w.SetLink("client", "other", simnet.Link{Latency: 30 * ms})
		for _, h := range []*simnet.Host{w.server, w.Host("other")} {
			ln, err := h.Listen(t.Context(), "tcp", ":80")
			if err != nil {
				t.Fatal(err)
			}
			serveLines(t, ln)
		}
		open := &counter{}
		var report client.Report
		d := w.dialer(client.Dialer{Resolve: resolver("10.0.0.2", "10.0.0.3"), Report: func(r client.Report) { report = r }})
		d.DialContext = open.dial(func(ctx context.Context, network, address string) (net.Conn, error) {
			return w.client.DialContext(context.WithoutCancel(ctx), network, address) // comes too late to be cancelled
		})
		c, err := d.DialTCP(t.Context(), "name:80")
		if err != nil {
			t.Fatal(err)
		}
		callHello(t, c)
		if n := open.n.Load(); n != 1 || len(report.Attempts) != 2 {
			t.Errorf("%d connections are open, report %+v", n, report)
		}
		c.Close()
	})
}

// What is reported of a dial, to the nanosecond: a name that takes 5 ms to look up,
// an address that is silent, one that refuses, and one that is too slow for the last.
func TestDialTCPReport(t *testing.T) {
	inWorld(t, simnet.Options{}, func(t *testing.T, w *world) {
		delays := map[string]time.Duration{"10.0.0.3:80": 10 * ms, "10.0.0.4:80": 500 * ms, "10.0.0.2:80": 20 * ms}
		var got []client.Report
		d := client.Dialer{Report: func(r client.Report) { got = append(got, r) }}
		d.Resolve = func(ctx context.Context, tr addr.Transport, s string) ([]addr.Endpoint, error) {
			time.Sleep(5 * ms)
			return resolver("10.9.9.9", "10.0.0.3", "10.0.0.4", "10.0.0.2")(ctx, tr, s)
		}
		d.DialContext = func(ctx context.Context, _, address string) (net.Conn, error) {
			if delays[address] == 0 {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			time.Sleep(delays[address]) // and does not heed ctx
			if address == "10.0.0.3:80" {
				return nil, syscall.ECONNREFUSED
			}
			here, there := net.Pipe()
			t.Cleanup(func() { there.Close() })
			return here, nil
		}
		c, err := d.DialTCP(t.Context(), "name:80")
		if err != nil || len(got) != 1 {
			t.Fatal(got, err)
		}
		c.Close()
		checkReport(t, w, got[0], "name:80", 5*ms, 765*ms, []string{
			"10.9.9.9:80 at 5ms for 530ms: dial 10.9.9.9:80/tcp: another address was faster",
			"10.0.0.3:80 at 255ms for 10ms: dial 10.0.0.3:80/tcp: connection refused",
			"10.0.0.4:80 at 265ms for 500ms: dial 10.0.0.4:80/tcp: another address was faster",
			"10.0.0.2:80 at 515ms for 20ms: <nil>",
		})
		_, err = d.DialTCP(t.Context(), "name")
		if len(got) != 2 || got[1].Address != "name" || len(got[1].Attempts) != 0 || err == nil {
			t.Errorf("a dial that failed at once: %+v, %v", got[1:], err)
		}
	})
}

func checkReport(t *testing.T, w *world, r client.Report, address string, resolving, took time.Duration, attempts []string) {
	t.Helper()
	if r.Address != address || r.Resolving != resolving || r.Took != took || !r.Start.Equal(w.start) {
		t.Errorf("%q at %v: resolving %v, took %v", r.Address, r.Start, r.Resolving, r.Took)
	}
	for i, a := range r.Attempts {
		line := fmt.Sprintf("%s at %v for %v: %v", a.Address, a.Start.Sub(w.start), a.Took, a.Err)
		if i >= len(attempts) || line != attempts[i] || a.To.HostPort() != a.Address {
			t.Errorf("attempt %d, of %d: %s", i+1, len(attempts), line)
		}
	}
}

// Every address's failure is in the error, with the address.
func TestDialTCPAllFail(t *testing.T) {
	inWorld(t, simnet.Options{}, func(t *testing.T, w *world) {
		w.Host("other")
		d := w.dialer(client.Dialer{Timeout: time.Second, Resolve: resolver("10.0.0.3", "fd00::3", "10.0.0.4")})
		d.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			if strings.HasPrefix(address, "[") {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return w.client.DialContext(ctx, network, address)
		}
		_, err := d.DialTCP(t.Context(), "name:80")
		for _, target := range []error{syscall.ECONNREFUSED, syscall.EHOSTUNREACH, context.DeadlineExceeded} {
			if !errors.Is(err, target) {
				t.Errorf("%v does not match %v", err, target)
			}
		}
		want := `dial "name:80": dial 10.0.0.3:80/tcp: connect: connection refused; ` +
			`dial 10.0.0.4:80/tcp: connect: no route to host; dial [fd00::3]:80/tcp: deadline exceeded`
		if err == nil || err.Error() != want {
			t.Errorf("got  %v\nwant %v", err, want)
		}
		var failed *client.DialError
		if !errors.As(err, &failed) || len(failed.Report.Attempts) != 3 || !failed.Timeout() {
			t.Errorf("got %#v", failed)
		}
	})
}

// A server that starts late is reached by one of the attempts that Retry grants.
func TestDialTCPRetry(t *testing.T) {
	for _, tt := range []struct {
		name     string
		attempts int
		start    time.Duration // of the server; 0: never
		rounds   int
		waits    time.Duration
	}{
		{"once by default", 0, 0, 1, 0},
		{"three times", 3, 0, 3, 3 * time.Second},
		{"until it works", -1, 6 * time.Second, 4, 7 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, simnet.Options{}, func(t *testing.T, w *world) {
				if tt.start > 0 {
					time.AfterFunc(tt.start, func() {
						ln, err := w.server.Listen(t.Context(), "tcp", ":80")
						if err != nil {
							t.Error(err)
						}
						serveLines(t, ln)
					})
				}
				var report client.Report
				d := w.dialer(client.Dialer{Retry: client.Retry{Attempts: tt.attempts}, Report: func(r client.Report) { report = r }})
				c, err := d.DialTCP(t.Context(), "10.0.0.2:80")
				if (err == nil) != (tt.start > 0) {
					t.Errorf("got %v", err)
				}
				if c != nil {
					c.Close()
				}
				if !near(w.now(), tt.waits) || len(report.Attempts) != tt.rounds {
					t.Errorf("after %v, %d rounds, want %v and %d", w.now(), len(report.Attempts), tt.waits, tt.rounds)
				}
			})
		})
	}
}

// A pause between attempts ends with the context, and the error still says what
// the pause was for.
func TestDialTCPPauseEnds(t *testing.T) {
	inWorld(t, simnet.Options{}, func(t *testing.T, w *world) {
		ctx, cancel := context.WithTimeout(t.Context(), 500*ms)
		defer cancel()
		_, err := w.dialer(client.Dialer{Retry: client.Retry{Attempts: -1}}).DialTCP(ctx, "10.0.0.2:80")
		if !sockets.IsTimeout(err) || !errors.Is(err, syscall.ECONNREFUSED) || w.now() != 500*ms {
			t.Errorf("at %v: %v", w.now(), err)
		}
		want := `dial "10.0.0.2:80": deadline exceeded; dial 10.0.0.2:80/tcp: connect: connection refused`
		if err == nil || err.Error() != want {
			t.Errorf("got  %v\nwant %v", err, want)
		}
	})
}

// What no time mends is not tried again.
func TestDialTCPNoRetry(t *testing.T) {
	inWorld(t, simnet.Options{}, func(t *testing.T, w *world) {
		asked := 0
		d := w.dialer(client.Dialer{Retry: client.Retry{Attempts: 5}, Allow: func(addr.Endpoint) error {
			asked++
			return errors.New("no")
		}})
		if _, err := d.DialTCP(t.Context(), "10.0.0.2:80"); err == nil || asked != 1 || w.now() != 0 {
			t.Errorf("asked %d times in %v: %v", asked, w.now(), err)
		}
	})
}

// A connection to oneself is none.
func TestDialTCPSelf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := client.Dialer{DialContext: func(context.Context, string, string) (net.Conn, error) {
			here, there := net.Pipe()
			there.Close()
			return named{here, &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 80}}, nil
		}}
		if _, err := d.DialTCP(t.Context(), "10.0.0.1:80"); err == nil || !strings.Contains(err.Error(), "itself") {
			t.Errorf("got %v", err)
		}
	})
}

func TestDialTCPLocal(t *testing.T) {
	address := listen(t, "tcp", "127.0.0.1:0").Addr().String()
	d := client.Dialer{Local: addr.MustParse(addr.TCP, "127.0.0.2:0")}
	c, err := d.DialTCP(t.Context(), address)
	if err != nil {
		t.Skipf("this system has one loopback address: %v", err)
	}
	defer c.Close()
	if got := c.Local().Addr(); got != d.Local.Addr() {
		t.Errorf("Local = %v", got)
	}
	callHello(t, c)
}

// A call's time is the Dialer's where its context has no deadline.
func TestDialTCPCallTimeout(t *testing.T) {
	inWorld(t, simnet.Options{}, func(t *testing.T, w *world) {
		ln, err := w.server.Listen(t.Context(), "tcp", ":80")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		c, err := w.dialer(client.Dialer{Timeout: 3 * time.Second}).DialTCP(t.Context(), "10.0.0.2:80")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := c.Call(t.Context(), []byte("hello")); !sockets.IsTimeout(err) || w.now() != 3*time.Second {
			t.Errorf("at %v: %v", w.now(), err)
		}
	})
}

// named is a connection with another local address.
type named struct {
	net.Conn
	local net.Addr
}

func (n named) LocalAddr() net.Addr { return n.local }

// counter counts the connections that are open.
type counter struct{ n, most atomic.Int64 }

type counted struct {
	net.Conn
	close func() error
}

func (c counted) Close() error { return c.close() }

func (c *counter) dial(dial func(context.Context, string, string) (net.Conn, error)) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		nc, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		n := c.n.Add(1)
		for m := c.most.Load(); n > m && !c.most.CompareAndSwap(m, n); m = c.most.Load() {
		}
		return counted{nc, sync.OnceValue(func() error { c.n.Add(-1); return nc.Close() })}, nil
	}
}
