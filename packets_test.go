package sockets_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"example.com/sockets"
	"example.com/sockets/simnet"
)

// udpPair is two connected UDP sockets.
func udpPair(t *testing.T) (here, there net.Conn) {
	t.Helper()
	a, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	to, back := a.LocalAddr().(*net.UDPAddr), b.LocalAddr().(*net.UDPAddr)
	a.Close()
	b.Close()
	if here, err = net.DialUDP("udp", to, back); err == nil {
		there, err = net.DialUDP("udp", back, to)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { here.Close(); there.Close() })
	return here, there
}

// unixgramPair is two connected sockets of the host.
func unixgramPair(t *testing.T) (here, there net.Conn) {
	t.Helper()
	dir := t.TempDir()
	a := &net.UnixAddr{Net: "unixgram", Name: filepath.Join(dir, "a")}
	b := &net.UnixAddr{Net: "unixgram", Name: filepath.Join(dir, "b")}
	here, err := net.ListenUnixgram("unixgram", a)
	if err != nil {
		t.Fatal(err)
	}
	if there, err = net.DialUnix("unixgram", b, a); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { here.Close(); there.Close() })
	return here, there
}

// One Write is one message, whatever its length, and an empty one is a message.
func TestPacketsKeepBoundaries(t *testing.T) {
	for name, pair := range map[string]func(*testing.T) (net.Conn, net.Conn){"udp": udpPair, "unixgram": unixgramPair} {
		here, there := pair(t)
		reader, writer := sockets.NewConn(here, sockets.Packets()), sockets.NewConn(there, sockets.Packets())
		reader.SetReadDeadline(time.Now().Add(10 * time.Second))
		for _, size := range []int{0, 1, 127, 128, 129, 0, 4096, 4097, 65507, 3} {
			m := strings.Repeat("x", size)
			if err := writer.WriteMessage([]byte(m)); err != nil {
				t.Errorf("%s: writing %d bytes: %v", name, size, err)
			}
			if err := writer.WriteMessage([]byte("next")); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			wantMessage(t, reader, m)
			wantMessage(t, reader, "next")
		}
	}
}

// Messages does not end at an empty message, and a deadline loses nothing.
func TestPacketsMessages(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := simnet.New(simnet.Options{})
		pc, err := n.ListenPacket(t.Context(), "udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer pc.Close()
		nc, err := n.DialContext(t.Context(), "udp", pc.LocalAddr().String())
		if err != nil {
			t.Fatal(err)
		}
		c := sockets.NewConn(nc, sockets.Packets())
		defer c.Close()
		for _, m := range []string{"a", "", "", "b"} {
			pc.WriteTo([]byte(m), nc.LocalAddr())
		}
		begin := time.Now()
		c.SetReadDeadline(begin.Add(time.Second))
		var got []string
		for m, err := range c.Messages() {
			if err != nil {
				wantTimeout(t, "Messages", err)
				break
			}
			got = append(got, string(m))
		}
		took(t, "Messages", begin, time.Second)
		if strings.Join(got, ",") != "a,,,b" {
			t.Errorf("messages %q", got)
		}
		c.SetReadDeadline(time.Time{})
		pc.WriteTo([]byte("c"), nc.LocalAddr())
		wantMessage(t, c, "c")
	})
}

// What Await has read ahead is one message for every way to read, an empty one too.
func TestPacketsAwait(t *testing.T) {
	here, there := udpPair(t)
	c := sockets.NewConn(here, sockets.Packets())
	for _, m := range []string{"hello", ""} {
		for _, raw := range []bool{false, true} {
			send(t, there, m)
			send(t, there, "next")
			for range 2 {
				wantError(t, "Await", c.Await(), nil)
			}
			if raw {
				buf := make([]byte, 9)
				if n, err := c.Read(buf); string(buf[:n]) != m || err != nil {
					t.Errorf("Read: %q, %v", buf[:n], err)
				}
			} else {
				wantMessage(t, c, m)
			}
			wantMessage(t, c, "next")
		}
	}
	send(t, there, "hello")
	wantError(t, "Await", c.Await(), nil)
	_, err := c.Read(make([]byte, 4))
	var short *sockets.ShortBufferError
	if !errors.As(err, &short) || short.Size != 5 || short.Buffer != 4 || !errors.Is(err, io.ErrShortBuffer) {
		t.Errorf("Read into 4 bytes: %v", err)
	}
	wantMessage(t, c, "hello")
}

// A message beyond the maximum is not written, is not read in part, and ends
// nothing.
func TestPacketsTooLong(t *testing.T) {
	here, there := unixgramPair(t)
	c, writer := sockets.NewConn(here, sockets.Packets()), sockets.NewConn(there, sockets.Packets())
	wantError(t, "WriteMessage", writer.WriteMessage(make([]byte, 65536)), sockets.ErrTooLong)
	for _, size := range []int{65535, 65536, 100_000} {
		go func() {
			there.Write(make([]byte, size))
			there.Write([]byte("next"))
		}()
		seen := 0
		for m, err := range c.Messages() {
			if size > 65535 && seen == 0 {
				wantError(t, "too long", err, sockets.ErrTruncated)
			} else if err != nil || seen == 0 && len(m) != size {
				t.Errorf("%d bytes: %d, %v", size, len(m), err)
			}
			if seen++; seen == 2 {
				break
			}
		}
	}
}

