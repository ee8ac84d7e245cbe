package udpio_test

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"example.com/sockets/internal/udpio"
	"example.com/sockets/simnet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// engines are all there are, each on a socket bound to address.
func engines(t *testing.T, address string, run func(t *testing.T, open func(t *testing.T, size int) (udpio.Conn, net.PacketConn))) {
	listen := func(t *testing.T) net.PacketConn {
		pc, err := net.ListenPacket("udp", address)
		if err != nil {
			t.Skip(err)
		}
		return pc
	}
	inMemory := func(t *testing.T) net.PacketConn {
		pc, err := simnet.New(simnet.Options{}).ListenPacket(t.Context(), "udp", address)
		if err != nil {
			t.Skip(err)
		}
		return pc
	}
	// plain hides everything but net.PacketConn.
	plain := func(t *testing.T) net.PacketConn { return struct{ net.PacketConn }{listen(t)} }
	for _, e := range []struct {
		name   string
		pc     func(*testing.T) net.PacketConn
		engine udpio.Engine
	}{
		{"single", listen, udpio.Single},
		{"multi", listen, udpio.Multi},
		{"trains", listen, udpio.Trains},
		{"best", listen, udpio.Best},
		{"any PacketConn", plain, udpio.Best},
		{"simnet", inMemory, udpio.Best},
	} {
		t.Run(e.name, func(t *testing.T) {
			run(t, func(t *testing.T, size int) (udpio.Conn, net.PacketConn) {
				pc := e.pc(t)
				c := udpio.Open(pc, size, e.engine)
				t.Cleanup(func() { c.Close() })
				return c, pc
			})
		})
	}
}

func routeTo(pc net.PacketConn) udpio.Route {
	a := pc.LocalAddr().(*net.UDPAddr).AddrPort()
	return udpio.Route{Peer: netip.AddrPortFrom(a.Addr().Unmap(), a.Port())}
}

// readAll reads n datagrams.
func readAll(t *testing.T, c udpio.Conn, pc net.PacketConn, n int) (all []udpio.Packet) {
	t.Helper()
	pc.SetReadDeadline(time.Now().Add(5 * time.Second))
	for len(all) < n {
		packets, err := c.Read()
		if err != nil {
			t.Fatalf("after %d datagrams: %v", len(all), err)
		}
		for _, p := range packets {
			p.Data = slices.Clone(p.Data)
			all = append(all, p)
		}
	}
	return all
}

func TestBoundariesAndSenders(t *testing.T) {
	engines(t, "127.0.0.1:0", func(t *testing.T, open func(*testing.T, int) (udpio.Conn, net.PacketConn)) {
		c, pc := open(t, 2048)
		to := routeTo(pc)
		messages := []string{"", "x", "", strings.Repeat("y", 1472), strings.Repeat("z", 2048), ""}
		for _, m := range messages {
			if err := c.Write([]byte(m), to); err != nil { // to itself
				t.Fatal(err)
			}
		}
		for i, p := range readAll(t, c, pc, len(messages)) {
			if string(p.Data) != messages[i] || p.Truncated || p.Peer != to.Peer {
				t.Errorf("datagram %d: %d bytes from %v, truncated %v; want %d bytes from %v", i, len(p.Data), p.Peer, p.Truncated, len(messages[i]), to.Peer)
			}
		}
	})
}

