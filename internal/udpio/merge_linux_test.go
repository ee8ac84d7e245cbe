package udpio_test

import (
	"bytes"
	"encoding/binary"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"example.com/sockets/internal/udpio"
)

// sendMerged sends data as datagrams of size bytes that cross the system as one.
func sendMerged(t *testing.T, from *net.UDPConn, data []byte, size int, to netip.AddrPort) {
	t.Helper()
	oob := make([]byte, unix.CmsgSpace(2))
	binary.NativeEndian.PutUint64(oob, uint64(unix.CmsgLen(2)))
	binary.NativeEndian.PutUint32(oob[8:], unix.SOL_UDP)
	binary.NativeEndian.PutUint32(oob[12:], unix.UDP_SEGMENT)
	binary.NativeEndian.PutUint16(oob[16:], uint16(size))
	if _, _, err := from.WriteMsgUDPAddrPort(data, oob, to); err != nil {
		t.Skip("no UDP_SEGMENT: ", err)
	}
}

// Datagrams that the system has merged come out one by one, as they were sent, in
// every engine, on sockets of one family and of both.
func TestMerged(t *testing.T) {
	if unix.SizeofPtr != 8 {
		t.Skip("builds a control message of 64-bit systems")
	}
	trains := []struct{ bytes, size int }{
		{128, 1},       // as many datagrams as one message takes
		{25_000, 250},  // all of one size
		{25_001, 250},  // and one byte more
		{64_000, 1400}, // as long as a message can be
		{500, 499}, {1, 1}, {9, 10},
	}
	for _, address := range []string{"127.0.0.1:0", "[::]:0"} {
		engines(t, address, func(t *testing.T, open func(*testing.T, int) (udpio.Conn, net.PacketConn)) {
			c, pc := open(t, 1472)
			if strings.Contains(t.Name(), "simnet") {
				t.Skip("not a socket")
			}
			to := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), pc.LocalAddr().(*net.UDPAddr).AddrPort().Port())
			from := listen(t).(*net.UDPConn)
			for _, train := range trains {
				data := make([]byte, train.bytes)
				for i := range data {
					data[i] = byte(i / train.size)
				}
				sendMerged(t, from, data, train.size, to)
				from.WriteToUDPAddrPort(nil, to)
				want := append(slices.Collect(slices.Chunk(data, train.size)), nil)
				for i, p := range readAll(t, c, pc, len(want)) {
					if !bytes.Equal(p.Data, want[i]) || p.Truncated || p.Malformed || p.Peer != routeTo(from).Peer {
						t.Fatalf("%v, datagram %d: %d bytes %.1x from %v, truncated %v; want %d bytes", train, i, len(p.Data), p.Data, p.Peer, p.Truncated, len(want[i]))
					}
					if address == "[::]:0" && !strings.Contains(t.Name(), "any") && p.Asked != to.Addr() {
						t.Fatalf("%v, datagram %d was sent to %v", train, i, p.Asked)
					}
				}
			}
		})
	}
}

// Of merged datagrams each is cut that is longer than what is wanted.
func TestMergedTruncation(t *testing.T) {
	engines(t, "127.0.0.1:0", func(t *testing.T, open func(*testing.T, int) (udpio.Conn, net.PacketConn)) {
		c, pc := open(t, 100)
		if strings.Contains(t.Name(), "simnet") {
			t.Skip("not a socket")
		}
		sendMerged(t, listen(t).(*net.UDPConn), make([]byte, 10*101+50), 101, routeTo(pc).Peer)
		for i, p := range readAll(t, c, pc, 11) {
			if i < 10 && (len(p.Data) != 100 || !p.Truncated) || i == 10 && (len(p.Data) != 50 || p.Truncated) {
				t.Errorf("datagram %d: %d bytes, truncated %v", i, len(p.Data), p.Truncated)
			}
		}
	})
}

