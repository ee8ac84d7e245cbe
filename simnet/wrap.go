package simnet

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"
)

// Wrapped is a real UDP socket whose datagrams meet a Script: see [Wrap]. It has
// the methods of the socket that a net.PacketConn and a net.Conn have.
type Wrapped struct {
	net.PacketConn // the real socket
	script         Script
	reading        chan struct{} // taken by who reads
	buf            []byte        // the reader's

	mu       sync.Mutex
	paths    map[pathKey]*path
	rows     recorder
	inbox    []arrival // came through, or came too late and now
	deadline time.Time // the user's; the socket's may be earlier, to wake the reader
	closed   bool
}

type arrival struct {
	data []byte
	from net.Addr
}

// Wrap puts a script between a real UDP socket and its user, for what is sent and
// for what is received. The hosts' names are "local" and the IP address of the
// other side, so Drop(2).To("local") loses the second datagram that comes from
// each address. Delays pass in real time.
//
// The wrapper owns pc's read deadline: set it through the wrapper only. Close it to
// close pc; datagrams still delayed are lost then.
func Wrap(pc net.PacketConn, s Script) *Wrapped {
	w := &Wrapped{PacketConn: pc, script: s, buf: make([]byte, 1<<16), paths: map[pathKey]*path{}}
	w.reading = make(chan struct{}, 1)
	w.rows = recorder{start: time.Now(), most: 10_000}
	return w
}

// Trace is what the socket sent and received, the first 10,000 datagrams. Those
// that were handed to the real network count as delivered.
func (w *Wrapped) Trace() Trace {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.rows.trace()
}

// WriteTo sends what the script leaves of b. A loss is no error, as on a real
// network; nor is the failure of a datagram that leaves later.
func (w *Wrapped) WriteTo(b []byte, to net.Addr) (int, error) {
	return w.send(b, to, func(b []byte) error { _, err := w.PacketConn.WriteTo(b, to); return err })
}

// Write is WriteTo for a connected socket; on others it returns
// errors.ErrUnsupported.
func (w *Wrapped) Write(b []byte) (int, error) {
	c, ok := w.PacketConn.(net.Conn)
	if !ok {
		return 0, errors.ErrUnsupported
	}
	return w.send(b, c.RemoteAddr(), func(b []byte) error { _, err := c.Write(b); return err })
}

// RemoteAddr is the address that a connected socket is connected to, else nil.
func (w *Wrapped) RemoteAddr() net.Addr {
	if c, ok := w.PacketConn.(net.Conn); ok {
		return c.RemoteAddr()
	}
	return nil
}

// send writes what the script leaves of b, without the lock: a write can block.
func (w *Wrapped) send(b []byte, to net.Addr, write func([]byte) error) (int, error) {
	w.mu.Lock()
	now := w.pass(Packet{From: "local", To: ipOf(to), Source: addrPort(w.LocalAddr()), Destination: addrPort(to), Data: b}, func(b []byte) {
		_ = write(b)
	})
	w.mu.Unlock()
	for _, b := range now {
		if err := write(b); err != nil {
			return 0, err
		}
	}
	return len(b), nil
}

// pass judges p. It returns what goes on at once, in order, with what Swap had held
// back; what goes on later goes through later, in a goroutine of its own.
func (w *Wrapped) pass(p Packet, later func([]byte)) [][]byte {
	p.Network = "udp"
	on := w.path(p.flow())
	on.sent++
	p.N = on.sent
	v := verdict{cut: -1, reset: -1}
	w.script.judge(&p, &v)
	payload := p.Data
	p.damage(&v, 0)
	p.Retry = on.seen.retry(payload, v.lose)
	var now [][]byte
	if v.lose {
		w.rows.record(&p, Lost, v.cause)
	} else {
		w.path(pathKey{"udp", p.To, p.From}).seen.heard = true
		now = w.let(on, p, v, later)
	}
	on.held = slices.DeleteFunc(on.held, func(held *packet) bool {
		if held.hold > p.N {
			return false
		}
		now = append(now, held.Data)
		return true
	})
	return now
}

