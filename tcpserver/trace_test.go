package tcpserver_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/sockets"
	"example.com/sockets/simnet"
	"example.com/sockets/tcpserver"
)

// moments notes the callbacks of a trace, in their order for each connection.
type moments struct {
	mu    sync.Mutex
	of    map[uint64][]string
	order []uint64
}

func (m *moments) note(c *sockets.Conn, what string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.of == nil {
		m.of = map[uint64][]string{}
	}
	if m.of[c.ID()] == nil {
		m.order = append(m.order, c.ID())
	}
	m.of[c.ID()] = append(m.of[c.ID()], what)
}

func (m *moments) trace() *tcpserver.Trace {
	return &tcpserver.Trace{
		Open:      func(c *sockets.Conn) { m.note(c, "open") },
		Handshake: func(c *sockets.Conn, err error) { m.note(c, fmt.Sprint("handshake ", short(err))) },
		FirstByte: func(c *sockets.Conn) { m.note(c, "first byte") },
		Idle:      func(c *sockets.Conn) { m.note(c, "idle") },
		Close:     func(c *sockets.Conn, err error) { m.note(c, fmt.Sprint("close ", short(err))) },
	}
}

// short is what an error is about, without where.
func short(err error) string {
	for e := err; e != nil; e = errors.Unwrap(e) {
		err = e
	}
	return fmt.Sprint(err)
}

// TestTrace: each callback is called at its moment, once or as often as it says, with
// its connection and what there is to tell.
func TestTrace(t *testing.T) {
	odd := errors.New("odd")
	oddly := func(context.Context, *sockets.Conn) error { return odd }
	tests := []struct {
		name    string
		server  tcpserver.Server
		client  func(t *testing.T, c net.Conn)
		moments string
	}{
		{"a dialogue", tcpserver.Server{Handler: upper}, func(t *testing.T, c net.Conn) {
			ask(t, c, "x")
			ask(t, c, "y")
		}, "open, idle, first byte, idle, idle, close <nil>"},
		{"nothing", tcpserver.Server{Handler: upper}, func(*testing.T, net.Conn) {}, "open, idle, close <nil>"},
		{"two messages at once", tcpserver.Server{Handler: upper}, func(t *testing.T, c net.Conn) {
			c.Write([]byte("x\ny\n"))
			io.ReadFull(c, make([]byte, 4))
		}, "open, idle, first byte, idle, close <nil>"},
		{"Read", tcpserver.Server{Handler: func(_ context.Context, c *sockets.Conn) error {
			_, err := io.Copy(io.Discard, c)
			return err
		}}, func(t *testing.T, c net.Conn) {
			c.Write([]byte("x"))
			c.Write([]byte("x"))
		}, "open, first byte, close <nil>"},
		{"an error", tcpserver.Server{Handler: oddly}, func(*testing.T, net.Conn) {}, "open, close odd"},
		{"a panic", tcpserver.Server{Handler: func(context.Context, *sockets.Conn) error { panic("boom") }},
			func(*testing.T, net.Conn) {}, "open, close the handler panicked: boom"},
		{"TLS", tcpserver.Server{Handler: upper, TLS: serverTLS()}, func(t *testing.T, c net.Conn) {
			ask(t, tls.Client(c, clientTLS()), "x")
		}, "open, handshake <nil>, idle, first byte, idle, close <nil>"},
		{"TLS, nothing", tcpserver.Server{Handler: upper, TLS: serverTLS()}, func(*testing.T, net.Conn) {},
			"open, handshake EOF, close EOF"},
		{"Prepare fails", tcpserver.Server{Handler: upper, Prepare: func(context.Context, net.Conn) (net.Conn, error) { return nil, odd }},
			func(*testing.T, net.Conn) {}, "open, handshake odd, close odd"},
	}
	for i := range tests {
		tt := &tests[i] // a Server is not copied
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				var seen moments
				tt.server.Trace = seen.trace()
				r := serveSim(t, &tt.server)
				c := r.client()
				tt.client(t, c)
				synctest.Wait()
				c.Close()
				synctest.Wait()
				if got := strings.Join(seen.of[seen.order[0]], ", "); got != tt.moments {
					t.Errorf("%s\nwant\n%s", got, tt.moments)
				}
				if err := r.wait(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// TestTraceIsPartial: nil callbacks are left out, whichever they are.
func TestTraceIsPartial(t *testing.T) {
	count := 0
	for i, trace := range []*tcpserver.Trace{
		{},
		{Open: func(*sockets.Conn) { count++ }},
		{Handshake: func(*sockets.Conn, error) { count++ }},
		{FirstByte: func(*sockets.Conn) { count++ }},
		{Idle: func(*sockets.Conn) { count++ }},
		{Close: func(*sockets.Conn, error) { count++ }},
	} {
		inBubble(t, func(t *testing.T) {
			count = 0
			r := serveSim(t, &tcpserver.Server{Handler: upper, TLS: serverTLS(), Trace: trace})
			c := tls.Client(r.client(), clientTLS())
			ask(t, c, "x")
			c.Close()
			if err := r.wait(); err != nil {
				t.Error(err)
			}
			if want := []int{0, 1, 1, 1, 2, 1}[i]; count != want {
				t.Errorf("trace %d: %d calls, want %d", i, count, want)
			}
		})
	}
}

// TestTraceOfRejected: a connection that never had a place is no connection to a
// trace; one that was rejected behind its handshake is.
func TestTraceOfRejected(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var seen moments
		release := make(chan struct{})
		r := serveSim(t, &tcpserver.Server{Handler: busy(release), Trace: seen.trace(),
			Limits: tcpserver.Limits{Conns: 1, Overload: tcpserver.Reject}})
		first, second := r.client(), r.client()
		hello(t, first)
		if err := ended(second); err != io.EOF {
			t.Error(err)
		}
		second.Close()
		first.Close()
		close(release)
		if err := r.wait(); err != nil {
			t.Error(err)
		}
		if len(seen.order) != 1 {
			t.Errorf("%v", seen.of)
		}
	})
}

// entries keeps the records of a log.
type entries struct {
	mu  sync.Mutex
	all []slog.Record
}

func (*entries) Enabled(context.Context, slog.Level) bool { return true }
func (e *entries) WithAttrs([]slog.Attr) slog.Handler     { return e }
func (e *entries) WithGroup(string) slog.Handler          { return e }
func (e *entries) Handle(_ context.Context, r slog.Record) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.all = append(e.all, r)
	return nil
}

