package sockets

import "example.com/sockets/internal/bufpool"

// Write writes all of p, or returns how much of it and why no more. A nil error
// means that this system took the bytes; only an answer proves that the peer did.
// ErrWrite means that the peer took no byte for Timeouts.Write.
//
// Concurrent writes do not mix. After a message was written in part every write
// returns the error of that one.
func (c *Conn) Write(p []byte) (int, error) {
	c.writing.take()
	defer c.writing.leave()
	n, _, err := c.guard.Write(p)
	return n, c.fail("write", err)
}

// WriteMessage frames p and writes it, in one piece whoever else writes. It keeps
// no reference to p. ErrTooLong and ErrDelimiter mean that the framing refuses p
// and nothing was written. An error after the first byte is the end of all writing:
// every later write returns it again. (With Packets none is written in part, and no
// error is the end.)
func (c *Conn) WriteMessage(p []byte) error {
	c.writing.take()
	_, err := c.writeMessage("write message", p)
	return c.fail("write message", err)
}

// writeMessage reports whether any byte may have left. The caller, which does op,
// has the turn, which ends here.
func (c *Conn) writeMessage(op string, p []byte) (sent bool, err error) {
	defer c.writing.leave()
	buf := bufpool.Get(len(p) + frameRoom)
	defer buf.Free()
	framed, err := c.framing.Append(buf.B[:0], p)
	if err != nil {
		return false, err
	}
	if _, sent, err = c.guard.Write(framed); sent && err != nil && !c.packed() {
		err = c.fail(op, err)
		c.guard.Break(err)
	}
	return sent, err
}

// frameRoom is what the framings of this package add to a message at most. What a
// user's makes beyond it is not lent again: it may be memory of its own.
const frameRoom = 16
