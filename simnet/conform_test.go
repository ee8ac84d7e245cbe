package simnet_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"example.com/sockets/simnet"
)

// The conformance suite runs each case over real loopback sockets and over
// simnet and compares what the program saw, line by line.

// stack is what a case uses of a network.
type stack interface {
	Listen(ctx context.Context, network, address string) (net.Listener, error)
	ListenPacket(ctx context.Context, network, address string) (net.PacketConn, error)
	DialContext(ctx context.Context, network, address string) (net.Conn, error)
}

// kernel is the real network.
type kernel struct {
	net.ListenConfig
	net.Dialer
}

// seen collects what a case sees.
type seen struct {
	t     *testing.T
	stack stack
	log   strings.Builder
}

func (s *seen) note(what string, n int, err error) {
	fmt.Fprintf(&s.log, "%s: %d, %s\n", what, n, class(err))
}

func (s *seen) err(what string, err error) { fmt.Fprintf(&s.log, "%s: %s\n", what, class(err)) }

// read notes one Read.
func (s *seen) read(what string, c io.Reader, size int) {
	b := make([]byte, size)
	n, err := c.Read(b)
	fmt.Fprintf(&s.log, "%s: %q, %s\n", what, b[:n], class(err))
}

func (s *seen) write(what string, c io.Writer, text string) {
	n, err := c.Write([]byte(text))
	s.note(what, n, err)
}

// class is what errors.Is and the text after the addresses tell about an error.
func class(err error) string {
	if err == nil {
		return "ok"
	}
	if err == io.EOF {
		return "EOF"
	}
	var op *net.OpError
	if !errors.As(err, &op) {
		return "bare " + err.Error()
	}
	for _, known := range []error{net.ErrClosed, os.ErrDeadlineExceeded, net.ErrWriteToConnected} {
		if errors.Is(err, known) {
			return op.Op + " " + known.Error()
		}
	}
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return op.Op + " " + op.Err.Error() + fmt.Sprint(" ", op.Source != nil, op.Addr != nil)
	}
	return op.Op + " " + op.Err.Error()
}

// pair is an established connection.
func (s *seen) pair() (client, server net.Conn) {
	s.t.Helper()
	ln := s.listen()
	defer ln.Close()
	client = s.dial("tcp", ln.Addr().String())
	server, err := ln.Accept()
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { client.Close(); server.Close() })
	return client, server
}

func (s *seen) listen() net.Listener {
	s.t.Helper()
	ln, err := s.stack.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { ln.Close() })
	return ln
}

func (s *seen) dial(network, address string) net.Conn {
	s.t.Helper()
	c, err := s.stack.DialContext(context.Background(), network, address)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { c.Close() })
	return c
}

func (s *seen) packets() net.PacketConn {
	s.t.Helper()
	pc, err := s.stack.ListenPacket(context.Background(), "udp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { pc.Close() })
	return pc
}

// pause lets what is under way arrive; virtual time costs nothing.
func pause() { time.Sleep(30 * time.Millisecond) }

// soon is a moment ahead that a call in between certainly waits for.
func soon() time.Time { return time.Now().Add(30 * time.Millisecond) }

// udpConn is what *net.UDPConn and *simnet.PacketConn have in common.
type udpConn interface {
	net.Conn
	ReadFromUDP(b []byte) (int, *net.UDPAddr, error)
	ReadFromUDPAddrPort(b []byte) (int, netip.AddrPort, error)
	ReadMsgUDP(b, oob []byte) (n, oobn, flags int, addr *net.UDPAddr, err error)
	ReadMsgUDPAddrPort(b, oob []byte) (n, oobn, flags int, addr netip.AddrPort, err error)
	WriteToUDP(b []byte, addr *net.UDPAddr) (int, error)
	WriteToUDPAddrPort(b []byte, addr netip.AddrPort) (int, error)
	WriteMsgUDPAddrPort(b, oob []byte, addr netip.AddrPort) (n, oobn int, err error)
}

const linuxTrunc = 0x20 // MSG_TRUNC, which package syscall does not have everywhere

var (
	past = time.Unix(1, 0)
	huge = make([]byte, 32<<20) // more than any socket buffer
)

type halfCloser interface {
	CloseWrite() error
	CloseRead() error
	SetLinger(int) error
}

func TestConformance(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("simnet models Linux, and this is " + runtime.GOOS)
	}
	for _, c := range append(streamCases, datagramCases...) {
		t.Run(strings.ReplaceAll(c.name, " ", "_"), func(t *testing.T) {
			t.Parallel()
			var real, sim seen
			t.Run("kernel", func(t *testing.T) {
				real = seen{t: t, stack: &kernel{}}
				c.run(&real)
			})
			t.Run("simnet", func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					sim = seen{t: t, stack: simnet.New(simnet.Options{Link: simnet.Link{Latency: time.Millisecond}})}
					c.run(&sim)
				})
			})
			if real.log.String() != sim.log.String() {
				t.Errorf("kernel:\n%s\nsimnet:\n%s", real.log.String(), sim.log.String())
			}
		})
	}
}

