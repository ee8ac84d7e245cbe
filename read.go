package sockets

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"

	"example.com/sockets/internal/bufpool"
	"example.com/sockets/internal/guard"
)

// Read reads what is there, at least one byte, as every net.Conn does: what one
// Write sent may come in pieces or together with the next. It returns bare io.EOF
// when the peer has ended its sending. Bytes that other methods read ahead come
// first. With Packets it reads one message, and if p is too short for that none, with
// a *ShortBufferError.
//
// A handler that reads with Read alone counts as idle, for a stop and for
// Timeouts.Idle, when it is blocked here and no byte has moved in either
// direction for a while; one that also calls Await is idle there and nowhere else.
func (c *Conn) Read(p []byte) (int, error) {
	if c.ahead() {
		if err := c.guard.Ended(); err != nil {
			return 0, c.fail("read", err)
		}
		if c.packed() {
			n, err := c.copyPacket(p)
			return n, c.fail("read", err)
		}
		n := copy(p, c.buffer()[c.r:c.w])
		c.r += n
		return n, nil
	}
	c.release()
	switch {
	case len(p) == 0:
		return 0, nil
	case c.cuts(len(p)):
		if err := c.fillPacket(guard.Own); err != nil {
			return 0, c.fail("read", err)
		}
		return c.Read(p)
	}
	n, err := c.guard.Read(p, guard.Own)
	return n, c.fail("read", err)
}

// Await waits until there is a byte to read, and reads none. It is the idle point
// of a protocol that is read with Read: while a handler waits here a stop ends it
// at once with ErrDraining, Timeouts.Idle applies, and no buffer is held.
// ReadMessage and Messages wait like this by themselves.
//
// io.EOF means that the peer has ended its sending.
func (c *Conn) Await() error { return c.fail("await", c.await()) }

// await is Await with the bare cause.
func (c *Conn) await() error {
	for !c.ahead() {
		if err := c.fill(guard.Next); err != nil {
			return err
		}
	}
	return c.guard.Ended()
}

// ReadMessage reads one message, as the framing cuts them. The message is valid
// until the next read on c.
//
// io.EOF means that the peer ended its sending between messages. Inside a message
// the error is io.ErrUnexpectedEOF and comes with what had come of it. After
// ErrTooLong reading may go on, as the framing says. After a timeout nothing is
// lost: the next read goes on where this one stopped.
func (c *Conn) ReadMessage() ([]byte, error) {
	m, err := c.readMessage(guard.Next)
	return m, c.fail("read message", err)
}

// readMessage reads one message, whose first byte it awaits as first says.
func (c *Conn) readMessage(first guard.Wait) ([]byte, error) {
	if err := c.guard.Over(); err != nil {
		return nil, err
	}
	if c.packed() {
		return c.readPacket(first)
	}
	wait := first
	if c.r < c.w || c.skipping {
		if !c.midway {
			c.guard.Begin()
		}
		wait = guard.InMessage
	}
	c.midway = false
	for eof := false; ; {
		m, need, err := c.next(eof)
		if m != nil || err != nil {
			return m, err
		}
		if c.r == c.w && !c.skipping {
			wait = first // perhaps behind one that was too long
		}
		switch err = c.fill(wait); {
		case err == nil:
			wait = guard.InMessage
		case err != io.EOF:
			c.midway = wait == guard.InMessage
			return nil, err
		case c.skipping:
			return nil, cutShort(c.w-c.r, need)
		case c.r == c.w:
			return nil, io.EOF
		case eof:
			return c.buffer()[c.r:c.w], cutShort(c.w-c.r, need)
		default:
			eof = true // the framing may take what is there for a message
		}
	}
}

