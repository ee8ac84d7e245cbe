package sockets

import (
	"fmt"
	"io"
	"net"

	"example.com/sockets/internal/bufpool"
	"example.com/sockets/internal/guard"
)

// maxPacket is the longest message that Packets takes, in bytes: what the length
// field of UDP can say (RFC 768).
const maxPacket = 65535

// Packets is for transports that keep the boundaries of messages: one Read of the
// transport is one message, and one message is one Write. They are the sessions of
// udpserver.Sessions, where it is the default, a connected *net.UDPConn and a
// "unixgram" socket. On a stream it would make messages of whatever pieces come.
//
// An empty datagram is an empty message, and not the end: io.EOF comes only from a
// transport that has one. (The net package cannot tell the two apart on a
// "unixpacket" socket.) A message of more than 65,535 bytes is not written, with
// ErrTooLong, and read as ErrTruncated, after which reading goes on. A message that
// could not be written is no harm to the next.
//
// A method NextSize() (int, error) of the transport, as sessions have it, waits for
// a message and tells its length without taking it: then a Conn that waits holds no
// buffer. While it waits for another transport it holds one of 64 KiB.
func Packets() Framing { return packets{} }

type packets struct{}

func (packets) Max() int { return maxPacket }

// Next is for what was read ahead; a Conn cuts no messages out of a buffer.
func (packets) Next(buf []byte, _ bool) (message []byte, advance, need int, err error) {
	return buf, len(buf), 0, nil
}

func (packets) Append(dst, message []byte) ([]byte, error) {
	if len(message) > maxPacket {
		return dst, tooLong("a datagram", maxPacket)
	}
	return append(dst, message...), nil
}

// ShortBufferError is returned by Read where one Read is one message, if that is
// longer than the buffer. The message was not taken: read again with one of Size. It
// wraps io.ErrShortBuffer.
type ShortBufferError struct {
	// Size is the length of the message, Buffer that of the buffer, in bytes.
	Size, Buffer int
}

// Error says how long a buffer is needed.
func (e *ShortBufferError) Error() string {
	return fmt.Sprintf("%v: a message of %d bytes does not fit in %d", io.ErrShortBuffer, e.Size, e.Buffer)
}

// Unwrap returns io.ErrShortBuffer.
func (e *ShortBufferError) Unwrap() error { return io.ErrShortBuffer }

// sizer is a transport that can wait for a message without a buffer.
type sizer interface{ NextSize() (int, error) }

// framingFor is the framing of a connection whose user names none.
func framingFor(nc net.Conn) Framing {
	if _, ok := nc.(sizer); ok {
		return packets{}
	}
	return Lines(0)
}

// packed reports whether the transport keeps boundaries.
func (c *Conn) packed() bool {
	_, ok := c.framing.(packets)
	return ok
}

// readPacket reads one message, unless it was read ahead.
func (c *Conn) readPacket(wait guard.Wait) ([]byte, error) {
	if !c.ahead() {
		if err := c.fillPacket(wait); err != nil {
			return nil, err
		}
	}
	m := c.buffer()[c.r:c.w:c.w]
	c.r, c.empty = c.w, false
	return m, nil
}

// ahead reports whether something was read ahead, if only an empty message.
func (c *Conn) ahead() bool { return c.r < c.w || c.empty }

// fillPacket reads one message into the buffer, which holds nothing. For the guard
// an empty one counts as a byte: it ends a wait as any other does.
func (c *Conn) fillPacket(wait guard.Wait) error {
	c.release()
	size := 0
	_, err := c.guard.Receive(wait, func(conn net.Conn) (n int, err error) {
		if size, err = c.receivePacket(conn); size == 0 && err == nil {
			return 1, nil
		}
		return size, err
	})
	switch {
	case size > maxPacket:
		c.release()
		return skipped{fmt.Errorf("%w: it has more than %d bytes", ErrTruncated, maxPacket)}
	case size == 0 && err != nil:
		c.release()
		return err
	}
	c.w, c.empty = size, size == 0
	return nil // an error beside a message will come again
}

// receivePacket reads once, into a buffer that any message fits in.
func (c *Conn) receivePacket(conn net.Conn) (int, error) {
	room := maxPacket + 1 // a byte more shows that there was more
	if s, ok := conn.(sizer); ok {
		var err error
		if room, err = s.NextSize(); err != nil {
			return 0, err
		}
	}
	if room > len(c.buffer()) {
		c.release()
		c.large = bufpool.Get(room)
	}
	return conn.Read(c.buffer())
}

// cuts reports whether a Read of the transport into so many bytes could lose the rest
// of a message. A sizer says what is too short.
func (c *Conn) cuts(room int) bool {
	if !c.packed() || room > maxPacket {
		return false
	}
	_, ok := c.NetConn().(sizer)
	return !ok
}

// fits refuses to pass on the first left bytes of a message that has more.
func (c *Conn) fits(left int64) error {
	if n := c.w - c.r; c.packed() && left < int64(n) {
		return &ShortBufferError{Size: n, Buffer: int(left)}
	}
	return nil
}

// bounded returns how long a buffer the reads of r need. A socket that keeps
// boundaries would cut what does not fit, and not say so.
func bounded(r io.Reader) (io.Reader, int) {
	if s, ok := r.(interface{ LocalAddr() net.Addr }); ok {
		if a := s.LocalAddr(); a != nil && (a.Network() == "udp" || a.Network() == "unixgram") {
			return wholeReader{r}, maxPacket + 1
		}
	}
	return r, copied
}

// wholeReader reads messages into buffers of maxPacket+1.
type wholeReader struct{ io.Reader }

func (r wholeReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if n > maxPacket {
		return 0, fmt.Errorf("%w: it has more than %d bytes", ErrTruncated, maxPacket)
	}
	return n, err
}

// copyPacket gives what was read ahead to a raw Read, whole or not at all.
func (c *Conn) copyPacket(p []byte) (int, error) {
	m := c.buffer()[c.r:c.w]
	if len(p) < len(m) {
		return 0, &ShortBufferError{Size: len(m), Buffer: len(p)}
	}
	c.r, c.empty = c.w, false
	return copy(p, m), nil
}