// about are the records about connections.
func (e *entries) about() (all []slog.Record) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(e.all), func(r slog.Record) bool { return r.Message == "serving" })
}

// TestLogLevels: what strangers on the network do is no warning, a probe is not even
// information; what the handler or the operator should look at is. Each line names
// the connection.
func TestLogLevels(t *testing.T) {
	const none = slog.Level(-100)
	over := func(c net.Conn) *tls.Conn { return tls.Client(c, clientTLS()) }
	reset := func(c net.Conn) { c.(*simnet.Conn).SetLinger(0) }
	reader := func(_ context.Context, c *sockets.Conn) error {
		_, err := c.ReadMessage()
		return err
	}
	writer := func(_ context.Context, c *sockets.Conn) error {
		for {
			if err := c.WriteMessage(bytes.Repeat([]byte("x"), 10_000)); err != nil {
				return err
			}
		}
	}
	tests := []struct {
		name   string
		server tcpserver.Server
		client func(c net.Conn) // which then closes
		most   slog.Level
		phase  string
	}{
		{"probe", tcpserver.Server{Handler: reader}, func(net.Conn) {}, none, ""},
		{"probe of Respond", tcpserver.Server{Handler: upper}, func(net.Conn) {}, none, ""},
		{"probe of TLS", tcpserver.Server{Handler: upper, TLS: serverTLS()}, func(net.Conn) {}, slog.LevelDebug, "handshake"},
		{"probe of Prepare", tcpserver.Server{Handler: upper, Prepare: proxyHeader}, func(net.Conn) {}, slog.LevelDebug, "handshake"},
		{"probe that resets", tcpserver.Server{Handler: reader}, reset, slog.LevelInfo, "handler"},
		{"probe of TLS that resets", tcpserver.Server{Handler: upper, TLS: serverTLS()}, reset, slog.LevelInfo, "handshake"},
		{"reset in a dialogue", tcpserver.Server{Handler: upper}, func(c net.Conn) {
			c.Write([]byte("x\n"))
			c.Read(make([]byte, 2))
			reset(c)
		}, slog.LevelInfo, "handler"},
		{"does not read any more", tcpserver.Server{Handler: writer}, func(c net.Conn) { c.Read(make([]byte, 10)) }, slog.LevelInfo, "handler"},
		{"gone inside a message", tcpserver.Server{Handler: reader}, func(c net.Conn) { c.Write([]byte("half")) }, slog.LevelInfo, "handler"},
		{"a line that is too long", tcpserver.Server{Handler: upper}, func(c net.Conn) { c.Write(make([]byte, 100_000)) }, slog.LevelInfo, "handler"},
		{"noise for TLS", tcpserver.Server{Handler: upper, TLS: serverTLS()}, func(c net.Conn) {
			c.Write([]byte("hello, hello\n"))
			time.Sleep(time.Second)
		}, slog.LevelInfo, "handshake"},
		{"no trust", tcpserver.Server{Handler: upper, TLS: serverTLS()}, func(c net.Conn) {
			tls.Client(c, &tls.Config{ServerName: "test", RootCAs: trust()}).Handshake()
		}, slog.LevelInfo, "handshake"},
		{"handshake timeout", tcpserver.Server{Handler: upper, TLS: serverTLS()}, func(c net.Conn) { time.Sleep(time.Minute) }, slog.LevelInfo, "handshake"},
		{"message timeout", tcpserver.Server{Handler: upper}, func(c net.Conn) {
			c.Write([]byte("half"))
			time.Sleep(time.Hour)
		}, slog.LevelInfo, "handler"},
		{"write timeout", tcpserver.Server{Handler: writer}, func(c net.Conn) { time.Sleep(time.Hour) }, slog.LevelInfo, "handler"},
		{"idle timeout", tcpserver.Server{Handler: reader, Timeouts: tcpserver.Timeouts{Idle: time.Second}}, func(c net.Conn) { time.Sleep(time.Minute) }, none, ""},
		{"lifetime", tcpserver.Server{Handler: reader, Timeouts: tcpserver.Timeouts{Lifetime: time.Second}}, func(c net.Conn) { time.Sleep(time.Minute) }, slog.LevelInfo, "handler"},
		{"handler's message that is too long", tcpserver.Server{Handler: func(_ context.Context, c *sockets.Conn) error {
			return c.WriteMessage(make([]byte, 100_000))
		}}, func(net.Conn) {}, slog.LevelWarn, "handler"},
		{"handler's error", tcpserver.Server{Handler: func(context.Context, *sockets.Conn) error { return errors.New("no disk") }},
			func(net.Conn) {}, slog.LevelWarn, "handler"},
		{"handler's panic", tcpserver.Server{Handler: func(context.Context, *sockets.Conn) error { panic("boom") }},
			func(net.Conn) {}, slog.LevelError, "handler"},
		{"good TLS client", tcpserver.Server{Handler: upper, TLS: serverTLS()}, func(c net.Conn) {
			s := over(c)
			s.Write([]byte("x\n"))
			s.Read(make([]byte, 2))
			s.Close()
		}, none, ""},
		{"TLS client that ends without close_notify", tcpserver.Server{Handler: upper, TLS: serverTLS()}, func(c net.Conn) {
			s := over(c)
			s.Write([]byte("x\n"))
			s.Read(make([]byte, 2))
		}, none, ""}, // as crypto/tls has it, between two records
	}
	for i := range tests {
		tt := &tests[i]
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				var log entries
				tt.server.Logger = slog.New(&log)
				r := serveSim(t, &tt.server)
				c := r.client()
				tt.client(c)
				remote := c.LocalAddr().String() + "/tcp"
				c.Close()
				synctest.Wait()
				all := log.about()
				if tt.most == none && len(all) > 0 || tt.most != none && len(all) != 1 {
					t.Errorf("%d lines: %v", len(all), all)
				}
				for _, l := range all {
					attrs := map[string]string{}
					l.Attrs(func(a slog.Attr) bool {
						attrs[a.Key] = a.Value.String()
						return true
					})
					if l.Level != tt.most || attrs["id"] == "" || attrs["remote"] != remote || attrs["phase"] != tt.phase || attrs["err"]+attrs["panic"] == "" {
						t.Errorf("level %v, want %v: %s %v", l.Level, tt.most, l.Message, attrs)
					}
				}
				if err := r.wait(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}