// next takes the next message out of the buffer. A nil message and no error mean
// that it is not all here; need is how many bytes it takes, if the framing knows.
func (c *Conn) next(eof bool) (message []byte, need int, err error) {
	for c.r < c.w {
		unread := c.buffer()[c.r:c.w]
		m, advance, need, err := c.framing.Next(unread, eof)
		switch {
		case advance < 0 || advance > len(unread):
			return nil, 0, fmt.Errorf("framing advances %d bytes of %d", advance, len(unread))
		case err != nil && advance == 0:
			return nil, 0, err
		case err == nil && advance == 0 && len(unread) >= c.framing.Max():
			return nil, 0, tooLong("a message", c.framing.Max())
		case err == nil && advance == 0:
			return nil, need, nil
		}
		rest := c.skipping
		c.skipping = err != nil && need > 0
		c.r += advance
		switch {
		case rest: // of what was too long, and was reported
		case err != nil:
			return nil, 0, skipped{err}
		case m == nil:
			return []byte{}, 0, nil
		default:
			return slices.Clip(m), 0, nil // to append to it must not harm the next
		}
	}
	return nil, 0, nil
}

// Messages reads messages until the peer has ended its sending, or a stop finds
// the connection between messages: then the loop ends. Any other error is its last
// pair, except what a framing goes on after, such as ErrTooLong of Lines. A message is valid until the
// next turn of the loop.
func (c *Conn) Messages() iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for {
			m, err := c.ReadMessage()
			if err == io.EOF || errors.Is(err, ErrDraining) {
				return
			}
			if !yield(m, err) || err != nil && !errors.As(err, &skipped{}) {
				return
			}
		}
	}
}

// skipped is the error of a framing about a message that it has dropped.
type skipped struct{ error }

func (s skipped) Unwrap() error { return s.error }

// SetFraming changes the protocol between messages: the next message is read, and
// written, with f; nil means Lines(0). Bytes that were read ahead are kept.
func (c *Conn) SetFraming(f Framing) {
	if f == nil {
		f = Lines(0)
	}
	c.writing.take() // writers use the framing in their turn
	defer c.writing.leave()
	c.framing = f
}

// fill reads once, behind what is unread. When nothing is, the connection parks:
// it holds no buffer but its own small array.
func (c *Conn) fill(wait guard.Wait) error {
	if c.packed() {
		return c.fillPacket(wait)
	}
	if c.r == c.w {
		c.release()
	}
	c.makeRoom()
	return c.readSome(wait)
}

// readSome reads at least one byte behind what is unread.
func (c *Conn) readSome(wait guard.Wait) error {
	for range 100 { // as bufio does with a reader that gives neither
		n, err := c.guard.Read(c.buffer()[c.w:], wait)
		c.w += n
		if n > 0 {
			return nil // an error will come again
		}
		if err != nil {
			return err
		}
	}
	return io.ErrNoProgress
}

// makeRoom makes room for at least one byte: at the front, or in a buffer twice
// the size. So a buffer grows with the bytes that have come, whatever a peer says
// will come.
func (c *Conn) makeRoom() {
	old := c.buffer()
	if c.w < len(old) {
		return
	}
	if c.r > len(old)/2 {
		c.w = copy(old, old[c.r:c.w])
		c.r = 0
		return
	}
	grown := bufpool.Get(max(2*len(old), bufpool.Min))
	c.w = copy(grown.B, old[c.r:c.w])
	c.r = 0
	if c.large != nil {
		c.large.Free()
	}
	c.large = grown
}

func (c *Conn) buffer() []byte {
	if c.large != nil {
		return c.large.B
	}
	return c.small[:]
}

// release gives the buffer back; nothing in it is unread.
func (c *Conn) release() {
	c.r, c.w, c.empty = 0, 0, false
	if c.large != nil {
		c.large.Free()
		c.large = nil
	}
}

// cutShort is the end of the stream inside a message of which have bytes had come.
func cutShort(have, need int) error {
	if need > have {
		return fmt.Errorf("%w: the peer ended its sending after %d of a message's %d bytes", io.ErrUnexpectedEOF, have, need)
	}
	return fmt.Errorf("%w: the peer ended its sending %d bytes into a message", io.ErrUnexpectedEOF, have)
}