type conformance struct {
	name string
	run  func(s *seen)
}

var streamCases = []conformance{
	{"echo and clean end", func(s *seen) {
		a, b := s.pair()
		s.write("write", a, "hello")
		s.read("read", b, 100)
		s.err("close", a.Close())
		s.read("at the end", b, 100)
		s.read("again", b, 100)
		s.err("close twice", a.Close())
		s.read("read closed", a, 100)
		s.write("write closed", a, "x")
		s.err("deadline closed", a.SetDeadline(time.Now()))
	}},
	{"reads smaller than a write", func(s *seen) {
		a, b := s.pair()
		s.write("write", a, "hello")
		s.write("write", a, " world")
		pause()
		s.read("3", b, 3)
		s.read("0", b, 0)
		s.read("rest", b, 100)
	}},
	{"half close", func(s *seen) {
		a, b := s.pair()
		s.write("request", a, "request")
		s.err("close write", a.(halfCloser).CloseWrite())
		s.err("close write twice", a.(halfCloser).CloseWrite())
		s.write("write after it", a, "x")
		got, err := io.ReadAll(b)
		s.note("read all "+string(got), len(got), err)
		s.write("reply", b, "reply")
		s.err("close", b.Close())
		got, err = io.ReadAll(a)
		s.note("read all "+string(got), len(got), err)
	}},
	{"close read", func(s *seen) {
		a, b := s.pair()
		s.write("write", a, "early")
		pause()
		s.err("close read", b.(halfCloser).CloseRead())
		s.read("what waited", b, 100)
		s.read("then", b, 100)
		s.write("write on", a, "late")
		pause()
		s.read("late", b, 100)
		s.write("the other direction", b, "still")
		s.read("still", a, 100)
	}},
	{"refused", func(s *seen) {
		ln := s.listen()
		ln.Close()
		_, err := s.stack.DialContext(context.Background(), "tcp", ln.Addr().String())
		s.err("dial", err)
		s.note("is", 0, map[bool]error{true: nil, false: err}[errors.Is(err, syscall.ECONNREFUSED)])
	}},
	{"close with unread input resets", func(s *seen) {
		a, b := s.pair()
		s.write("request", a, "unread")
		pause()
		s.write("reply", b, "reply")
		pause()
		s.err("close", b.Close())
		pause()
		s.read("what came before", a, 100)
		s.read("reset", a, 100)
		s.read("after it", a, 100)
		s.write("write", a, "x")
		s.err("close write", a.(halfCloser).CloseWrite())
		s.err("close", a.Close())
	}},
	{"reset seen by write first", func(s *seen) {
		a, b := s.pair()
		s.write("request", a, "unread")
		pause()
		b.Close()
		pause()
		s.write("first write", a, "x")
		s.write("second write", a, "x")
		s.read("read", a, 100)
	}},
	{"data after close resets", func(s *seen) {
		a, b := s.pair()
		b.Close()
		pause()
		s.write("first write", a, "x")
		pause()
		s.write("second write", a, "x")
		s.write("third write", a, "x")
		s.read("read", a, 100)
	}},
	{"data after both directions were shut", func(s *seen) {
		a, b := s.pair()
		b.(halfCloser).CloseRead()
		b.(halfCloser).CloseWrite()
		pause()
		s.write("write", a, "x")
		pause()
		s.write("write", a, "x")
		s.read("read", a, 100)
		s.read("other read", b, 100)
	}},
	{"linger 0", func(s *seen) {
		a, b := s.pair()
		s.write("write", b, "before")
		pause()
		b.(halfCloser).SetLinger(0)
		b.Close()
		pause()
		s.read("before", a, 100)
		s.read("reset", a, 100)
		s.read("end", a, 100)
	}},
	{"reset wakes a reader", func(s *seen) {
		a, b := s.pair()
		b.(halfCloser).SetLinger(0)
		time.AfterFunc(30*time.Millisecond, func() { b.Close() })
		s.read("read", a, 100)
		s.read("read", a, 100)
	}},
	{"reset after a half close", func(s *seen) {
		a, b := s.pair()
		a.(halfCloser).CloseWrite()
		pause()
		b.(halfCloser).SetLinger(0)
		b.Close()
		pause()
		s.read("read", a, 100)
		s.write("write", a, "x")
	}},
	{"deadlines", func(s *seen) {
		a, b := s.pair()
		a.SetReadDeadline(soon())
		s.read("nothing comes", a, 100)
		s.write("write", b, "waits")
		pause()
		s.read("expired hides data", a, 100)
		s.read("empty read", a, 0)
		a.SetReadDeadline(time.Time{})
		s.read("lifted", a, 100)
		a.SetWriteDeadline(past)
		s.write("write", a, "x")
		s.write("empty write", a, "")
		a.SetWriteDeadline(time.Time{})
		s.write("lifted", a, "x")
		b.Close()
		pause()
		a.SetDeadline(past)
		s.read("expired hides the end", a, 100)
	}},
	{"a deadline set while blocked", func(s *seen) {
		a, b := s.pair()
		time.AfterFunc(30*time.Millisecond, func() { a.SetReadDeadline(past) })
		s.read("read", a, 100)
		time.AfterFunc(30*time.Millisecond, func() { b.SetWriteDeadline(past) })
		n, err := b.Write(huge)
		s.err("write", err)
		s.err("some of it", map[bool]error{true: nil, false: io.ErrShortWrite}[n > 0 && n < len(huge)])
		a.SetReadDeadline(soon())
		time.AfterFunc(10*time.Millisecond, func() { a.SetReadDeadline(time.Now().Add(time.Second)) })
		time.AfterFunc(20*time.Millisecond, func() { a.SetReadDeadline(past) })
		io.Copy(io.Discard, a)
	}},
	{"close while blocked", func(s *seen) {
		a, _ := s.pair()
		time.AfterFunc(30*time.Millisecond, func() { a.Close() })
		s.read("read", a, 100)
		_, b := s.pair()
		time.AfterFunc(30*time.Millisecond, func() { b.Close() })
		_, err := b.Write(huge)
		s.err("write", err)
		ln := s.listen()
		time.AfterFunc(30*time.Millisecond, func() { ln.Close() })
		_, err = ln.Accept()
		s.err("accept", err)
		_, err = ln.Accept()
		s.err("accept", err)
		s.err("close twice", ln.Close())
	}},
	{"accept deadlines", func(s *seen) {
		ln := s.listen()
		limit := ln.(interface{ SetDeadline(time.Time) error }).SetDeadline
		s.err("set", limit(soon()))
		_, err := ln.Accept()
		s.err("nobody", err)
		s.dial("tcp", ln.Addr().String())
		pause()
		_, err = ln.Accept()
		s.err("expired hides", err)
		limit(time.Time{})
		c, err := ln.Accept()
		s.err("lifted", err)
		c.Close()
		time.AfterFunc(30*time.Millisecond, func() { limit(past) })
		_, err = ln.Accept()
		s.err("while blocked", err)
		ln.Close()
		s.err("closed", limit(past))
	}},
	{"closing a listener resets its queue", func(s *seen) {
		ln := s.listen()
		c := s.dial("tcp", ln.Addr().String())
		pause()
		ln.Close()
		pause()
		s.read("read", c, 100)
	}},
	{"a large transfer", func(s *seen) {
		a, b := s.pair()
		data := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
		go func() {
			a.Write(data)
			a.Close()
		}()
		got, err := io.ReadAll(b)
		s.note("read all", len(got), err)
		s.note("equal", bytes.Compare(got, data), nil)
	}},
	{"address in use and not ours", func(s *seen) {
		ln := s.listen()
		_, err := s.stack.Listen(context.Background(), "tcp", ln.Addr().String())
		s.err("again", err)
		_, err = s.stack.Listen(context.Background(), "tcp", "192.0.2.1:0")
		s.err("not ours", err)
		_, err = s.stack.Listen(context.Background(), "tcp", "127.0.0.1")
		s.err("no port", err)
		_, err = s.stack.Listen(context.Background(), "udp", "127.0.0.1:0")
		s.err("wrong network", map[bool]error{true: nil}[err != nil])
	}},
	{"mapped peer", func(s *seen) {
		ln, err := s.stack.Listen(context.Background(), "tcp", ":0")
		if err != nil {
			s.t.Fatal(err)
		}
		s.t.Cleanup(func() { ln.Close() })
		_, port, _ := net.SplitHostPort(ln.Addr().String())
		s.dial("tcp", "127.0.0.1:"+port)
		c, err := ln.Accept()
		if err != nil {
			s.t.Fatal(err)
		}
		s.t.Cleanup(func() { c.Close() })
		s.note(fmt.Sprint(ln.Addr().(*net.TCPAddr).IP, c.RemoteAddr().(*net.TCPAddr).AddrPort().Addr(), c.LocalAddr().(*net.TCPAddr).AddrPort().Addr()), 0, nil)
	}},
	{"listening again beside old connections", func(s *seen) {
		ln := s.listen()
		s.dial("tcp", ln.Addr().String())
		c, err := ln.Accept()
		s.err("accept", err)
		defer c.Close()
		ln.Close()
		again, err := s.stack.Listen(context.Background(), "tcp", ln.Addr().String())
		s.err("again", err)
		again.Close()
	}},
	{"dial cancelled", func(s *seen) {
		ln := s.listen()
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_, err := s.stack.DialContext(ctx, "tcp", ln.Addr().String())
		s.err("is", map[bool]error{true: nil, false: err}[errors.Is(err, context.Canceled)])
	}},
}

