package udpserver_test

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/sockets"
	"example.com/sockets/udpserver"
)

// writes keeps how much each Write had, and calls full in the one after which it has
// enough.
type writes struct {
	sizes  []int
	enough int
	full   func()
}

func (w *writes) Write(p []byte) (int, error) {
	if w.sizes = append(w.sizes, len(p)); len(w.sizes) == w.enough {
		w.full()
	}
	return len(p), nil
}

// reader has nothing but Read, for which io.Copy brings a buffer of 32 KiB.
type reader struct{ io.Reader }

// io.Copy out of a session: by itself it stops before a datagram that its buffer is
// too short for, which stays to be read; as a sockets.Conn it passes on each whole.
func TestCopyFromSession(t *testing.T) {
	big := strings.Repeat("x", 60_000)
	ln := realSessions(t, "127.0.0.1:0", udpserver.SessionConfig{})
	send(t, dial(t, ln.Addr()), "a", big, "b")
	s := accept(t, ln)
	var w writes
	n, err := io.Copy(&w, s)
	var short *sockets.ShortBufferError
	if n != 1 || !errors.As(err, &short) || *short != (sockets.ShortBufferError{Size: 60_000, Buffer: 32 << 10}) {
		t.Errorf("copied %v, %v", w.sizes, err)
	}
	c := sockets.NewConn(s, nil)
	w = writes{enough: 2, full: func() { c.SetReadDeadline(time.Unix(1, 0)) }}
	n, err = io.Copy(&w, c)
	if n != 60_001 || !slices.Equal(w.sizes, []int{60_000, 1}) || !sockets.IsTimeout(err) {
		t.Errorf("as a Conn it copied %v, %v", w.sizes, err)
	}
}

// What is written to a session and longer than a datagram is not sent, by whichever
// way; what comes in shorter pieces is sent as those.
func TestCopyToSession(t *testing.T) {
	ln := realSessions(t, "127.0.0.1:0", udpserver.SessionConfig{})
	client := dial(t, ln.Addr())
	send(t, client, "x")
	s := accept(t, ln)
	c := sockets.NewConn(s, nil)
	long := strings.Repeat("y", 100_000)
	for name, f := range map[string]func() (int64, error){
		"Write":        func() (int64, error) { n, err := s.Write([]byte(long)); return int64(n), err },
		"Conn.Write":   func() (int64, error) { n, err := c.Write([]byte(long)); return int64(n), err },
		"WriteMessage": func() (int64, error) { return 0, c.WriteMessage([]byte(long)) },
		"beyond IPv4":  func() (int64, error) { return 0, c.WriteMessage([]byte(long)[:65_508]) },
		"Copy":         func() (int64, error) { return io.Copy(s, strings.NewReader(long)) },
		"Copy to Conn": func() (int64, error) { return io.Copy(c, strings.NewReader(long)) },
		"WriteString":  func() (int64, error) { n, err := io.WriteString(c, long); return int64(n), err },
	} {
		if n, err := f(); n != 0 || !errors.Is(err, sockets.ErrTooLong) {
			t.Errorf("%s: %d, %v", name, n, err)
		}
	}
	for name, to := range map[string]io.Writer{"session": s, "Conn": c} {
		if n, err := io.Copy(to, reader{strings.NewReader(long)}); n != 100_000 || err != nil {
			t.Errorf("copy to a %s: %d, %v", name, n, err)
		}
		for _, size := range []int{32 << 10, 32 << 10, 32 << 10, 100_000 - 96<<10} {
			if got := receive(t, client); len(got) != size {
				t.Errorf("copy to a %s: a datagram of %d bytes, want %d", name, len(got), size)
			}
		}
	}
	if st := ln.Stats(); st.Sent != 8 {
		t.Errorf("%+v", st)
	}
}

// A relay between two sessions keeps each datagram as it was, an empty one too. One
// between a session and a stream keeps the bytes.
func TestRelayOfSessions(t *testing.T) {
	ln := realSessions(t, "127.0.0.1:0", udpserver.SessionConfig{})
	left, right := dial(t, ln.Addr()), dial(t, ln.Addr())
	begin := func(client net.Conn) *sockets.Conn {
		send(t, client, "begin")
		s := accept(t, ln)
		want(t, s, "begin")
		return sockets.NewConn(s, nil)
	}
	a, b := begin(left), begin(right)
	stop := relaying(a, b)
	for _, size := range []int{0, 1, 1400, 32<<10 + 1, 60_000, 65_507} {
		m := strings.Repeat("z", size)
		send(t, left, m)
		if got := receive(t, right); got != m {
			t.Errorf("a datagram of %d bytes arrives with %d", size, len(got))
		}
	}
	if err := stop(); !errors.Is(err, context.Canceled) {
		t.Errorf("Relay: %v", err)
	}
}

func TestRelayOfSessionAndStream(t *testing.T) {
	ln := realSessions(t, "127.0.0.1:0", udpserver.SessionConfig{})
	client := dial(t, ln.Addr())
	send(t, client, "first")
	here, there := net.Pipe()
	defer there.Close()
	there.SetDeadline(time.Now().Add(10 * time.Second))
	stop := relaying(sockets.NewConn(accept(t, ln), nil), sockets.NewConn(here, nil))
	big := strings.Repeat("x", 60_000)
	send(t, client, big)
	p := make([]byte, 60_005)
	if _, err := io.ReadFull(there, p); err != nil || string(p) != "first"+big {
		t.Errorf("the stream has other bytes: %v", err)
	}
	go io.WriteString(there, big+big)
	for got := 0; got < 120_000; {
		got += len(receive(t, client)) // in whichever pieces
	}
	if err := stop(); !errors.Is(err, context.Canceled) {
		t.Errorf("Relay: %v", err)
	}
}

// relaying relays until the returned function is called.
func relaying(a, b *sockets.Conn) (stop func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- sockets.Relay(ctx, a, b) }()
	return func() error { cancel(); return <-done }
}
