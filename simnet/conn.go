package simnet

import (
	"io"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"
)

// Conn is one end of a TCP connection in memory. It behaves as a *net.TCPConn on
// Linux does, including what Read and Write return after a FIN, a RST and a
// deadline. It costs no goroutine.
type Conn struct {
	n             *Network
	host          *Host
	network       string
	local, remote netip.AddrPort
	laddr, raddr  *net.TCPAddr
	peer          *Conn // nil until the SYN has found a listener
	out, in       *path
	listener      *listener // a server's end in its handshake

	open   bool  // the handshake is done
	closed bool  // Close was called
	dead   bool  // a RST came or went, or the peer was given up
	noRead bool  // CloseRead was called
	noMore bool  // CloseWrite was called: the FIN is queued or sent
	eof    bool  // the peer's FIN has come
	broken error // what the next Read or Write reports, once
	abrupt bool  // SetLinger(0)
	freed  bool  // the port is given back

	// Receiving.
	input    fifo[[]byte] // in order, unread
	unread   int
	received uint64     // everything before this place has come
	early    []*segment // came before what precedes it
	promised uint64     // up to here the peer was told it may send

	// Sending.
	output  fifo[*segment] // not sent yet
	end     uint64         // place after the last byte written
	acked   uint64         // everything before has been taken by the peer
	allowed uint64         // up to here the peer has room
	writing bool           // a Write is under way; others wait

	readBy, writeBy    deadline
	readable, writable *sync.Cond
}

func (n *Network) newConn(h *Host, network string, local, remote netip.AddrPort) *Conn {
	c := &Conn{n: n, host: h, network: network, local: local, remote: remote, end: 1, acked: 1}
	c.allowed = 1 + uint64(n.opt.ReadBuffer)
	c.promised = c.allowed
	c.laddr, c.raddr = tcpAddr(local), tcpAddr(remote)
	c.readable, c.writable = n.cond(), n.cond()
	return c
}

// Read returns what has come. At the peer's FIN it is io.EOF; after a RST what
// had come before can still be read, then one call gets syscall.ECONNRESET and
// later ones io.EOF, as on Linux. A deadline that has passed hides bytes that
// wait.
func (c *Conn) Read(b []byte) (int, error) {
	c.n.lock()
	defer c.n.unlock()
	if len(b) == 0 && !c.closed {
		return 0, nil
	}
	for {
		switch {
		case c.closed:
			return 0, c.opError("read", net.ErrClosed)
		case c.readBy.expired():
			return 0, c.opError("read", errTimeout)
		case c.unread > 0:
			return c.take(b), nil
		case c.eof:
			return 0, io.EOF
		case c.broken != nil:
			return 0, c.opError("read", c.takeError())
		case c.dead || c.noRead:
			return 0, io.EOF
		}
		c.readable.Wait()
	}
}

// take moves waiting bytes to b and tells the peer about the room.
func (c *Conn) take(b []byte) int {
	n := 0
	for n < len(b) && c.input.len() > 0 {
		first := c.input.first()
		k := copy(b[n:], *first)
		n += k
		if *first = (*first)[k:]; len(*first) == 0 {
			c.input.pop()
		}
	}
	c.unread -= n
	// A window that moves in small steps makes the sender send small segments:
	// RFC 1122, 4.2.3.3.
	if c.window()-c.promised >= uint64(min(c.cut(), c.n.opt.ReadBuffer/2)) {
		c.acknowledge()
	}
	return n
}

// Write queues b for the peer and blocks while Options.WriteBuffer is full. It
// returns before the peer has anything. Concurrent calls take turns: their bytes
// do not mix. After CloseWrite or a reset it is syscall.EPIPE; the first call
// after a RST may get syscall.ECONNRESET, and the write that provokes the RST
// gets no error at all, as on real sockets.
func (c *Conn) Write(b []byte) (int, error) {
	c.n.lock()
	defer c.n.unlock()
	n, mine := 0, false
	for {
		if err := c.writeError(); err != nil {
			c.endTurn(mine)
			return n, c.opError("write", err)
		}
		if mine = mine || !c.writing; mine {
			c.writing = true
			n += c.enqueue(b[n:])
			if n == len(b) {
				c.endTurn(mine)
				return n, nil
			}
		}
		c.writable.Wait()
	}
}

// endTurn lets the next Write go on.
func (c *Conn) endTurn(mine bool) {
	if mine {
		c.writing = false
		c.writable.Broadcast()
	}
}

// writeError is why nothing can be written now; the order is the kernel's.
func (c *Conn) writeError() error {
	switch {
	case c.closed:
		return net.ErrClosed
	case c.writeBy.expired():
		return errTimeout
	case c.broken != nil:
		return c.takeError()
	case c.dead || c.noMore:
		return sysError("write", syscall.EPIPE)
	}
	return nil
}

// takeError returns what broke the connection; the socket tells it once.
func (c *Conn) takeError() error {
	err := c.broken
	c.broken = nil
	return err
}

// Unread is how many bytes have come and wait for Read.
func (c *Conn) Unread() int {
	c.n.lock()
	defer c.n.unlock()
	return c.unread
}

// Unacked is how many written bytes the peer's receive buffer has not taken yet,
// as far as this end has heard; 0 once the connection is reset.
func (c *Conn) Unacked() int {
	c.n.lock()
	defer c.n.unlock()
	if c.dead {
		return 0
	}
	return c.pending()
}

// LocalAddr is this end's address, a *net.TCPAddr.
func (c *Conn) LocalAddr() net.Addr { return c.laddr }

// RemoteAddr is the peer's address, a *net.TCPAddr.
func (c *Conn) RemoteAddr() net.Addr { return c.raddr }

// SetDeadline is SetReadDeadline and SetWriteDeadline.
func (c *Conn) SetDeadline(t time.Time) error {
	return c.setDeadlines(t, true, true)
}

// SetReadDeadline bounds Read, also one that is already waiting; zero: no bound.
func (c *Conn) SetReadDeadline(t time.Time) error {
	return c.setDeadlines(t, true, false)
}

// SetWriteDeadline bounds Write, also one that is already waiting; zero: no bound.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	return c.setDeadlines(t, false, true)
}

func (c *Conn) setDeadlines(t time.Time, read, write bool) error {
	c.n.lock()
	defer c.n.unlock()
	if c.closed {
		return opError("set", c.network, nil, c.laddr, net.ErrClosed)
	}
	if read {
		c.readBy.set(t, c.readable)
	}
	if write {
		c.writeBy.set(t, c.writable)
	}
	return nil
}

// SetLinger with 0 makes Close send a RST and drop what was not sent yet; other
// values change nothing. Close never blocks.
func (c *Conn) SetLinger(sec int) error {
	c.n.lock()
	defer c.n.unlock()
	c.abrupt = sec == 0
	return nil
}

// opError names the operation, and the system call as the net package does where
// an errno is the cause.
func (c *Conn) opError(op string, err error) error {
	if errno, ok := err.(syscall.Errno); ok {
		err = sysError(op, errno)
	}
	return opError(op, c.network, c.laddr, c.raddr, err)
}
