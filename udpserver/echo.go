package udpserver

import (
	"hash/maphash"
	"net"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"time"

	"example.com/sockets/internal/mcast"
)

// echoes knows what a socket has sent to groups lately, to recognise it when it
// comes back. A member hears itself, and a handler that sends to its own group for
// each datagram from there would answer itself for ever. The sender's address does
// not tell: other processes of this host, which are members too and must be heard,
// send from the same address and port. So one datagram is dropped for each that was
// sent, if it has the same content.
type echoes struct {
	v4, v6 bool // what is sent to groups comes back
	hosts  bool // so does what is sent to the host, and the port is not one's own
	size   int  // of what comes back, at most
	seed   maphash.Seed

	mu   sync.Mutex
	sent []echo // a ring, made when it is needed
	next int
}

// echo is one datagram that was sent.
type echo struct {
	sum uint64
	at  time.Time // zero: it has come back
}

const (
	// echoesKept is how many datagrams are remembered: more than come back
	// before the socket is read again, unless its buffer has overflown.
	echoesKept = 1024
	// echoTime is how long: as long as a datagram may wait to be read.
	echoTime = 10 * time.Second
)

func newEchoes(pc net.PacketConn, size int, o own) *echoes {
	e := &echoes{v4: true, v6: true, hosts: o.shared && o.local.IsUnspecified(), size: size, seed: maphash.MakeSeed()}
	if c, ok := pc.(syscall.Conn); ok {
		e.v4, e.v6 = mcast.Loops(c)
	}
	return e
}

// expect remembers that p is sent to an address, from the given port, if it may come
// back. It is called before p is sent: it comes back at once.
func (e *echoes) expect(p []byte, port uint16, to netip.AddrPort) {
	if to.Port() != port || !e.returns(to.Addr()) {
		return
	}
	sum := e.sum(p)
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.sent == nil {
		e.sent = make([]echo, echoesKept)
	}
	e.sent[e.next%echoesKept] = echo{sum, time.Now()}
	e.next++
}

// returns reports whether what is sent to a may come back.
func (e *echoes) returns(a netip.Addr) bool {
	switch {
	case !a.IsMulticast():
		return e.hosts
	case a.Is4():
		return e.v4
	}
	return e.v6
}

func (e *echoes) sum(p []byte) uint64 { return maphash.Bytes(e.seed, p[:min(len(p), e.size)]) }

// takes reports whether p, which came from this host and the socket's port, is what
// the socket has sent itself. It is true once for each.
func (e *echoes) takes(p []byte, now time.Time) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.sent == nil {
		return false
	}
	sum := e.sum(p)
	i := slices.IndexFunc(e.sent, func(s echo) bool {
		return s.sum == sum && !s.at.IsZero() && now.Sub(s.at) < echoTime
	})
	if i < 0 {
		return false
	}
	e.sent[i].at = time.Time{}
	return true
}
