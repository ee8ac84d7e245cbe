package udpserver_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"example.com/sockets"
	"example.com/sockets/addr"
	"example.com/sockets/udpserver"
)

func TestEchoKeepsBoundaries(t *testing.T) {
	s := &udpserver.Server{Handler: echo}
	to, stop := serve(t, s)
	c := dial(t, to)
	for _, m := range []string{"", "x", "", strings.Repeat("long", 2000), "end"} {
		send(t, c, m)
		if got := receive(t, c); got != m {
			t.Errorf("sent %d bytes, got %d back", len(m), len(got))
		}
	}
	if err := stop(); err != nil {
		t.Errorf("Serve: %v", err)
	}
	st := ledger(t, s)
	if st.Received != 5 || st.Handled != 5 || st.Sent != 5 || st.BytesIn != st.BytesOut || st.BytesIn != 8004 {
		t.Errorf("stats %+v", st)
	}
}

func TestAddressesOfADatagram(t *testing.T) {
	type ends struct{ from, to addr.Endpoint }
	seen := make(chan ends, 1)
	s := &udpserver.Server{Handler: func(_ context.Context, d *udpserver.Datagram) error {
		seen <- ends{d.From, d.To}
		return nil
	}}
	pc, err := s.ListenPacket(t.Context(), ":0") // a socket of both families sees IPv4 peers mapped
	if err != nil {
		t.Fatal(err)
	}
	serveOn(t, s, pc)
	port := pc.LocalAddr().(*net.UDPAddr).Port
	c := dial(t, &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
	send(t, c, "x")
	got := <-seen
	want, _ := addr.From(c.LocalAddr())
	if got.from != want {
		t.Errorf("From is %v, want %v", got.from, want)
	}
	if int(got.to.Port()) != port {
		t.Errorf("To is %v, want port %d", got.to, port)
	}
}

func TestTruncated(t *testing.T) {
	for _, keep := range []bool{false, true} {
		t.Run(fmt.Sprint("keep=", keep), func(t *testing.T) {
			var dropped atomic.Int64
			s := &udpserver.Server{
				MaxSize: 512, KeepTruncated: keep,
				Trace: &udpserver.Trace{Dropped: func(_ addr.Endpoint, why udpserver.Drop) {
					if why == udpserver.DropTruncated {
						dropped.Add(1)
					}
				}},
				Handler: func(_ context.Context, d *udpserver.Datagram) error {
					return d.Reply(fmt.Appendf(nil, "%d %v", len(d.Data), d.Truncated))
				}}
			to, stop := serve(t, s)
			c := dial(t, to)
			want := []string{"512 false", "512 true", "512 true", "1 false"}
			if !keep {
				want = []string{"512 false", "1 false"}
			}
			for _, n := range []int{512, 513, 65507, 1} {
				send(t, c, strings.Repeat("x", n))
			}
			for range want {
				got := receive(t, c)
				i := slices.Index(want, got)
				if i < 0 {
					t.Fatalf("reply %q, left are %q", got, want)
				}
				want = slices.Delete(want, i, i+1)
			}
			stop()
			st := ledger(t, s)
			if n := 4 - int(st.Handled); int(st.Dropped.Truncated) != n || int(dropped.Load()) != n || st.Received != 4 {
				t.Errorf("traced %d, stats %+v", dropped.Load(), st)
			}
		})
	}
}

// One handler that blocks delays nobody while a slot is free, and where none is
// the socket keeps what comes.
func TestBlockedHandlers(t *testing.T) {
	const most = 3
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		s := &udpserver.Server{MaxHandlers: most, Handler: func(_ context.Context, d *udpserver.Datagram) error {
			if string(d.Data) == "block" {
				<-release
			}
			return d.Reply(d.Data)
		}}
		pc, c := simPair(t)
		stop := serveOn(t, s, pc)
		for range most - 1 {
			send(t, c, "block", "fast")
			if got := receive(t, c); got != "fast" {
				t.Fatalf("got %q past the blocked handlers", got)
			}
		}
		send(t, c, "block", "late", "late")
		time.Sleep(time.Minute)
		if st := s.Stats(); st.Running != most || st.Handled != most-1 {
			t.Errorf("a datagram was handled beyond the limit: %+v", st)
		}
		close(release)
		for range most + 2 {
			receive(t, c)
		}
		stop()
		if st := ledger(t, s); st.Handled != 2*most+1 {
			t.Errorf("stats %+v", st)
		}
	})
}

