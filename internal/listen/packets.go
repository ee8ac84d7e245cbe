package listen

import (
	"bytes"
	"net"
	"time"
)

// longest is more than any datagram has.
const longest = 1 << 16

// Packets is several UDP sockets on one address, as one net.PacketConn. Who knows
// of its Members reads each in a loop of its own; ReadFrom is for the others.
type Packets struct {
	sockets []packetSocket
	merged  merged[packet]
}

// packet is a datagram on its way from a member to ReadFrom.
type packet struct {
	data []byte
	from net.Addr
}

func newPackets(sockets []packetSocket) *Packets {
	p := &Packets{sockets: sockets}
	for _, s := range sockets {
		p.merged.sources = append(p.merged.sources, reader(s))
	}
	p.merged.discard = func(packet) {}
	return p
}

// reader reads copies, so that the next datagram need not wait until one is used.
func reader(s packetSocket) func() (packet, error) {
	var buf []byte // made by its goroutine, if there ever is one
	return func() (packet, error) {
		if buf == nil {
			buf = make([]byte, longest)
		}
		n, from, err := s.ReadFrom(buf)
		return packet{bytes.Clone(buf[:n]), from}, err
	}
}

// Members are the sockets of the group, each a *net.UDPConn. The group is closed by
// its own Close, or by closing each. After a ReadFrom on the group its only member
// is the group itself.
//
// Closing one reshuffles the senders among the others, and loses what it had
// queued. So read every queue to its end first, and close all of them together.
func (p *Packets) Members() []net.PacketConn {
	if p.merged.begun() {
		return []net.PacketConn{p}
	}
	all := make([]net.PacketConn, 0, len(p.sockets))
	for _, s := range p.sockets {
		all = append(all, s.UDPConn)
	}
	return all
}

// ReadFrom returns the next datagram of any member. The first call starts a
// goroutine for each, which Close ends.
func (p *Packets) ReadFrom(buf []byte) (int, net.Addr, error) {
	got, err := p.merged.next()
	if err != nil {
		return 0, nil, p.failure("read", err)
	}
	return copy(buf, got.data), got.from, nil
}

// WriteTo sends from the address that all members have.
func (p *Packets) WriteTo(data []byte, to net.Addr) (int, error) {
	return p.sockets[0].WriteTo(data, to)
}

// Close closes the members. A second Close does nothing.
func (p *Packets) Close() error {
	defer p.merged.stop()()
	return closeAll(p.sockets)
}

// LocalAddr is the address of every member.
func (p *Packets) LocalAddr() net.Addr { return p.sockets[0].LocalAddr() }

// SetDeadline sets both deadlines.
func (p *Packets) SetDeadline(t time.Time) error {
	if err := p.SetReadDeadline(t); err != nil {
		return err
	}
	return p.SetWriteDeadline(t)
}

// SetReadDeadline ends ReadFrom at t; the zero Time takes that back.
func (p *Packets) SetReadDeadline(t time.Time) error {
	if !p.merged.set(t) {
		return p.failure("set", net.ErrClosed)
	}
	return nil
}

// SetWriteDeadline ends WriteTo at t.
func (p *Packets) SetWriteDeadline(t time.Time) error { return p.sockets[0].SetWriteDeadline(t) }

func (p *Packets) failure(op string, err error) error {
	if _, ok := err.(*net.OpError); ok {
		return err // a member's
	}
	return &net.OpError{Op: op, Net: p.LocalAddr().Network(), Addr: p.LocalAddr(), Err: err}
}
