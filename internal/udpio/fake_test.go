package udpio_test

import (
	"net"
	"testing"
	"time"

	"example.com/sockets/internal/udpio"
)

// fake is a socket that lets a test look on.
type fake struct {
	net.PacketConn
	deadline func(time.Time)
}

func (*fake) LocalAddr() net.Addr                       { return &net.UDPAddr{} }
func (f *fake) SetWriteDeadline(t time.Time) error      { f.deadline(t); return nil }
func (*fake) WriteTo(p []byte, _ net.Addr) (int, error) { return len(p), nil }
func (*fake) sender() net.Addr                          { return &net.UDPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 9} }

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
