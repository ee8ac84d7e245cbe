package udpio

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"time"
)

// drainWait is how far ahead the deadline of a draining Read is: a deadline
// that has passed hides what is queued.
const drainWait = 5 * time.Millisecond

// What a socket may have beside net.PacketConn. These never allocate.
type (
	addrPortReader interface {
		ReadFromUDPAddrPort(b []byte) (int, netip.AddrPort, error)
	}
	addrPortWriter interface {
		WriteToUDPAddrPort(b []byte, to netip.AddrPort) (int, error)
	}
	msgReader interface {
		ReadMsgUDPAddrPort(b, oob []byte) (n, oobn, flags int, from netip.AddrPort, err error)
	}
	msgWriter interface {
		WriteMsgUDPAddrPort(b, oob []byte, to netip.AddrPort) (n, oobn int, err error)
	}
)

// single reads and writes one datagram per call, on any net.PacketConn.
type single struct {
	pc       net.PacketConn
	udp      *net.UDPConn   // pc, if it is one
	only     netip.AddrPort // of a connected one: nobody else can be sent to
	from     addrPortReader
	to       addrPortWriter
	msgFrom  msgReader
	msgTo    msgWriter
	size     int
	buf      []byte
	oob      []byte // where the control messages of a datagram go; nil: none are wanted
	one      [1]Packet
	asks     bool // the system tells which address was asked
	draining bool
	patience patience
}

func newSingle(pc net.PacketConn, size int) *single {
	s := &single{pc: pc, size: size}
	s.udp, _ = pc.(*net.UDPConn)
	if s.udp != nil {
		s.only = connectedTo(s.udp)
	}
	if raw := rawConn(pc); s.udp != nil && raw != nil {
		mergeReceived(raw, false)
		if isChoosing(pc) && enableControl(raw) {
			s.asks = true
			s.oob = make([]byte, controlSize)
		}
	}
	s.from, _ = pc.(addrPortReader)
	s.to, _ = pc.(addrPortWriter)
	s.msgFrom, _ = pc.(msgReader)
	s.msgTo, _ = pc.(msgWriter)
	s.patience.init(pc)
	return s
}

// Read implements Conn.
func (s *single) Read() ([]Packet, error) {
	if s.draining {
		if err := s.pc.SetReadDeadline(time.Now().Add(drainWait)); err != nil {
			return nil, err
		}
	}
	p := &s.one[0]
	*p = Packet{}
	n, err := s.read(p)
	if err != nil {
		return nil, err
	}
	if n < 0 || n > len(s.buf) {
		return nil, fmt.Errorf("%T read %d bytes into a buffer of %d", s.pc, n, len(s.buf))
	}
	p.Data, p.Truncated = s.buf[:min(n, s.size)], n > s.size
	return s.one[:], nil
}

func (s *single) read(p *Packet) (n int, err error) {
	switch {
	case s.from != nil && s.oob == nil:
		n, p.Peer, err = s.from.ReadFromUDPAddrPort(s.buf)
	case s.msgFrom != nil:
		var oobn, flags int
		n, oobn, flags, p.Peer, err = s.msgFrom.ReadMsgUDPAddrPort(s.buf, s.oob)
		parseControl(s.oob[:oobn], p)
		p.Malformed = s.asks && isControlCut(flags) && !p.Asked.IsValid()
	default:
		n, p.Raw, err = s.pc.ReadFrom(s.buf)
		if u, ok := p.Raw.(*net.UDPAddr); ok && u != nil {
			p.Peer = u.AddrPort()
		}
	}
	p.Peer = unmapped(p.Peer)
	return n, err
}

// WantECN implements Conn.
func (s *single) WantECN() bool {
	raw := rawConn(s.pc)
	if s.udp == nil || raw == nil || !enableECN(raw) {
		return false
	}
	if s.oob == nil {
		s.oob = make([]byte, controlSize)
	}
	return true
}

// Write implements Conn.
func (s *single) Write(p []byte, r Route) error {
	began := s.patience.begin()
	defer s.patience.end()
	n, err := s.write(p, r)
	if s.patience.stale(err, began) {
		n, err = s.write(p, r)
	}
	if err != nil && r.Source.IsValid() && sourceGone(err) {
		r.Source = netip.Addr{}
		n, err = s.write(p, r)
	}
	if err == nil && n < len(p) {
		err = io.ErrShortWrite // a datagram is sent whole or not at all
	}
	return err
}

// NewBatch implements Conn.
func (s *single) NewBatch(func(Route, error)) Batch { return nil }

func (s *single) write(p []byte, r Route) (n int, err error) {
	switch {
	case s.only.IsValid() && s.only == r.Peer: // naming it is an error
		n, err = s.udp.Write(p)
	case r.Source.IsValid() && s.udp != nil:
		// Not through the interface, for which the message would escape.
		var space [controlSize]byte
		n, _, err = s.udp.WriteMsgUDPAddrPort(p, appendControl(space[:0], r), r.Peer)
	case s.to != nil && r.Peer.IsValid(): // sendto costs the system less than sendmsg
		n, err = s.to.WriteToUDPAddrPort(p, r.Peer)
	case s.msgTo != nil && r.Peer.IsValid():
		n, _, err = s.msgTo.WriteMsgUDPAddrPort(p, nil, r.Peer)
	case r.Raw != nil:
		n, err = s.pc.WriteTo(p, r.Raw)
	case r.Peer.IsValid():
		n, err = s.pc.WriteTo(p, net.UDPAddrFromAddrPort(r.Peer))
	default:
		err = ErrNoPeer
	}
	return n, err
}

// ErrNoPeer: the sender of a datagram has no address, as an unnamed Unix socket,
// so that nothing can be sent to it.
var ErrNoPeer = errors.New("the sender has no address to reply to")

// Hurry implements Conn.
func (s *single) Hurry() { s.patience.hurry() }

// Interrupt implements Conn.
func (s *single) Interrupt() error { return s.pc.SetReadDeadline(time.Unix(1, 0)) }

// Clear implements Conn.
func (s *single) Clear() error { return s.pc.SetReadDeadline(time.Time{}) }

// Drain implements Conn.
func (s *single) Drain() { s.draining = true }

// Holds implements Conn.
func (s *single) Holds() bool { return false }

// Close implements Conn.
func (s *single) Close() error { return s.pc.Close() }

func connectedTo(c *net.UDPConn) netip.AddrPort {
	if a, ok := c.RemoteAddr().(*net.UDPAddr); ok && a != nil {
		return unmapped(a.AddrPort())
	}
	return netip.AddrPort{}
}

func unmapped(a netip.AddrPort) netip.AddrPort {
	if !a.Addr().Is4In6() {
		return a
	}
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}