// What was received before an interruption is not lost because it did not fit into
// one Read, and only what was merged is joined.
func TestMergedAndInterrupted(t *testing.T) {
	pc := listen(t)
	c := udpio.Open(pc, 65535, udpio.Best)
	from := listen(t).(*net.UDPConn)
	for range 3 {
		sendMerged(t, from, make([]byte, 100), 1, routeTo(pc).Peer)
	}
	got, joined := 0, 0
	for got < 300 {
		packets, err := c.Read()
		if err != nil {
			t.Fatalf("after %d datagrams: %v", got, err)
		}
		got += len(packets)
		for _, p := range packets {
			if p.Joined {
				joined++
			}
		}
		if got < 100 { // the first message is open
			c.Interrupt()
			c.Drain()
		}
	}
	if _, err := c.Read(); udpio.Classify(err) != udpio.Deadline {
		t.Errorf("after all: %v", err)
	}
	if want := 297 * merging(pc); joined != want {
		t.Errorf("%d of %d joined, want %d", joined, got, want)
	}
}

// merging is 1 if the system merges what pc receives.
func merging(pc net.PacketConn) (on int) {
	raw, _ := pc.(*net.UDPConn).SyscallConn()
	raw.Control(func(fd uintptr) { on, _ = unix.GetsockoptInt(int(fd), unix.SOL_UDP, unix.UDP_GRO) })
	return on
}

// The bits of ECN come with each datagram where they are wanted.
func TestECN(t *testing.T) {
	engines(t, "[::]:0", func(t *testing.T, open func(*testing.T, int) (udpio.Conn, net.PacketConn)) {
		c, pc := open(t, 2048)
		if !c.WantECN() {
			t.Skip("not known here")
		}
		for _, network := range []string{"udp4", "udp6"} {
			to := &net.UDPAddr{IP: map[string]net.IP{"udp4": net.IPv4(127, 0, 0, 1), "udp6": net.IPv6loopback}[network], Port: pc.LocalAddr().(*net.UDPAddr).Port}
			from, err := net.DialUDP(network, nil, to)
			if err != nil {
				t.Skip(err)
			}
			defer from.Close()
			raw, _ := from.SyscallConn()
			var want []uint8
			for ecn := range 4 {
				raw.Control(func(fd uintptr) {
					unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_TOS, 0xb8|ecn)
					unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_TCLASS, 0xb8|ecn)
				})
				from.Write([]byte("hello"))
				want = append(want, uint8(ecn))
			}
			var got []uint8
			for _, p := range readAll(t, c, pc, 4) {
				got = append(got, p.ECN)
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s: got %v, want %v", network, got, want)
			}
		}
	})
}

// A datagram of which the system could not say where it was sent to is marked: a
// reply might leave from an address that its sender does not know.
func TestControlDataThatDoesNotFit(t *testing.T) {
	for name, e := range map[string]udpio.Engine{"single": udpio.Single, "multi": udpio.Multi, "trains": udpio.Trains} {
		pc, err := net.ListenPacket("udp", "[::]:0")
		if err != nil {
			t.Skip(err)
		}
		defer pc.Close()
		enableAll(t, pc.(*net.UDPConn))
		c := udpio.Open(pc, 2048, e)
		to := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), pc.LocalAddr().(*net.UDPAddr).AddrPort().Port())
		from := listen(t).(*net.UDPConn)
		for range 100 { // more than the buffer holds: the next one tells how many were lost
			from.WriteToUDPAddrPort([]byte("hello"), to)
		}
		if p := readAll(t, c, pc, 1)[0]; p.Malformed || p.Asked != to.Addr() {
			t.Errorf("%s: at first malformed %v, asked %v", name, p.Malformed, p.Asked)
		}
		c.Interrupt()
		c.Drain()
		for err = nil; err == nil; _, err = c.Read() {
		}
		from.WriteToUDPAddrPort([]byte("hello"), to)
		packets, err := c.Read()
		if err != nil || !packets[0].Malformed || string(packets[0].Data) != "hello" {
			t.Errorf("%s: malformed %v, %v", name, packets, err)
		}
	}
}

// enableAll makes the system say so much about each datagram that the address asked
// fits just so, and not if it also says how many were lost.
func enableAll(t *testing.T, c *net.UDPConn) {
	c.SetReadBuffer(4096)
	raw, _ := c.SyscallConn()
	raw.Control(func(fd uintptr) {
		const receiveSoftware, software = 1 << 3, 1 << 4 // linux/net_tstamp.h
		for option, value := range map[int]int{
			unix.SO_TIMESTAMPNS: 1, unix.SO_TIMESTAMPING: receiveSoftware | software, unix.SO_RXQ_OVFL: 1, unix.SO_RCVMARK: 1,
		} {
			if err := unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, option, value); err != nil {
				t.Skip("option ", option, ": ", err)
			}
		}
	})
}
