package sockets

import (
	"errors"
	"io"
	"net"

	"example.com/sockets/internal/bufpool"
	"example.com/sockets/internal/guard"
	"example.com/sockets/internal/splice"
)

// pipeTo passes on up to left bytes through a pipe, which it holds until nothing has
// come for a moment: then it returns guard.ErrNothing. splice.ErrUnsupported means
// that it must be done in another way; nothing is lost then, as after any error:
// what could not be written stays to be read.
func (c *Conn) pipeTo(to *Conn, left int64) (n int64, rerr, werr error) {
	p, err := splice.Open()
	if err != nil { // perhaps there is no descriptor left: a buffer will do
		return 0, splice.ErrUnsupported, nil
	}
	defer p.Close()
	for n < left && rerr == nil {
		rerr = c.fillPipe(p, left-n)
		if p.Len() == 0 {
			break
		}
		k, err := to.emptyPipe(p)
		n += k
		if err != nil {
			c.takeBack(p)
			if errors.Is(err, splice.ErrUnsupported) {
				return n, splice.ErrUnsupported, nil
			}
			return n, nil, err
		}
	}
	return n, rerr, nil
}

// fillPipe moves up to left bytes into an empty pipe. First come those that were
// read, and with them, so that they leave together, whatever else is here. If there
// are none it waits for a moment.
func (c *Conn) fillPipe(p *splice.Pipe, left int64) error {
	unread := c.buffer()[c.r:c.w]
	unread = unread[:min(int64(len(unread)), left)]
	if len(unread) == 0 {
		_, err := c.guard.Receive(guard.Trying, func(from net.Conn) (int, error) {
			return p.Fill(from, left, true)
		})
		return err
	}
	k, err := p.Put(unread)
	c.r += k
	left -= int64(k)
	if err != nil || left == 0 || c.r < c.w {
		return err
	}
	_, err = c.guard.Receive(guard.Own, func(from net.Conn) (int, error) {
		return p.Fill(from, left, false)
	})
	if err == splice.ErrNothing {
		return nil
	}
	return err
}

// emptyPipe writes all that is in the pipe.
func (c *Conn) emptyPipe(p *splice.Pipe) (int64, error) {
	c.writing.take()
	defer c.writing.leave()
	n, err := c.guard.Transfer(func(to net.Conn) (int64, error) { return p.Empty(to) })
	return n, c.fail("write", err)
}

// takeBack makes unread again what is in the pipe.
func (c *Conn) takeBack(p *splice.Pipe) {
	rest := c.buffer()[c.r:c.w]
	buf := bufpool.Get(p.Len() + len(rest))
	n, _ := io.ReadFull(reader(p.Take), buf.B[:p.Len()])
	n += copy(buf.B[n:], rest)
	c.release()
	c.large, c.w = buf, n
}

type reader func([]byte) (int, error)

func (r reader) Read(p []byte) (int, error) { return r(p) }
