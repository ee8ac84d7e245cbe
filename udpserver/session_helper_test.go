package udpserver_test

import (
	"net"
	"testing"
	"testing/synctest"
	"time"

	"example.com/sockets/simnet"
	"example.com/sockets/udpserver"
)

// sessions makes sessions of pc. They end with the test.
func sessions(t *testing.T, pc net.PacketConn, c udpserver.SessionConfig) *udpserver.SessionListener {
	t.Helper()
	ln, err := udpserver.Sessions(pc, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ln.Close()
		sessionLedger(t, ln.(*udpserver.SessionListener))
	})
	return ln.(*udpserver.SessionListener)
}

// realSessions is sessions on a loopback socket.
func realSessions(t *testing.T, address string, c udpserver.SessionConfig) *udpserver.SessionListener {
	t.Helper()
	pc, err := net.ListenPacket("udp", address)
	if err != nil {
		t.Fatal(err)
	}
	return sessions(t, pc, c)
}

// inVirtualTime runs f with sessions on a network in memory; peer makes a client.
func inVirtualTime(t *testing.T, c udpserver.SessionConfig, f func(t *testing.T, ln *udpserver.SessionListener, peer func() net.Conn)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n := simnet.New(simnet.Options{})
		pc, err := n.ListenPacket(t.Context(), "udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		f(t, sessions(t, pc, c), func() net.Conn {
			p, err := n.DialContext(t.Context(), "udp", pc.LocalAddr().String())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { p.Close() })
			return p
		})
	})
}

// accept returns the next session, which is closed with the test.
func accept(t *testing.T, ln net.Listener) net.Conn {
	t.Helper()
	c, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// want fails unless the next datagram is message.
func want(t *testing.T, c net.Conn, message string) {
	t.Helper()
	buf := make([]byte, 65536)
	if n, err := c.Read(buf); err != nil || string(buf[:n]) != message {
		t.Errorf("read %q, %v; want %q", buf[:n], err, message)
	}
}

// sessionLedger fails unless every datagram is accounted for.
func sessionLedger(t *testing.T, ln *udpserver.SessionListener) udpserver.SessionStats {
	t.Helper()
	s := ln.Stats()
	if s.Received != s.Read+s.Waiting+s.Dropped.Total() {
		t.Errorf("received %d, read %d + waiting %d + dropped %d: %+v", s.Received, s.Read, s.Waiting, s.Dropped.Total(), s)
	}
	if s.Sessions == 0 && (s.Waiting != 0 || s.Queued != 0 || s.Pending != 0) {
		t.Errorf("without sessions something waits: %+v", s)
	}
	return s
}

// script is a socket that a test feeds. It has no methods but those of a
// net.PacketConn.
type script struct {
	local  net.Addr
	in     chan scripted
	closed chan struct{}
	writes error // what WriteTo returns
}

// scripted is what a read returns.
type scripted struct {
	data string
	from net.Addr
	err  error
}

func newScript(local string) *script {
	a, _ := net.ResolveUDPAddr("udp", local)
	return &script{local: a, in: make(chan scripted), closed: make(chan struct{})}
}

// arrives makes s read data from the sender, and waits until the reader is done with
// what came before.
func (s *script) arrives(from, data string) {
	a, _ := net.ResolveUDPAddr("udp", from)
	s.in <- scripted{data: data, from: a}
}

func (s *script) ReadFrom(p []byte) (int, net.Addr, error) {
	select {
	case next := <-s.in:
		return copy(p, next.data), next.from, next.err
	case <-s.closed:
		return 0, nil, net.ErrClosed
	}
}

func (s *script) Close() error                   { close(s.closed); return nil }
func (s *script) LocalAddr() net.Addr            { return s.local }
func (*script) SetDeadline(time.Time) error      { return nil }
func (*script) SetReadDeadline(time.Time) error  { return nil }
func (*script) SetWriteDeadline(time.Time) error { return nil }

func (s *script) WriteTo(p []byte, _ net.Addr) (int, error) {
	if s.writes != nil {
		return 0, s.writes
	}
	return len(p), nil
}