func TestLateReplyIsNobodyElses(t *testing.T) {
	var kept *udpserver.Datagram
	s := &udpserver.Server{}
	s.Handler = func(_ context.Context, d *udpserver.Datagram) error {
		if kept == nil {
			kept = d
			return d.Reply(nil)
		}
		for range 100 {
			if err := kept.Reply([]byte("wrong")); !errors.Is(err, udpserver.ErrReturned) {
				t.Errorf("late reply: %v", err)
			}
			if err := kept.SendTo(d.From, nil); !errors.Is(err, udpserver.ErrReturned) {
				t.Errorf("late send: %v", err)
			}
		}
		return d.Reply([]byte("right"))
	}
	to, _ := serve(t, s)
	a, b := dial(t, to), dial(t, to)
	send(t, a, "first")
	receive(t, a)
	for s.Stats().Handled == 0 { // it has replied, but not yet returned
		runtime.Gosched()
	}
	for range 50 { // whichever worker and memory it gets
		send(t, b, "second")
		if got := receive(t, b); got != "right" {
			t.Fatalf("got %q", got)
		}
	}
}

func TestCloneOutlivesTheHandler(t *testing.T) {
	clones := make(chan *udpserver.Datagram, 3)
	s := &udpserver.Server{Handler: func(_ context.Context, d *udpserver.Datagram) error {
		clones <- d.Clone()
		return nil
	}}
	to, stop := serve(t, s)
	c := dial(t, to)
	send(t, c, "one", "two", "three")
	a, b, last := <-clones, <-clones, <-clones
	for _, d := range []*udpserver.Datagram{a, b.Clone()} {
		if err := d.Reply(d.Data); err != nil {
			t.Fatal(err)
		}
		if got := receive(t, c); got != string(d.Data) {
			t.Errorf("got %q, want %q", got, d.Data)
		}
	}
	if err := a.SendTo(a.From, []byte("to")); err != nil || receive(t, c) != "to" {
		t.Errorf("SendTo of a clone: %v", err)
	}
	if err := stop(); err != nil {
		t.Errorf("Serve: %v", err)
	}
	if err := last.Reply(nil); !errors.Is(err, net.ErrClosed) {
		t.Errorf("reply after the stop: %v", err)
	}
}

func TestReplyErrors(t *testing.T) {
	done := make(chan error, 3)
	failed := make(chan error, 1)
	s := &udpserver.Server{
		Trace: &udpserver.Trace{ReplyFailed: func(to addr.Endpoint, err error) { failed <- fmt.Errorf("%v: %w", to, err) }},
		Handler: func(_ context.Context, d *udpserver.Datagram) error {
			done <- d.Reply(make([]byte, 65508))
			done <- d.SendTo(addr.Endpoint{}, nil)
			done <- d.SendTo(addr.MustParse(addr.UDP, "127.0.0.1:0"), nil)
			return nil
		}}
	to, stop := serve(t, s)
	send(t, dial(t, to), "x")
	if err := <-done; !errors.Is(err, sockets.ErrTooLong) {
		t.Errorf("too long: %v", err)
	}
	if err := <-done; err == nil {
		t.Error("no address: no error")
	}
	if err := <-done; err != nil {
		t.Errorf("port 0: %v, want nil: the send failed, not the Reply", err)
	}
	if err := <-failed; err == nil || !strings.HasPrefix(err.Error(), "127.0.0.1:0/udp") {
		t.Errorf("traced %v", err)
	}
	stop()
	if st := ledger(t, s); st.Unsent.Argument != 1 || st.Unsent.Total() != 1 {
		t.Errorf("stats %+v", st)
	}
}

func TestHandlersThatCrash(t *testing.T) {
	var log safeBuffer
	s := &udpserver.Server{
		Logger: slog.New(slog.NewTextHandler(&log, nil)),
		Handler: func(_ context.Context, d *udpserver.Datagram) error {
			switch string(d.Data) {
			case "panic":
				panic("boom")
			case "goexit":
				runtime.Goexit()
			case "error":
				return errors.New("sour")
			case "eof":
				return io.EOF
			}
			return d.Reply(d.Data)
		}}
	to, stop := serve(t, s)
	c := dial(t, to)
	for range 5 {
		for _, m := range []string{"panic", "goexit", "error", "eof", "ok"} {
			before := s.Stats().Handled
			send(t, c, m)
			for s.Stats().Handled == before {
				runtime.Gosched()
			}
		}
		if got := receive(t, c); got != "ok" {
			t.Fatalf("got %q", got)
		}
	}
	stop()
	st := ledger(t, s)
	if st.Panicked != 10 || st.Failed != 5 || st.Handled != 25 {
		t.Errorf("stats %+v", st)
	}
	text := log.String()
	if n := strings.Count(text, "\n"); n != 2 {
		t.Errorf("%d lines for two kinds of failure:\n%s", n, text)
	}
	for _, want := range []string{"boom", "server_test.go", "sour"} {
		if !strings.Contains(text, want) {
			t.Errorf("the log does not say %q:\n%s", want, text)
		}
	}
}

