package simnet

import (
	"net"
	"syscall"
)

// Close ends both directions. What was written is still delivered, then the FIN;
// but if bytes wait unread, the peer gets a RST instead and may lose what it has
// not read, as on real sockets. A second Close matches net.ErrClosed.
func (c *Conn) Close() error {
	c.n.lock()
	defer c.n.unlock()
	if c.closed {
		return c.opError("close", net.ErrClosed)
	}
	c.closed = true
	c.readBy.stop()
	c.writeBy.stop()
	c.wake()
	switch {
	case c.dead:
		c.release()
	case c.unread > 0 || c.abrupt:
		c.abort(nil)
	default:
		c.finish()
	}
	c.input, c.unread = fifo[[]byte]{}, 0
	return nil
}

// CloseWrite sends the FIN after what was written; reading goes on. After a reset
// it matches syscall.ENOTCONN.
func (c *Conn) CloseWrite() error {
	return c.shutdown(func() { c.finish(); c.wake() })
}

// CloseRead makes Read return io.EOF when nothing waits. The peer does not learn
// of it, and what it sends goes on to arrive, as on Linux.
func (c *Conn) CloseRead() error {
	return c.shutdown(func() { c.noRead = true; c.wake() })
}

func (c *Conn) shutdown(do func()) error {
	c.n.lock()
	defer c.n.unlock()
	switch {
	case c.closed:
		return c.opError("close", net.ErrClosed)
	case c.dead:
		return c.opError("close", sysError("shutdown", syscall.ENOTCONN))
	}
	do()
	return nil
}

// finish queues the FIN.
func (c *Conn) finish() {
	if c.noMore {
		c.maybeRelease()
		return
	}
	c.noMore = true
	c.output.push(&segment{conn: c, seq: c.end, flags: "FIN"})
	c.push()
}

// abort sends a RST and forgets the connection; err is for calls that still come
// at this end.
func (c *Conn) abort(err error) {
	if c.dead {
		return
	}
	c.n.transmitReset(c.out, c.local, c.remote, c.peer, "")
	c.fail(err)
	c.release()
}

// fail ends the connection at this end only; the next Read or Write gets err.
func (c *Conn) fail(err error) {
	if c.dead {
		return
	}
	c.dead = true
	c.broken = err
	c.output, c.early = fifo[*segment]{}, nil
	if c.listener != nil {
		delete(c.listener.begun, c) // nobody will ever accept and close it
		c.listener = nil
		c.release()
	}
	c.wake()
	if c.closed {
		c.release()
	}
}

// wake makes all waiting calls look again.
func (c *Conn) wake() {
	c.readable.Broadcast()
	c.writable.Broadcast()
}

// maybeRelease gives the port back when both FINs have done their work.
func (c *Conn) maybeRelease() {
	if c.closed && c.eof && c.noMore && c.acked > c.end {
		c.release()
	}
}

// release gives the port back, once.
func (c *Conn) release() {
	if c.freed {
		return
	}
	c.freed = true
	port := c.local.Port()
	if c.host.ports[port]--; c.host.ports[port] == 0 {
		delete(c.host.ports, port)
	}
}