// let lets p go on as v says.
func (w *Wrapped) let(on *path, p Packet, v verdict, later func([]byte)) (now [][]byte) {
	p.Data = slices.Clone(p.Data)
	for range v.copies + 1 {
		w.rows.arrived(w.rows.record(&p, InFlight, v.cause), Delivered, "")
		switch {
		case v.hold > p.N:
			on.held = append(on.held, &packet{Packet: p, verdict: v})
			v.hold = 0
		case v.delay > 0:
			time.AfterFunc(v.delay, func() { later(p.Data) })
			v.delay = 0
		default:
			now = append(now, p.Data)
		}
	}
	return now
}

// path is where ordinals are counted.
func (w *Wrapped) path(k pathKey) *path {
	if w.paths[k] == nil {
		w.paths[k] = &path{pathKey: k}
	}
	return w.paths[k]
}

// ReadFrom returns the next datagram that the script lets through.
func (w *Wrapped) ReadFrom(b []byte) (int, net.Addr, error) {
	w.reading <- struct{}{}
	defer func() { <-w.reading }()
	for {
		if a, ok := w.next(); ok {
			return copy(b, a.data), a.from, nil
		}
		n, from, err := w.PacketConn.ReadFrom(w.buf)
		if err == nil {
			w.take(w.buf[:n], from)
			continue
		}
		w.mu.Lock()
		own := errors.Is(err, os.ErrDeadlineExceeded) && (w.deadline.IsZero() || time.Now().Before(w.deadline))
		w.mu.Unlock()
		if !own {
			return 0, nil, err
		}
	}
}

// Read is ReadFrom without the sender.
func (w *Wrapped) Read(b []byte) (int, error) {
	n, _, err := w.ReadFrom(b)
	return n, err
}

// next returns what waits, or gives the socket the user's deadline back, so that
// the reader can wait there.
func (w *Wrapped) next() (arrival, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	expired := !w.deadline.IsZero() && !time.Now().Before(w.deadline)
	if len(w.inbox) > 0 && !expired && !w.closed {
		a := w.inbox[0]
		w.inbox = w.inbox[1:]
		return a, true
	}
	w.PacketConn.SetReadDeadline(w.deadline)
	return arrival{}, false
}

// take judges a datagram that came.
func (w *Wrapped) take(b []byte, from net.Addr) {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := Packet{From: ipOf(from), To: "local", Source: addrPort(from), Destination: addrPort(w.LocalAddr()), Data: b}
	now := w.pass(p, func(b []byte) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.inbox = append(w.inbox, arrival{b, from})
		w.PacketConn.SetReadDeadline(time.Unix(1, 0)) // wakes the reader
	})
	for _, b := range now {
		w.inbox = append(w.inbox, arrival{b, from})
	}
}

// SetDeadline is SetReadDeadline and SetWriteDeadline.
func (w *Wrapped) SetDeadline(t time.Time) error {
	return errors.Join(w.SetReadDeadline(t), w.SetWriteDeadline(t))
}

// SetReadDeadline bounds ReadFrom, also a call that already waits.
func (w *Wrapped) SetReadDeadline(t time.Time) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.deadline = t
	return w.PacketConn.SetReadDeadline(t)
}

// Close closes the socket.
func (w *Wrapped) Close() error {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	return w.PacketConn.Close()
}

// addrPort is the address of a UDP socket as a value, the zero value for others.
func addrPort(a net.Addr) netip.AddrPort {
	u, ok := a.(*net.UDPAddr)
	if !ok || u == nil {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(u.AddrPort().Addr().Unmap(), u.AddrPort().Port())
}

func ipOf(a net.Addr) string { return addrPort(a).Addr().String() }
