package udpserver_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"example.com/sockets"
	"example.com/sockets/udpserver"
)

// One sender is one connection, one Read is one datagram, of any length, in order;
// and what is written goes to the sender alone.
func TestSessionKeepsSendersAndDatagramsApart(t *testing.T) {
	ln := realSessions(t, "127.0.0.1:0", udpserver.SessionConfig{})
	messages := []string{"a", "", strings.Repeat("b", 128), strings.Repeat("c", 129), strings.Repeat("d", 65507), "", "e"}
	for i := range 3 {
		client := dial(t, ln.Addr())
		send(t, client, messages...)
		s := accept(t, ln)
		if got := s.RemoteAddr().String(); got != client.LocalAddr().String() {
			t.Errorf("session of %v, want %v", got, client.LocalAddr())
		}
		for _, m := range messages {
			want(t, s, m)
			if n, err := s.Write([]byte(m)); n != len(m) || err != nil {
				t.Errorf("writing %d bytes: %d, %v", len(m), n, err)
			}
			if got := receive(t, client); got != m {
				t.Errorf("client %d got %d bytes, want %d", i, len(got), len(m))
			}
		}
	}
	st := sessionLedger(t, ln)
	if st.Opened != 3 || st.Sessions != 3 || st.Read != 21 || st.Sent != 21 || st.Queued != 0 {
		t.Errorf("%+v", st)
	}
}

func TestSessionShortBufferTakesNothing(t *testing.T) {
	ln := realSessions(t, "127.0.0.1:0", udpserver.SessionConfig{})
	send(t, dial(t, ln.Addr()), "hello", "world")
	s := accept(t, ln)
	for _, size := range []int{0, 1, 4} {
		n, err := s.Read(make([]byte, size))
		var short *sockets.ShortBufferError
		if n != 0 || !errors.As(err, &short) || *short != (sockets.ShortBufferError{Size: 5, Buffer: size}) ||
			!errors.Is(err, io.ErrShortBuffer) || sockets.IsTimeout(err) {
			t.Errorf("a Read into %d bytes: %d, %v", size, n, err)
		}
	}
	want(t, s, "hello")
	want(t, s, "world")
}

// After Close Read and Write return net.ErrClosed, and nothing is sent.
func TestSessionAfterClose(t *testing.T) {
	ln := realSessions(t, "127.0.0.1:0", udpserver.SessionConfig{})
	client := dial(t, ln.Addr())
	send(t, client, "x", "unread")
	s := accept(t, ln)
	want(t, s, "x")
	for range 2 {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	if _, err := s.Write([]byte("late")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Write: %v", err)
	}
	if _, err := s.Read(make([]byte, 9)); !errors.Is(err, net.ErrClosed) || !strings.Contains(err.Error(), client.LocalAddr().String()) {
		t.Errorf("Read: %v", err)
	}
	if st := ln.Stats(); st.Sent != 0 {
		t.Errorf("%d were sent", st.Sent)
	}
}

// A late or second Close of an old session leaves that to which the sender has
// returned alone.
func TestSessionLateCloseSparesSuccessor(t *testing.T) {
	ln := realSessions(t, "127.0.0.1:0", udpserver.SessionConfig{})
	client := dial(t, ln.Addr())
	send(t, client, "first")
	old := accept(t, ln)
	old.Close()
	send(t, client, "second")
	next := accept(t, ln)
	old.Close()
	old.Close()
	send(t, client, "third")
	want(t, next, "second")
	want(t, next, "third")
	next.Write([]byte("fine"))
	if got := receive(t, client); got != "fine" {
		t.Errorf("got %q", got)
	}
	if st := ln.Stats(); st.Opened != 2 || st.Sessions != 1 {
		t.Errorf("%+v", st)
	}
}

// On a socket bound to every address one sender that asks two is two sessions, each
// of which answers from the address that was asked.
func TestSessionPerAskedAddress(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the address that was asked is known on Linux")
	}
	for _, wildcard := range []string{"0.0.0.0:0", "[::]:0"} {
		ln := realSessions(t, wildcard, udpserver.SessionConfig{})
		port := ln.Addr().(*net.UDPAddr).Port
		client, err := net.ListenPacket("udp4", "0.0.0.0:0")
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		for _, ip := range []string{"127.0.0.1", "127.0.0.2"} {
			to := &net.UDPAddr{IP: net.ParseIP(ip), Port: port}
			client.WriteTo([]byte("x"), to)
			s := accept(t, ln)
			if s.LocalAddr().String() != to.String() {
				t.Errorf("%s: session at %v, want %v", wildcard, s.LocalAddr(), to)
			}
			if from := s.RemoteAddr().(*net.UDPAddr); !from.AddrPort().Addr().Is4() {
				t.Errorf("%s: sender %v is IPv4-mapped", wildcard, from.AddrPort())
			}
			s.Write([]byte("y"))
			if _, from, err := client.ReadFrom(make([]byte, 9)); err != nil || from.String() != to.String() {
				t.Errorf("%s: reply from %v, %v; want %v", wildcard, from, err, to)
			}
		}
	}
}

// A failed write is the caller's to know, counts, and harms no other.
func TestSessionWriteErrors(t *testing.T) {
	ln := realSessions(t, "127.0.0.1:0", udpserver.SessionConfig{})
	client := dial(t, ln.Addr())
	send(t, client, "x")
	s := accept(t, ln)
	if n, err := s.Write(make([]byte, 65508)); n != 0 || !errors.Is(err, sockets.ErrTooLong) {
		t.Errorf("too long: %d, %v", n, err)
	}
	s.Write([]byte("still here"))
	if got := receive(t, client); got != "still here" {
		t.Errorf("got %q", got)
	}
}

