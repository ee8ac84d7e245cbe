package sockets_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"example.com/sockets"
)

// A raw Read that is too short for a message takes nothing, although the transport
// would cut it and not say so.
func TestPacketsReadCutsNothing(t *testing.T) {
	here, there := udpPair(t)
	c := sockets.NewConn(here, sockets.Packets())
	m := random(60_000)
	for _, size := range []int{1, 100, 59_999} {
		send(t, there, string(m))
		_, err := c.Read(make([]byte, size))
		var short *sockets.ShortBufferError
		if !errors.As(err, &short) || *short != (sockets.ShortBufferError{Size: 60_000, Buffer: size}) {
			t.Errorf("a Read into %d bytes: %v", size, err)
		}
		p := make([]byte, 60_000)
		if n, err := c.Read(p); !bytes.Equal(p[:n], m) || err != nil {
			t.Errorf("the next Read: %d bytes, %v", n, err)
		}
	}
}

// A copy that is limited does not make two messages of one.
func TestPacketsLimitedCopyCutsNothing(t *testing.T) {
	hereA, left := udpPair(t)
	hereB, right := udpPair(t)
	a, b := sockets.NewConn(hereA, sockets.Packets()), sockets.NewConn(hereB, sockets.Packets())
	for _, m := range []string{"hello", "world"} {
		send(t, left, m)
	}
	limited := &io.LimitedReader{R: a, N: 7}
	n, err := b.ReadFrom(limited)
	var short *sockets.ShortBufferError
	if n != 5 || limited.N != 2 || !errors.As(err, &short) || *short != (sockets.ShortBufferError{Size: 5, Buffer: 2}) {
		t.Errorf("copied %d, left %d, %v", n, limited.N, err)
	}
	wantMessage(t, a, "world")
	wantMessage(t, sockets.NewConn(right, sockets.Packets()), "hello")
}

// What is copied from a socket that keeps boundaries, whoever reads it, arrives as it
// was, up to the longest datagram; one that is longer than any is an error.
func TestCopyFromDatagramSocket(t *testing.T) {
	for name, pair := range map[string]func(*testing.T) (net.Conn, net.Conn){"udp": udpPair, "unixgram": unixgramPair} {
		source, writer := pair(t)
		here, there := udpPair(t)
		c, reader := sockets.NewConn(here, sockets.Packets()), sockets.NewConn(there, sockets.Packets())
		done := make(chan error)
		go func() {
			_, err := io.Copy(c, source)
			done <- err
		}()
		for _, size := range []int{1, 32 << 10, 32<<10 + 1, 60_000, 65_507} {
			m := random(size)
			send(t, writer, string(m))
			wantMessage(t, reader, string(m))
		}
		if name == "unixgram" { // it can carry more than UDP, and than Packets
			send(t, writer, string(random(65_536)))
			wantError(t, "too long", <-done, sockets.ErrTruncated)
			continue
		}
		source.SetReadDeadline(time.Unix(1, 0))
		wantError(t, "Copy", <-done, os.ErrDeadlineExceeded)
	}
}

// A longer message than the other side can carry ends a relay, and says why.
func TestRelayOfTooLongPacket(t *testing.T) {
	hereA, left := unixgramPair(t)
	hereB, right := udpPair(t)
	done := make(chan error)
	go func() {
		done <- sockets.Relay(t.Context(), sockets.NewConn(hereA, sockets.Packets()), sockets.NewConn(hereB, sockets.Packets()))
	}()
	reader := sockets.NewConn(right, sockets.Packets())
	for _, size := range []int{65_507, 65_508} {
		m := random(size)
		send(t, left, string(m))
		if size == 65_507 {
			wantMessage(t, reader, string(m))
		}
	}
	if err := <-done; err == nil || sockets.IsTimeout(err) {
		t.Errorf("Relay: %v", err)
	}
}