func TestTruncation(t *testing.T) {
	engines(t, "127.0.0.1:0", func(t *testing.T, open func(*testing.T, int) (udpio.Conn, net.PacketConn)) {
		c, pc := open(t, 512)
		for _, n := range []int{511, 512, 513, 9000, 0} {
			if err := c.Write(make([]byte, n), routeTo(pc)); err != nil {
				t.Fatal(err)
			}
		}
		var got []string
		for _, p := range readAll(t, c, pc, 5) {
			got = append(got, fmt.Sprint(len(p.Data), p.Truncated))
		}
		want := []string{"511 false", "512 false", "512 true", "512 true", "0 false"}
		if !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

func TestInterruptAndDrain(t *testing.T) {
	engines(t, "127.0.0.1:0", func(t *testing.T, open func(*testing.T, int) (udpio.Conn, net.PacketConn)) {
		c, pc := open(t, 512)
		timedOut := func(when string) {
			t.Helper()
			if _, err := c.Read(); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatalf("%s: %v", when, err)
			}
		}
		go c.Interrupt()
		timedOut("interrupted")
		for i := range 3 {
			c.Write([]byte{byte(i)}, routeTo(pc))
		}
		timedOut("still interrupted")
		c.Drain()
		for n := 0; n < 3; {
			packets, err := c.Read()
			if err != nil {
				t.Fatalf("draining: %v", err)
			}
			n += len(packets)
		}
		timedOut("drained")
		c.Close()
		if _, err := c.Read(); udpio.Classify(err) != udpio.Closed {
			t.Errorf("closed: %v", err)
		}
		if err := c.Write(nil, routeTo(pc)); udpio.Classify(err) != udpio.Closed {
			t.Errorf("write to a closed socket: %v", err)
		}
	})
}

// One batch: every kind of size, peers mixed, a destination that fails in between.
func TestBatchGoesPastFailures(t *testing.T) {
	engines(t, "127.0.0.1:0", func(t *testing.T, open func(*testing.T, int) (udpio.Conn, net.PacketConn)) {
		c, _ := open(t, 2048)
		var failed []netip.AddrPort
		out := c.NewBatch(func(r udpio.Route, err error) {
			if udpio.Classify(err) != udpio.Argument {
				t.Errorf("failed with %v", err)
			}
			failed = append(failed, r.Peer)
		})
		if out == nil {
			t.Skip("no batches")
		}
		peers := []net.PacketConn{listen(t), listen(t), listen(t)}
		bad := netip.MustParseAddrPort("127.0.0.1:0")
		want := make([][]string, len(peers))
		sizes := []int{64, 64, 10, 64, 0, 64, 1472, 1472, 2000, 64, 64, 64}
		total := 0
		for round := range 3 {
			for i, size := range sizes {
				n := (i + round) % len(peers)
				m := fmt.Sprintf("%*d", size, i)[:size]
				if !out.Add([]byte(m), routeTo(peers[n])) {
					t.Fatalf("no room for datagram %d", i)
				}
				want[n] = append(want[n], m)
				total += size
			}
			if !out.Add([]byte("bad"), udpio.Route{Peer: bad}) {
				t.Fatal("the bad one is refused at once")
			}
		}
		if out.Len() != 3*len(sizes)+3 {
			t.Errorf("Len is %d", out.Len())
		}
		sent, bytes := out.Send()
		if sent != 3*len(sizes) || bytes != total || out.Len() != 0 || len(failed) != 3 || failed[0] != bad {
			t.Errorf("sent %d datagrams, %d bytes, failed %v, left %d", sent, bytes, failed, out.Len())
		}
		for n, pc := range peers {
			for i, m := range want[n] { // each alone and in its order
				if got := read(t, pc); got != m {
					t.Errorf("peer %d, datagram %d: %d bytes, want %d", n, i, len(got), len(m))
				}
			}
		}
	})
}

func TestBatchRefusesWhatDoesNotFit(t *testing.T) {
	engines(t, "127.0.0.1:0", func(t *testing.T, open func(*testing.T, int) (udpio.Conn, net.PacketConn)) {
		c, pc := open(t, 2048)
		out := c.NewBatch(func(r udpio.Route, err error) { t.Errorf("%v: %v", r.Peer, err) })
		if out == nil {
			t.Skip("no batches")
		}
		if out.Add(make([]byte, 20_000), routeTo(pc)) {
			t.Error("took a datagram that is too long to be copied")
		}
		if out.Add(nil, udpio.Route{Peer: netip.MustParseAddrPort("[::1]:9")}) {
			t.Error("took an IPv6 address on an IPv4 socket")
		}
		n := 0
		for ; n < 1000 && out.Add(make([]byte, 16_000), routeTo(pc)); n++ {
		}
		if n != 4 {
			t.Errorf("took %d of 16,000 bytes", n)
		}
	})
}

func TestNothingIsAllocated(t *testing.T) {
	for name, e := range map[string]udpio.Engine{"single": udpio.Single, "multi": udpio.Multi, "trains": udpio.Trains} {
		for _, address := range []string{"127.0.0.1:0", "[::]:0"} {
			pc, err := net.ListenPacket("udp", address)
			if err != nil {
				t.Skip(err)
			}
			c := udpio.Open(pc, 2048, e)
			defer c.Close()
			port := pc.LocalAddr().(*net.UDPAddr).AddrPort().Port()
			to := udpio.Route{Peer: netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), port)}
			out := c.NewBatch(func(udpio.Route, error) { t.Error("failed") })
			p := make([]byte, 64)
			trip := func() {
				c.Write(p, to)
				want := 1
				if out != nil {
					for range 8 {
						out.Add(p, to)
					}
					out.Send()
					want += 8
				}
				for want > 0 {
					packets, err := c.Read()
					if err != nil {
						t.Fatal(err)
					}
					want -= len(packets)
					if to = packets[0].Route; to.Source.IsValid() != (udpio.CanSource && address == "[::]:0") {
						t.Fatalf("source %v", to.Source)
					}
				}
			}
			if n := testing.AllocsPerRun(500, trip); n > 0 {
				t.Errorf("%s on %s: %v allocations", name, address, n)
			}
		}
	}
}

// Replies leave from the address that was asked, whatever the family of the
// socket and the kind of address.
func TestSource(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("needs the addresses 127.0.0.0/8 and a system that can choose")
	}
	for name, e := range map[string]udpio.Engine{"single": udpio.Single, "multi": udpio.Multi} {
		for _, local := range []string{"0.0.0.0:0", "[::]:0"} {
			for _, asked := range []string{"127.0.0.1", "127.0.0.9", "127.255.255.255", "::1"} {
				t.Run(name+"/"+local+"/"+asked, func(t *testing.T) { testSource(t, e, local, netip.MustParseAddr(asked)) })
			}
		}
	}
}