// A socket that is closed already is an error, as early as possible.
func TestSessionsOfClosedSocket(t *testing.T) {
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	pc.Close()
	if ln, err := udpserver.Sessions(pc, udpserver.SessionConfig{}); ln != nil || !errors.Is(err, net.ErrClosed) {
		t.Errorf("Sessions: %v, %v", ln, err)
	}
}

// Closing the listener ends what was not accepted. An accepted session goes on, and
// the last one closes the socket.
func TestSessionsOutliveListener(t *testing.T) {
	ln := realSessions(t, "127.0.0.1:0", udpserver.SessionConfig{})
	a, b, c := dial(t, ln.Addr()), dial(t, ln.Addr()), dial(t, ln.Addr())
	send(t, a, "a")
	first := accept(t, ln)
	send(t, b, "b")
	second := accept(t, ln)
	send(t, c, "c")
	for ln.Stats().Pending == 0 {
		runtime.Gosched()
	}
	for range 2 {
		if err := ln.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	if _, err := ln.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept: %v", err)
	}
	send(t, dial(t, ln.Addr()), "too late")
	first.Close()
	want(t, second, "b")
	send(t, b, "more")
	want(t, second, "more")
	second.Write([]byte("reply"))
	if got := receive(t, b); got != "reply" {
		t.Errorf("got %q", got)
	}
	if pc, err := net.ListenPacket("udp", ln.Addr().String()); err == nil {
		pc.Close()
		t.Error("the socket is closed already")
	}
	if err := second.Close(); err != nil {
		t.Errorf("the last Close: %v", err)
	}
	pc, err := net.ListenPacket("udp", ln.Addr().String())
	if err != nil {
		t.Fatalf("the socket is open still: %v", err)
	}
	pc.Close()
	if st := sessionLedger(t, ln); st.Dropped.Closed != 1 || st.Dropped.Unread != 2 {
		t.Errorf("%+v", st.Dropped)
	}
}

// The queue of a session stays whole whatever is pushed and read in between.
func TestSessionQueue(t *testing.T) {
	ln := realSessions(t, "127.0.0.1:0", udpserver.SessionConfig{QueueBytes: 16 << 10})
	client := dial(t, ln.Addr())
	send(t, client, "hello")
	s := accept(t, ln)
	want(t, s, "hello")
	buf := make([]byte, 4096)
	next, waiting := 0, 0
	for i := range 400 {
		size := i * 7 % 3000
		send(t, client, string(bytes.Repeat([]byte{byte(i)}, size)))
		if waiting++; waiting < 4 && i%5 != 0 {
			continue
		}
		for ; waiting > i%3; waiting-- {
			n, err := s.Read(buf)
			if err != nil || n != next*7%3000 || n > 0 && (buf[0] != byte(next) || buf[n-1] != byte(next)) {
				t.Fatalf("datagram %d: %d bytes, %v", next, n, err)
			}
			next++
		}
	}
}

// A queue that is never empty moves what waits to its front, and neither grows nor
// loses anything.
func TestSessionQueueNeverEmpty(t *testing.T) {
	ln := realSessions(t, "127.0.0.1:0", udpserver.SessionConfig{QueueBytes: 8 << 10})
	client := dial(t, ln.Addr())
	message := func(i int) string { return strings.Repeat(string(rune('a'+i%26)), i*97%1500) }
	send(t, client, message(0), message(1))
	s := accept(t, ln)
	for i := range 300 {
		send(t, client, message(i+2))
		want(t, s, message(i))
	}
	if st := ln.Stats(); st.Waiting+st.Read != st.Received || st.Queued > 8<<10 {
		t.Errorf("%+v", st)
	}
}

// What the system says about a write keeps its errno, and is counted by its class. The
// engine's own deadline is not one of the user's.
func TestSessionWriteErrorClasses(t *testing.T) {
	tests := []struct {
		err  error
		want error
		sent udpserver.SendErrors
	}{
		{syscall.ECONNREFUSED, syscall.ECONNREFUSED, udpserver.SendErrors{Peer: 1}},
		{syscall.ENOBUFS, syscall.ENOBUFS, udpserver.SendErrors{Resource: 1}},
		{syscall.EMSGSIZE, sockets.ErrTooLong, udpserver.SendErrors{TooLong: 1}},
		{os.ErrDeadlineExceeded, nil, udpserver.SendErrors{Resource: 1}},
	}
	for _, tt := range tests {
		scriptedSessions(t, "10.0.0.1:1", udpserver.SessionConfig{}, func(t *testing.T, pc *script, ln *udpserver.SessionListener) {
			pc.arrives("10.0.0.2:1", "x")
			s := accept(t, ln)
			pc.writes = tt.err
			n, err := s.Write([]byte("y"))
			if n != 0 || err == nil || tt.want != nil && !errors.Is(err, tt.want) || sockets.IsTimeout(err) {
				t.Errorf("%v: %d, %v", tt.err, n, err)
			}
			pc.writes = nil
			if n, err := s.Write([]byte("y")); n != 1 || err != nil {
				t.Errorf("behind %v: %d, %v", tt.err, n, err)
			}
			if st := ln.Stats(); st.Unsent != tt.sent || st.Sent != 1 {
				t.Errorf("%v: %+v", tt.err, st)
			}
		})
	}
}
