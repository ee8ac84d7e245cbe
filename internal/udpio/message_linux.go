package udpio

import (
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// maxMerged is how long a message of several datagrams can be: what one IP packet
// can carry.
const maxMerged = 65535

// message is what the system has received as one: a datagram, or several of one
// sender that it has merged (UDP_GRO, Linux 5.0), all of one size but for the last,
// which may be shorter. Most of what receiving costs, and of what a datagram takes
// in the receive buffer, is then paid once.
type message struct {
	Packet // what its datagrams have in common
	rest   []byte
	size   int  // of each datagram; 0: all of rest is one
	more   bool // some are left: rest may be one empty datagram
	cut    bool // the last is not complete
}

// mergeReceived asks for merged datagrams or, as somebody may have asked for them
// before, for single ones, and reports whether merged ones may come. Before Linux
// 5.12 the system could merge in another form, which it does not take apart.
func mergeReceived(raw syscall.RawConn, want bool) (ok bool) {
	want = want && kernelAtLeast(5, 12)
	err := raw.Control(func(fd uintptr) {
		on := 0
		if want {
			on = 1
		}
		ok = unix.SetsockoptInt(int(fd), unix.SOL_UDP, unix.UDP_GRO, on) == nil && want
	})
	return ok && err == nil
}

// split makes packets of the messages that were received, as many as there is room
// for: the rest is for the next Read.
func (m *multi) split() []Packet {
	k := 0
	for ; k < len(m.packets); k++ {
		joined := m.open.more
		if !joined {
			if m.next == m.n {
				break
			}
			m.openMessage(m.next)
			m.next++
		}
		m.open.take(&m.packets[k], m.size)
		m.packets[k].Joined = joined
	}
	return m.packets[:k]
}

// openMessage reads what the system says about the i-th message.
func (m *multi) openMessage(i int) {
	h, o := &m.headers[i], &m.open
	o.Packet = Packet{Route: Route{Peer: m.zones.addrPort(&m.names[i])}}
	o.size, o.more = 0, true
	if m.control != nil {
		o.size = parseControl(m.control[i*controlSize:][:h.Controllen], &o.Packet)
		o.Malformed = m.asks && isControlCut(int(h.Flags)) && !o.Asked.IsValid()
	}
	o.rest = m.bufs[i*m.stride:][:min(int(h.n), m.slot)]
	o.cut = h.Flags&unix.MSG_TRUNC != 0
}

// take takes the next datagram, of which up to most bytes are wanted.
func (o *message) take(p *Packet, most int) {
	*p = o.Packet
	p.Data = o.rest
	if o.size > 0 && o.size < len(o.rest) {
		p.Data = o.rest[:o.size]
	}
	o.rest = o.rest[len(p.Data):]
	o.more = len(o.rest) > 0
	p.Truncated = o.cut && !o.more
	if len(p.Data) > most {
		p.Data, p.Truncated = p.Data[:most], true
	}
}

// kernelAtLeast reports whether the running system is of that version or newer.
func kernelAtLeast(major, minor int) bool {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return false
	}
	var a, b int
	if n, _ := fmt.Sscanf(unix.ByteSliceToString(u.Release[:]), "%d.%d", &a, &b); n < 2 {
		return false
	}
	return a > major || a == major && b >= minor
}
