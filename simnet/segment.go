package simnet

import (
	"cmp"
	"net/netip"
	"slices"
	"syscall"
	"time"
)

// segment is a part of a stream, or a SYN or FIN, each of which takes one place
// in it as in RFC 9293.
//
// The transport knows what became of its packets, so it needs neither the timers
// nor the duplicate acknowledgements by which a real one finds out, and never
// retransmits without need. What it waits before it repairs a loss is real.
type segment struct {
	conn  *Conn // that sends it
	seq   uint64
	data  []byte
	flags string
	tries int
	done  bool // it has arrived
}

// cut is the longest segment. Streams are cut by that alone, from the first byte
// of each Write: how much room there was at the time changes nothing.
func (c *Conn) cut() int {
	headers := 40
	if c.remote.Addr().Is6() {
		headers = 60
	}
	return min(c.out.line.mtu(c.remote.Addr())-headers, c.n.opt.ReadBuffer/2, c.n.opt.WriteBuffer)
}

// enqueue takes what the write buffer has room for, whole segments only.
func (c *Conn) enqueue(b []byte) int {
	n := 0
	for n < len(b) {
		k := min(len(b)-n, c.cut())
		if c.pending()+k > c.n.opt.WriteBuffer {
			break
		}
		data := append(make([]byte, 0, k), b[n:n+k]...)
		c.output.push(&segment{conn: c, seq: c.end, data: data})
		c.end += uint64(k)
		n += k
	}
	c.push()
	return n
}

// pending is how many written bytes the peer has not taken.
func (c *Conn) pending() int { return int(c.end - min(c.acked, c.end)) }

// push sends what the peer has room for.
func (c *Conn) push() {
	for c.open && c.output.len() > 0 {
		s := *c.output.first()
		if len(s.data) > 0 && s.seq+uint64(len(s.data)) > c.allowed {
			return
		}
		c.output.pop()
		c.transmit(s)
	}
}

// transmit sends s, for the first time or again. Only the first time counts for
// Reset, whose place in the stream must not depend on losses.
func (c *Conn) transmit(s *segment) {
	p := &packet{path: c.out, of: s}
	p.Packet = Packet{
		Network: "tcp", From: c.out.from, To: c.out.to, Source: c.local, Destination: c.remote,
		Flags: s.flags, Retry: s.tries, Data: s.data, seq: s.seq, carried: -1,
	}
	if s.tries == 0 {
		p.carried = c.out.bytes
		c.out.bytes += len(s.data)
	}
	c.n.transmit(p, "")
}

// arrive takes the segment at the peer, which a SYN has yet to find.
func (s *segment) arrive(p *packet) (Fate, string) {
	c := s.conn
	if s.flags == "SYN" {
		return c.n.hostOf(c.host, c.remote.Addr()).answer(s, p)
	}
	s.done = true
	return c.peer.receive(p)
}

// lost sends the segment again after a while, unless it arrives till then.
func (s *segment) lost() {
	c, wait, most := s.conn, minTimeout+s.conn.roundTrip(), dataTries
	if s.flags == "SYN" || s.flags == "SYN ACK" {
		wait, most = synTimeout, synTries
	}
	wait = min(wait<<min(s.tries, 10), maxTimeout) // 10 doublings pass the maximum
	c.n.after(time.Now().Add(wait), c.out, func() {
		switch {
		case c.dead || s.done:
		case s.tries == most:
			c.fail(syscall.ETIMEDOUT)
		default:
			s.tries++
			c.transmit(s)
		}
	})
}

// roundTrip is what a sender that measures it would know at best.
func (c *Conn) roundTrip() time.Duration {
	there, back := c.out.line, c.in.line
	return there.Latency + there.Jitter + back.Latency + back.Jitter
}

// receive takes a segment of the peer.
func (c *Conn) receive(p *packet) (Fate, string) {
	if c.dead {
		if !c.peer.dead {
			c.n.transmitReset(c.out, p.Destination, p.Source, c.peer, "connection is gone")
		}
		return Refused, "connection is gone"
	}
	c.established()
	if p.Flags == "SYN ACK" {
		return Delivered, ""
	}
	at, known := slices.BinarySearchFunc(c.early, p.seq, func(s *segment, seq uint64) int { return cmp.Compare(s.seq, seq) })
	if p.seq >= c.received && !known {
		c.early = slices.Insert(c.early, at, &segment{seq: p.seq, data: p.Data, flags: p.Flags})
	}
	c.assemble()
	if !c.dead {
		c.acknowledge()
	}
	return Delivered, ""
}

// assemble moves what is in order to where Read finds it.
func (c *Conn) assemble() {
	for len(c.early) > 0 && c.early[0].seq == c.received {
		s := c.early[0]
		c.early = c.early[1:]
		if s.flags == "FIN" {
			c.eof = true
			c.received++
			break
		}
		if c.closed || c.noRead && c.noMore {
			c.abort(syscall.ECONNRESET) // nobody will read it: RFC 9293, 3.6.1
			return
		}
		c.input.push(s.data)
		c.unread += len(s.data)
		c.received += uint64(len(s.data))
	}
	c.readable.Broadcast()
	c.maybeRelease()
}

// window is the place up to which there is room.
func (c *Conn) window() uint64 {
	return c.received + uint64(c.n.opt.ReadBuffer-c.unread)
}

// acknowledge tells the peer what has come and how much room there is.
func (c *Conn) acknowledge() {
	received, window, peer := c.received, c.window(), c.peer
	c.promised = window
	c.n.after(time.Now().Add(c.out.line.Latency), c.out, func() { peer.acknowledged(received, window) })
}

// acknowledged is what an acknowledgement does at the sender.
func (c *Conn) acknowledged(received, window uint64) {
	if c.dead {
		return
	}
	c.established()
	c.acked = max(c.acked, received)
	c.allowed = max(c.allowed, window)
	c.push()
	c.writable.Broadcast()
	c.maybeRelease()
}

// transmitReset sends a RST to c. No script can touch it, and if the link loses it
// nobody sends it again.
func (n *Network) transmitReset(on *path, from, to netip.AddrPort, c *Conn, cause string) {
	p := &packet{path: on, of: (*reset)(c)}
	p.Packet = Packet{Network: "tcp", From: on.from, To: on.to, Source: from, Destination: to, Flags: "RST", carried: -1}
	n.transmit(p, cause)
}

// reset is a RST on its way to a connection; nil where there is none.
type reset Conn

// arrive is tcp_reset of Linux.
func (r *reset) arrive(*packet) (Fate, string) {
	c := (*Conn)(r)
	switch {
	case c == nil:
	case c.peer == nil:
		c.fail(syscall.ECONNREFUSED)
	case c.eof:
		c.fail(syscall.EPIPE)
	default:
		c.fail(syscall.ECONNRESET)
	}
	return Delivered, ""
}

// lost does nothing: nobody sends a RST again.
func (r *reset) lost() {}
