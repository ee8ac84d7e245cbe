package simnet

import (
	"net"
	"net/netip"
	"sync"
	"time"
)

// listener is the welcoming socket.
type listener struct {
	h       *Host
	network string
	local   netip.AddrPort
	addr    *net.TCPAddr
	queue   fifo[*Conn]
	begun   map[*Conn]struct{} // handshakes without their last acknowledgement
	closed  bool
	limit   deadline
	cond    *sync.Cond
}

func newListener(h *Host, network string, at netip.AddrPort) *listener {
	return &listener{h: h, network: network, local: at, addr: tcpAddr(at), begun: map[*Conn]struct{}{}, cond: h.n.cond()}
}

// Accept returns the next connection of the queue. A deadline that has passed
// hides what waits there, as on real listeners.
func (l *listener) Accept() (net.Conn, error) {
	l.h.n.lock()
	defer l.h.n.unlock()
	for {
		switch {
		case l.closed:
			return nil, l.fail("accept", net.ErrClosed)
		case l.limit.expired():
			return nil, l.fail("accept", errTimeout)
		case l.queue.len() > 0:
			return l.queue.pop(), nil
		}
		l.cond.Wait()
	}
}

// Close stops listening and resets what is in the queue.
func (l *listener) Close() error {
	l.h.n.lock()
	defer l.h.n.unlock()
	if l.closed {
		return l.fail("close", net.ErrClosed)
	}
	l.closed = true
	l.limit.stop()
	remove(l.h.tcp, l.local.Port(), l)
	l.cond.Broadcast()
	for l.queue.len() > 0 {
		l.queue.pop().abort(nil)
	}
	for c := range l.begun {
		c.abort(nil)
	}
	l.begun = nil
	return nil
}

// Addr is where the listener listens, a *net.TCPAddr.
func (l *listener) Addr() net.Addr { return l.addr }

// SetDeadline bounds Accept, also one that is already waiting.
func (l *listener) SetDeadline(t time.Time) error {
	l.h.n.lock()
	defer l.h.n.unlock()
	if l.closed {
		return net.ErrClosed // bare, as a *net.TCPListener returns it
	}
	l.limit.set(t, l.cond)
	return nil
}

// fail names no source, because a listener has only one address.
func (l *listener) fail(op string, err error) error {
	return opError(op, l.network, nil, l.addr, err)
}

// listenerAt finds who listens at an address of h. One that is bound to it goes
// before one bound to every address.
func (h *Host) listenerAt(at netip.AddrPort) *listener {
	var found *listener
	for _, l := range h.tcp[at.Port()] {
		if covers(l.network, l.local.Addr(), at.Addr()) && (found == nil || !l.local.Addr().IsUnspecified()) {
			found = l
		}
	}
	return found
}

// remove takes s out of the sockets on a port.
func remove[S comparable](table map[uint16][]S, port uint16, s S) {
	for i, other := range table[port] {
		if other == s {
			table[port] = append(table[port][:i:i], table[port][i+1:]...)
		}
	}
	if len(table[port]) == 0 {
		delete(table, port)
	}
}