// A message that the network does not take is no harm to the next.
func TestPacketsWriteErrorIsNotTheEnd(t *testing.T) {
	here, there := udpPair(t)
	c, reader := sockets.NewConn(here, sockets.Packets()), sockets.NewConn(there, sockets.Packets())
	if err := c.WriteMessage(make([]byte, 65530)); err == nil || sockets.IsTimeout(err) {
		t.Errorf("more than UDP can carry: %v", err)
	}
	wantError(t, "the next", c.WriteMessage([]byte("x")), nil)
	wantMessage(t, reader, "x")
}

// A transport that has an end is at it.
func TestPacketsEOF(t *testing.T) {
	here, there := pipePair(t)
	c := sockets.NewConn(here, sockets.Packets())
	go func() {
		there.Write([]byte("one"))
		there.Close()
	}()
	wantMessage(t, c, "one")
	if _, err := c.ReadMessage(); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
}

// A call takes the next message for its reply.
func TestPacketsCall(t *testing.T) {
	here, there := udpPair(t)
	c, server := sockets.NewConn(here, sockets.Packets()), sockets.NewConn(there, sockets.Packets())
	go func() {
		for m, err := range server.Messages() {
			if err != nil || server.WriteMessage(bytes.ToUpper(m)) != nil {
				return
			}
		}
	}()
	for _, q := range []string{"a", "", "b"} {
		if reply, err := c.Call(t.Context(), []byte(q)); err != nil || string(reply) != strings.ToUpper(q) {
			t.Errorf("call %q: %q, %v", q, reply, err)
		}
	}
	server.Close()
}

// patient is a transport that tells the size of a message before it is read.
type patient struct {
	net.Conn
	sizes, asked, buffers []int
}

func (p *patient) NextSize() (int, error) {
	p.asked = append(p.asked, p.sizes[0])
	return p.sizes[0], nil
}

func (p *patient) Read(b []byte) (int, error) {
	p.buffers = append(p.buffers, len(b))
	n := p.sizes[0]
	p.sizes = p.sizes[1:]
	return n, nil
}

// A transport that tells the size of a message is asked first, and given a buffer
// when there is something to put in it; Packets is its framing by default.
func TestPacketsWaitWithoutBuffer(t *testing.T) {
	here, _ := pipePair(t)
	p := &patient{Conn: here, sizes: []int{0, 128, 129, 60000, 5}}
	c := sockets.NewConn(p, nil)
	for i, size := range []int{0, 128, 129, 60000, 5} {
		m, err := c.ReadMessage()
		if err != nil || m == nil || len(m) != size || cap(m) != size {
			t.Errorf("%d bytes: %d, %v", size, len(m), err)
		}
		most := max(128, 2*size)
		if size == 129 {
			most = 4096 // the smallest
		}
		if p.asked[i] != size || p.buffers[i] < size || p.buffers[i] > most {
			t.Errorf("%d bytes were read into %d", size, p.buffers[i])
		}
	}
}

func TestPacketsAllocateNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	here, there := udpPair(t)
	a, b := sockets.NewConn(here, sockets.Packets()), sockets.NewConn(there, sockets.Packets())
	for _, size := range []int{0, 64, 1400, 60000} {
		p := make([]byte, size)
		if n := steadyAllocs(func() {
			if err := a.WriteMessage(p); err != nil {
				t.Fatal(err)
			}
			if m, err := b.ReadMessage(); len(m) != size || err != nil {
				t.Fatal(len(m), err)
			}
		}); n != 0 {
			t.Errorf("%v allocations per message of %d", n, size)
		}
	}
}

// The framing by itself: what was read ahead under another is one message.
func TestPacketsFraming(t *testing.T) {
	f := sockets.Packets()
	m, advance, need, err := f.Next([]byte("a\nb"), false)
	if string(m) != "a\nb" || advance != 3 || need != 0 || err != nil {
		t.Errorf("Next: %q, %d, %d, %v", m, advance, need, err)
	}
	if got, err := f.Append([]byte("x"), []byte("y")); string(got) != "xy" || err != nil {
		t.Errorf("Append: %q, %v", got, err)
	}
	if f.Max() != 65535 {
		t.Errorf("Max: %d", f.Max())
	}
	here, there := pipePair(t)
	c := sockets.NewConn(here, nil)
	go there.Write([]byte("line\nrest"))
	wantMessage(t, c, "line")
	c.SetFraming(f)
	wantMessage(t, c, "rest")
}