func TestSelfIsDropped(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", ":0"} {
		s := &udpserver.Server{Handler: echo}
		pc, err := s.ListenPacket(t.Context(), address)
		if err != nil {
			t.Fatal(err)
		}
		port := pc.LocalAddr().(*net.UDPAddr).Port
		self := &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port}
		if _, err := pc.WriteTo([]byte("me"), self); err != nil {
			t.Fatal(err)
		}
		stop := serveOn(t, s, pc)
		c := dial(t, self)
		send(t, c, "you")
		receive(t, c)
		stop()
		if st := ledger(t, s); st.Dropped.Self != 1 || st.Received != 2 {
			t.Errorf("%s: stats %+v", address, st)
		}
	}
}

// One Server on several sockets: one limit, one sum.
func TestTwoSockets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		s := &udpserver.Server{MaxHandlers: 1, Handler: func(_ context.Context, d *udpserver.Datagram) error {
			if string(d.Data) == "block" {
				<-release
			}
			return d.Reply(d.Data)
		}}
		a, ca := simPair(t)
		b, cb := simPair(t)
		stopA, stopB := serveOn(t, s, a), serveOn(t, s, b)
		for range 100 { // the slot goes back and forth
			send(t, ca, "a")
			send(t, cb, "b")
			receive(t, ca)
			receive(t, cb)
		}
		send(t, ca, "block")
		synctest.Wait()
		send(t, cb, "b")
		time.Sleep(time.Minute)
		if st := s.Stats(); st.Handled != 200 || st.Running != 1 {
			t.Errorf("two handlers ran at once: %+v", st)
		}
		close(release)
		receive(t, ca)
		receive(t, cb)
		if err := errors.Join(stopA(), stopB()); err != nil {
			t.Error(err)
		}
		if st := ledger(t, s); st.Handled != 202 {
			t.Errorf("stats %+v", st)
		}
	})
}

func TestRespond(t *testing.T) {
	s := &udpserver.Server{Handler: udpserver.Respond(func(_ context.Context, r []byte) ([]byte, error) {
		if string(r) == "silent" {
			return nil, nil
		}
		return bytes.ToUpper(r), nil
	})}
	to, _ := serve(t, s)
	c := dial(t, to)
	send(t, c, "silent", "", "hello")
	got := []string{receive(t, c), receive(t, c)}
	slices.Sort(got)
	if !slices.Equal(got, []string{"", "HELLO"}) {
		t.Errorf("got %q", got)
	}
}

func TestListenPacketErrors(t *testing.T) {
	var s udpserver.Server
	pc, err := s.ListenPacket(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer pc.Close()
	for _, address := range []string{"", "127.0.0.1", "127.0.0.1:70000", pc.LocalAddr().String()} {
		if pc, err := s.ListenPacket(t.Context(), address); err == nil {
			pc.Close()
			t.Errorf("%q: no error", address)
		} else if !strings.HasPrefix(err.Error(), "listen") {
			t.Errorf("%q: %v", address, err)
		}
	}
}

func TestServeWithoutHandlerClosesTheSocket(t *testing.T) {
	var s udpserver.Server
	pc, err := s.ListenPacket(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Serve(t.Context(), pc); err == nil {
		t.Error("no error")
	}
	if err := pc.SetDeadline(time.Time{}); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the socket is open: %v", err)
	}
}

// A Unix socket's peers have names instead of addresses, or none.
func TestUnixgram(t *testing.T) {
	dir, err := os.MkdirTemp("", "udp") // t.TempDir may be too long a name
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	pc, err := net.ListenPacket("unixgram", dir+"/server")
	if err != nil {
		t.Skip(err)
	}
	replied := make(chan error, 1)
	s := &udpserver.Server{Handler: func(_ context.Context, d *udpserver.Datagram) error {
		replied <- d.Reply(d.Data)
		return nil
	}}
	serveOn(t, s, pc)
	server := &net.UnixAddr{Net: "unixgram", Name: dir + "/server"}
	for _, name := range []string{"/client", ""} {
		var local *net.UnixAddr
		if name != "" {
			local = &net.UnixAddr{Net: "unixgram", Name: dir + name}
		}
		c, err := net.DialUnix("unixgram", local, server)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(10 * time.Second))
		send(t, c, "hello")
		if err := <-replied; (err == nil) != (name != "") {
			t.Errorf("reply to %q: %v", name, err)
		}
		if name != "" && receive(t, c) != "hello" {
			t.Error("wrong reply")
		}
	}
}

type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