var datagramCases = []conformance{
	{"datagrams keep their borders", func(s *seen) {
		pc := s.packets()
		c := s.dial("udp", pc.LocalAddr().String())
		s.write("write", c, "one")
		s.write("empty", c, "")
		s.write("write", c, "three")
		for range 3 {
			b := make([]byte, 100)
			n, from, err := pc.ReadFrom(b)
			s.note("read "+string(b[:n]), n, err)
			s.err("sender", map[bool]error{true: nil, false: io.EOF}[from.String() == c.LocalAddr().String()])
		}
		_, err := pc.WriteTo([]byte("reply"), c.LocalAddr())
		s.err("reply", err)
		s.read("reply", c, 100)
	}},
	{"the methods of a UDPConn", func(s *seen) {
		server := s.packets().(udpConn)
		client := s.dial("udp", server.LocalAddr().String()).(udpConn)
		b := make([]byte, 100)
		to := client.LocalAddr().(*net.UDPAddr)
		n, oobn, err := client.WriteMsgUDPAddrPort([]byte("one"), nil, netip.AddrPort{})
		s.note(fmt.Sprint("connected message ", oobn), n, err)
		n, from, err := server.ReadFromUDPAddrPort(b)
		s.note(fmt.Sprint("from the client ", from == to.AddrPort()), n, err)
		n, err = server.WriteToUDPAddrPort([]byte("two"), from)
		s.note("reply", n, err)
		n, err = server.WriteToUDP([]byte("three"), to)
		s.note("reply", n, err)
		n, _, err = server.WriteMsgUDPAddrPort(nil, nil, from)
		s.note("empty reply", n, err)
		n, oobn, _, from, err = client.ReadMsgUDPAddrPort(b, nil)
		s.note(fmt.Sprint("from the server ", oobn, from == server.LocalAddr().(*net.UDPAddr).AddrPort()), n, err)
		n, addr, err := client.ReadFromUDP(b)
		s.note(fmt.Sprint("from the server ", addr.String() == server.LocalAddr().String()), n, err)
		s.read("no room takes none", client, 0)
		s.read("empty", client, 10)
		s.err("the remote address", map[bool]error{true: nil, false: io.EOF}[client.RemoteAddr().String() == server.LocalAddr().String() && server.RemoteAddr() == nil])
		_, err = server.WriteToUDPAddrPort(nil, netip.AddrPort{})
		s.err("nowhere", map[bool]error{true: nil}[err != nil])
		_, err = server.WriteToUDPAddrPort(nil, netip.MustParseAddrPort("[::1]:9"))
		s.err("the other family", map[bool]error{true: nil}[err != nil])
		server.SetReadDeadline(past)
		_, _, _, _, err = server.ReadMsgUDP(b, nil)
		s.err("expired", err)
	}},
	{"truncation", func(s *seen) {
		pc := s.packets()
		c := s.dial("udp", pc.LocalAddr().String())
		for range 3 {
			s.write("write", c, "sixteen bytes ok")
		}
		n, _, err := pc.ReadFrom(make([]byte, 10))
		s.note("short", n, err)
		n, _, err = pc.ReadFrom(nil)
		s.note("nil takes one", n, err)
		n, _, flags, _, err := pc.(udpConn).ReadMsgUDP(make([]byte, 10), nil)
		s.note(fmt.Sprint("flags ", flags&linuxTrunc), n, err)
		pc.SetReadDeadline(soon())
		_, _, err = pc.ReadFrom(make([]byte, 10))
		s.err("no more", err)
	}},
	{"too long", func(s *seen) {
		pc := s.packets()
		c := s.dial("udp", pc.LocalAddr().String())
		n, err := c.Write(make([]byte, 65507))
		s.note("longest", n, err)
		n, err = c.Write(make([]byte, 65508))
		s.note("longer", n, err)
		n, _, err = pc.ReadFrom(make([]byte, 70000))
		s.note("read", n, err)
	}},
	{"port unreachable", func(s *seen) {
		pc := s.packets()
		pc.Close()
		c := s.dial("udp", pc.LocalAddr().String())
		s.write("write", c, "x")
		pause()
		s.write("next write", c, "x")
		s.write("one after", c, "x")
		pause()
		s.read("read", c, 100)
		c.SetReadDeadline(soon())
		s.read("once", c, 100)
		c.SetReadDeadline(time.Time{})
		time.AfterFunc(30*time.Millisecond, func() { c.Write([]byte("x")) })
		s.read("wakes", c, 100)
		un := s.packets()
		un.WriteTo([]byte("x"), pc.LocalAddr())
		pause()
		_, err := un.WriteTo([]byte("x"), pc.LocalAddr())
		s.err("unconnected is not told", err)
	}},
	{"unreachable comes before data", func(s *seen) {
		pc := s.packets()
		c := s.dial("udp", pc.LocalAddr().String())
		pc.WriteTo([]byte("data"), c.LocalAddr())
		pc.Close()
		c.Write([]byte("x"))
		pause()
		s.read("error", c, 100)
		s.read("data", c, 100)
	}},
	{"connected sockets hear their peer only", func(s *seen) {
		pc, other := s.packets(), s.packets()
		c := s.dial("udp", pc.LocalAddr().String())
		other.WriteTo([]byte("stranger"), c.LocalAddr())
		pc.WriteTo([]byte("friend"), c.LocalAddr())
		s.read("read", c, 100)
	}},
	{"wrong kind of write", func(s *seen) {
		pc := s.packets()
		c := s.dial("udp", pc.LocalAddr().String())
		_, err := c.(net.PacketConn).WriteTo([]byte("x"), pc.LocalAddr())
		s.err("WriteTo on connected", err)
		s.write("Write on unconnected", pc.(net.Conn), "x")
		_, err = pc.WriteTo([]byte("x"), &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		s.err("port 0", err)
	}},
	{"datagram deadlines and close", func(s *seen) {
		pc := s.packets()
		c := s.dial("udp", pc.LocalAddr().String())
		c.SetReadDeadline(soon())
		s.read("nothing comes", c, 100)
		pc.WriteTo([]byte("waits"), c.LocalAddr())
		pause()
		s.read("expired hides data", c, 100)
		c.SetReadDeadline(time.Time{})
		s.read("lifted", c, 100)
		c.SetWriteDeadline(past)
		s.write("write", c, "x")
		time.AfterFunc(30*time.Millisecond, func() { c.Close() })
		s.read("close while blocked", c, 100)
		s.write("write closed", c, "x")
		s.err("close twice", c.Close())
		s.err("deadline closed", c.SetDeadline(past))
		_, err := s.stack.ListenPacket(context.Background(), "udp", pc.LocalAddr().String())
		s.err("in use", err)
		_, err = s.stack.ListenPacket(context.Background(), "udp", s.dial("udp", pc.LocalAddr().String()).LocalAddr().String())
		s.err("in use by a connected socket", err)
	}},
	{"mapped sender", func(s *seen) {
		pc, err := s.stack.ListenPacket(context.Background(), "udp", ":0")
		if err != nil {
			s.t.Fatal(err)
		}
		s.t.Cleanup(func() { pc.Close() })
		_, port, _ := net.SplitHostPort(pc.LocalAddr().String())
		c := s.dial("udp", "127.0.0.1:"+port)
		s.write("write", c, "x")
		n, from, err := pc.ReadFrom(make([]byte, 10))
		s.note(fmt.Sprint(from.(*net.UDPAddr).AddrPort().Addr()), n, err)
		_, err = pc.WriteTo([]byte("back"), from)
		s.err("reply", err)
		s.read("reply", c, 100)
	}},
}
