package udpio_test

import (
	"net"
	"slices"
	"syscall"
	"testing"
	"time"

	"example.com/sockets/internal/udpio"
)

// fake is a socket that lets a test look on.
type fake struct {
	net.PacketConn
	deadline func(time.Time)
	longest  int
}

func (*fake) LocalAddr() net.Addr                       { return &net.UDPAddr{} }
func (f *fake) SetWriteDeadline(t time.Time) error      { f.deadline(t); return nil }
func (*fake) WriteTo(p []byte, _ net.Addr) (int, error) { return len(p), nil }
func (*fake) sender() net.Addr                          { return &net.UDPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 9} }

// ReadFrom tells of a datagram that is too long as Windows does: by an error, and
// without its sender.
func (f *fake) ReadFrom(p []byte) (int, net.Addr, error) {
	if len(p) < f.longest {
		return len(p), nil, &net.OpError{Op: "read", Err: syscall.EMSGSIZE}
	}
	return f.longest, f.sender(), nil
}

// A write that sets the deadline while Hurry shortens the wait of all does not make it
// long again.
func TestHurryWhileADeadlineIsSet(t *testing.T) {
	var c udpio.Conn
	var last []time.Time
	pc := &fake{}
	pc.deadline = func(at time.Time) {
		if len(last) == 0 {
			last = append(last, time.Time{})
			c.Hurry() // and then the write's own comes after it
		}
		last = append(last, at)
	}
	c = udpio.Open(pc, 100, udpio.Single)
	if err := c.Write([]byte("x"), udpio.Route{Raw: pc.sender()}); err != nil {
		t.Fatal(err)
	}
	if ahead := time.Until(last[len(last)-1]); ahead > udpio.WriteWait/10 {
		t.Errorf("the deadline is %v ahead", ahead)
	}
}

// A datagram that is longer than wanted comes cut, and with its sender, also where the
// system leaves that out of one for which a buffer is too short.
func TestTooLongHasASender(t *testing.T) {
	for _, longest := range []int{101, 1500, 65507} {
		pc := &fake{longest: longest}
		got, err := udpio.Open(pc, 100, udpio.Single).Read()
		if err != nil {
			t.Errorf("of %d bytes: %v", longest, err)
			continue
		}
		if p := got[0]; !p.Truncated || len(p.Data) != 100 || !slices.Equal(p.Peer.Addr().AsSlice(), []byte{192, 0, 2, 1}) {
			t.Errorf("of %d bytes: %d from %v, truncated %v", longest, len(p.Data), p.Peer, p.Truncated)
		}
	}
}