func testSource(t *testing.T, e udpio.Engine, local string, asked netip.Addr) {
	network := map[bool]string{true: "udp4", false: "udp6"}[asked.Is4()]
	if local == "0.0.0.0:0" && !asked.Is4() {
		t.Skip("another family")
	}
	lc := net.ListenConfig{}
	pc, err := lc.ListenPacket(t.Context(), map[bool]string{true: "udp4", false: "udp"}[local == "0.0.0.0:0"], local)
	if err != nil {
		t.Skip(err)
	}
	c := udpio.Open(pc, 2048, e)
	defer c.Close()
	pc.SetReadDeadline(time.Now().Add(5 * time.Second))
	client, err := net.ListenUDP(network, nil)
	if err != nil {
		t.Skip(err)
	}
	defer client.Close()
	to := netip.AddrPortFrom(asked, pc.LocalAddr().(*net.UDPAddr).AddrPort().Port())
	broadcast := asked == netip.MustParseAddr("127.255.255.255")
	if broadcast {
		allowBroadcast(t, client)
	}
	if _, err := client.WriteToUDPAddrPort([]byte("hello"), to); err != nil {
		t.Skip(err)
	}
	packets, err := c.Read()
	if err != nil {
		t.Fatal(err)
	}
	r := packets[0].Route
	if r.Asked != asked || r.Index == 0 {
		t.Errorf("asked %v on interface %d, want %v", r.Asked, r.Index, asked)
	}
	want := to
	if broadcast {
		want = netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), to.Port())
	}
	gone := r
	gone.Source = netip.MustParseAddr("192.0.2.1") // RFC 5737: nobody's
	out := c.NewBatch(func(r udpio.Route, err error) { t.Errorf("%v: %v", r, err) })
	for _, reply := range []func() error{
		func() error { return c.Write([]byte("one"), r) },
		func() error {
			if out == nil {
				return c.Write(nil, r)
			}
			out.Add([]byte("two"), r)
			out.Add([]byte("two"), r)
			out.Send()
			return nil
		},
	} {
		if err := reply(); err != nil {
			t.Fatal(err)
		}
		if _, from := readFrom(t, client); from != want {
			t.Errorf("the reply came from %v, want %v", from, want)
		}
		if out != nil {
			client.SetReadDeadline(time.Now().Add(time.Millisecond))
			client.Read(make([]byte, 9))
		}
	}
	if asked.Is4() { // the address has gone: a reply from another is better than none
		if err := c.Write([]byte("three"), gone); err != nil {
			t.Errorf("source gone: %v", err)
		} else if got, _ := readFrom(t, client); got != "three" {
			t.Errorf("source gone: got %q", got)
		}
	}
}

func TestClassify(t *testing.T) {
	wrap := func(e error) error { return &net.OpError{Op: "read", Err: os.NewSyscallError("recvmsg", e)} }
	for _, tt := range []struct {
		err  error
		want udpio.Class
	}{
		{wrap(syscall.ECONNREFUSED), udpio.Peer},
		{wrap(syscall.EHOSTUNREACH), udpio.Peer},
		{wrap(syscall.EPERM), udpio.Peer},
		{wrap(syscall.ENOBUFS), udpio.Resource},
		{wrap(syscall.ENOMEM), udpio.Resource},
		{wrap(syscall.EMSGSIZE), udpio.TooLong},
		{wrap(syscall.EBADF), udpio.Dead},
		{wrap(syscall.EINVAL), udpio.Argument},
		{wrap(net.ErrClosed), udpio.Closed},
		{wrap(os.ErrDeadlineExceeded), udpio.Deadline},
		{&net.OpError{Op: "write", Err: &net.AddrError{Err: "non-IPv4 address"}}, udpio.Argument},
		{errors.New("odd"), udpio.Unknown},
	} {
		if runtime.GOOS == "windows" && udpio.Errno(tt.err) != 0 {
			continue // has numbers of its own
		}
		if got := udpio.Classify(tt.err); got != tt.want {
			t.Errorf("%v: class %d, want %d", tt.err, got, tt.want)
		}
	}
}

func listen(t *testing.T) net.PacketConn {
	t.Helper()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pc.Close() })
	return pc
}

func read(t *testing.T, pc net.PacketConn) string {
	t.Helper()
	got, _ := readFrom(t, pc.(*net.UDPConn))
	return got
}

func readFrom(t *testing.T, c *net.UDPConn) (string, netip.AddrPort) {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(5 * time.Second))
	buf := make([]byte, 4096)
	n, from, err := c.ReadFromUDPAddrPort(buf)
	if err != nil {
		t.Fatal(err)
	}
	return string(buf[:n]), netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
}

func allowBroadcast(t *testing.T, c *net.UDPConn) {
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Control(func(fd uintptr) { err = setBroadcast(fd) })
	if err != nil {
		t.Skip(err)
	}
}
