package simnet_test

import (
	"io"
	"net"
	"testing"

	"example.com/sockets/simnet"
)

// BenchmarkDatagram is one round trip without delays or trace.
func BenchmarkDatagram(b *testing.B) {
	n := simnet.New(simnet.Options{Trace: -1})
	pc, _ := n.ListenPacket(b.Context(), "udp", "127.0.0.1:0")
	c, _ := n.DialContext(b.Context(), "udp", pc.LocalAddr().String())
	server, buf := pc.(*simnet.PacketConn), make([]byte, 100)
	b.ReportAllocs()
	for b.Loop() {
		c.Write(buf)
		k, from, _ := server.ReadFromUDPAddrPort(buf)
		server.WriteToUDPAddrPort(buf[:k], from)
		c.Read(buf)
	}
}

// BenchmarkStream is one round trip of a short message.
func BenchmarkStream(b *testing.B) {
	c, s := benchPair(b)
	buf := make([]byte, 100)
	b.ReportAllocs()
	for b.Loop() {
		c.Write(buf)
		io.ReadFull(s, buf)
		s.Write(buf)
		io.ReadFull(c, buf)
	}
}

// BenchmarkTransfer moves 32 KiB at a time.
func BenchmarkTransfer(b *testing.B) {
	c, s := benchPair(b)
	buf := make([]byte, 32<<10)
	b.SetBytes(int64(len(buf)))
	b.ReportAllocs()
	go io.Copy(io.Discard, s)
	for b.Loop() {
		c.Write(buf)
	}
}

func benchPair(b *testing.B) (c, s net.Conn) {
	n := simnet.New(simnet.Options{Trace: -1})
	ln, _ := n.Listen(b.Context(), "tcp", "127.0.0.1:0")
	c, _ = n.DialContext(b.Context(), "tcp", ln.Addr().String())
	s, _ = ln.Accept()
	ln.Close()
	b.Cleanup(func() { c.Close(); s.Close() })
	return c, s
}
