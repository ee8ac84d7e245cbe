package sockets

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"net"
	"syscall"

	"example.com/sockets/internal/bufpool"
	"example.com/sockets/internal/guard"
	"example.com/sockets/internal/sockopt"
	"example.com/sockets/internal/splice"
)

const (
	// slice is what the kernel moves by itself before the clocks and counters
	// are looked at again.
	slice = 4 << 20
	// copied is what other copies move at a time.
	copied = 32 << 10
)

// ReadFrom writes what r has until it ends; io.Copy(c, r) calls it. Other writes may
// come between the pieces.
//
// On Linux, and if c is a TCP or unix socket without TLS, two kinds of sources do
// not pass through this process: a regular file (sendfile), and another such Conn
// (splice), which is also found in an io.LimitedReader; what it had read ahead comes
// first. That goes in slices, between which limits and counters hold. Everything
// else goes through a buffer on loan: what hides a Conn from this method, and the
// net package's own connections, on which nobody keeps our clocks.
//
// Where c has Packets each read of r becomes a message: of 32 KiB at most, unless r is
// a socket that keeps boundaries, each of whose messages stays one.
func (c *Conn) ReadFrom(r io.Reader) (n int64, err error) {
	src, left := r, int64(math.MaxInt64)
	limited, ok := r.(*io.LimitedReader)
	if ok {
		src, left = limited.R, max(limited.N, 0)
		defer func() { limited.N -= n }()
	}
	if from, ok := src.(*Conn); ok {
		n, rerr, werr := from.moveTo(c, left)
		return n, either(rerr, werr)
	}
	if sockopt.Sendfile && isFile(src) && c.guard.Kernel() {
		n, err = c.sendFile(src, left)
		if !errors.Is(err, errors.ErrUnsupported) {
			return n, err
		}
	}
	src, room := bounded(src)
	buf := bufpool.Get(room)
	defer buf.Free()
	k, err := io.CopyBuffer(writerOnly{c}, readerOnly{io.LimitReader(src, left-n)}, buf.B)
	return n + k, err
}

func either(err, other error) error {
	if err != nil {
		return err
	}
	return other
}

// The types below hide the methods by which io.Copy would come back here.
type (
	writerOnly struct{ io.Writer }
	readerOnly struct{ io.Reader }
)

// isFile asks for the methods of *os.File and not for the type, which io.Copy may
// have wrapped.
func isFile(r io.Reader) bool {
	f, ok := r.(interface {
		syscall.Conn
		Stat() (fs.FileInfo, error)
	})
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode().IsRegular()
}

func (c *Conn) sendFile(r io.Reader, left int64) (n int64, err error) {
	for left > 0 {
		part := io.LimitedReader{R: r, N: min(left, slice)}
		want := part.N
		k, err := c.sendSlice(&part)
		n += k
		left -= k
		if err != nil || k < want {
			return n, c.fail("write", err)
		}
	}
	return n, nil
}

func (c *Conn) sendSlice(part *io.LimitedReader) (int64, error) {
	c.writing.take()
	defer c.writing.leave()
	return c.guard.Transfer(func(to net.Conn) (int64, error) {
		sender, ok := to.(io.ReaderFrom)
		if !ok {
			return 0, errors.ErrUnsupported // somebody has put TLS on top
		}
		before := part.N
		n, err := sender.ReadFrom(part)
		if lost := before - part.N - n; err != nil && lost > 0 {
			// The kernel would not, and the net package copied: to go
			// on from here would leave a hole.
			err = fmt.Errorf("%d bytes were read and not written: %v", lost, err)
		}
		return n, err
	})
}

// WriteTo writes what c receives to w until the peer ends its sending; io.Copy(w,
// c) calls it. What was read ahead comes first. While nothing comes, neither a
// buffer nor a pipe is held. To another Conn it is that one's ReadFrom, with splice
// where that says so; everything else gets it through a buffer.
func (c *Conn) WriteTo(w io.Writer) (n int64, err error) {
	n, rerr, werr := c.moveTo(w, math.MaxInt64)
	return n, either(rerr, werr)
}

// moveTo passes on up to left bytes. It tells errors of reading from errors of
// writing; the end of what there is to read is neither. What was read and could not
// be written stays to be read.
func (c *Conn) moveTo(w io.Writer, left int64) (n int64, rerr, werr error) {
	to, piped := w.(*Conn)
	if piped {
		w = passer{to}
	}
	more := false
	for n < left {
		if !c.ahead() {
			more, rerr = c.fillForCopy(more)
		}
		var k int64
		switch {
		case rerr != nil:
		case more && piped && c.guard.Kernel() && to.guard.Kernel():
			k, rerr, werr = c.pipeTo(to, left-n)
			piped = rerr != splice.ErrUnsupported
			if rerr == splice.ErrUnsupported || rerr == guard.ErrNothing {
				more, rerr = false, nil
			}
		default:
			if rerr = c.fits(left - n); rerr == nil {
				k, werr = c.writeUnread(w, left-n)
			}
		}
		n += k
		switch {
		case rerr == io.EOF:
			return n, nil, nil
		case rerr != nil || werr != nil:
			return n, c.fail("read", rerr), werr
		}
	}
	return n, nil, nil
}

// passer writes what came from elsewhere.
type passer struct{ to *Conn }

func (p passer) Write(b []byte) (int, error) {
	p.to.writing.take()
	defer p.to.writing.leave()
	n, err := p.to.guard.Pass(b)
	return n, p.to.fail("write", err)
}

// writeUnread writes up to left bytes of what was read.
func (c *Conn) writeUnread(w io.Writer, left int64) (int64, error) {
	unread := c.buffer()[c.r:c.w]
	unread = unread[:min(int64(len(unread)), left)]
	k, err := w.Write(unread)
	c.r, c.empty = c.r+k, false
	if err == nil && k < len(unread) {
		err = io.ErrShortWrite
	}
	return int64(k), err
}

// fillForCopy reads into the small array, or, if the last read filled its buffer,
// into one large enough to copy with, which is given back when nothing more comes
// for a moment. filled says that this read filled its buffer. Where one Read is one
// message it is passed on as one.
func (c *Conn) fillForCopy(more bool) (filled bool, err error) {
	if c.packed() {
		return false, c.fillPacket(guard.Own)
	}
	c.release()
	if more {
		c.large = bufpool.Get(copied)
		err = c.readSome(guard.Trying)
		if err == guard.ErrNothing {
			c.release()
		}
	}
	if !more || err == guard.ErrNothing {
		err = c.readSome(guard.Own)
	}
	return c.w == len(c.buffer()), err
}
