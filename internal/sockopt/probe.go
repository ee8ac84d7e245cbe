package sockopt

import (
	"net"
	"syscall"
)

// Probe asks again and again whether a Read on one connection would return at once,
// and allocates only when it is made. It is for one goroutine at a time.
type Probe struct {
	memory interface{ Unread() int } // an in-memory connection
	raw    syscall.RawConn
	ask    func(fd uintptr) // made once
	ready  bool
}

// Init makes it a probe of c. What is on top of a socket, such as TLS, has data of
// its own there, so that nothing can be told of it.
func (p *Probe) Init(c net.Conn) {
	p.memory, _ = c.(interface{ Unread() int })
	sc, ok := c.(syscall.Conn)
	if p.memory != nil || !ok || !CanPoll {
		return
	}
	if raw, err := sc.SyscallConn(); err == nil {
		p.raw = raw
		p.ask = func(fd uintptr) { p.ready = readable(fd) }
	}
}

// Ready reports whether bytes have arrived, or the end of the connection, that
// nobody has read. It is false where nobody can tell.
func (p *Probe) Ready() bool {
	switch {
	case p.memory != nil:
		return p.memory.Unread() > 0
	case p.raw == nil:
		return false
	}
	p.ready = false
	return p.raw.Control(p.ask) == nil && p.ready
}
