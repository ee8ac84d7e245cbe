package sockets

import (
	"fmt"
	"io"
	"io/fs"
	"math"
	"net"
	"syscall"

	"example.com/sockets/internal/bufpool"
	"example.com/sockets/internal/guard"
	"example.com/sockets/internal/sockopt"
)

const (
	// slice is what the kernel moves by itself before the clocks and counters
	// are looked at again.
	slice = 4 << 20
	// copied is what other copies move at a time.
	copied = 32 << 10
)

// ReadFrom writes what r has until it ends; io.Copy(c, r) calls it. On Linux a
// regular file goes to a TCP or unix socket without passing through this process
// (sendfile), in slices between which limits and counters hold. Everything else
// goes through a buffer on loan. Other writes may come between the pieces.
func (c *Conn) ReadFrom(r io.Reader) (n int64, err error) {
	src, left := r, int64(math.MaxInt64)
	limited, ok := r.(*io.LimitedReader)
	if ok {
		src, left = limited.R, max(limited.N, 0)
		defer func() { limited.N -= n }()
	}
	if from, ok := src.(*Conn); ok {
		return from.moveTo(writerOnly{c}, left)
	}
	if sockopt.Sendfile && isFile(src) && c.guard.Kernel() {
		return c.sendFile(src, left)
	}
	buf := bufpool.Get(copied)
	defer buf.Free()
	return io.CopyBuffer(writerOnly{c}, readerOnly{io.LimitReader(src, left)}, buf.B)
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
		before := part.N
		n, err := to.(io.ReaderFrom).ReadFrom(part)
		if lost := before - part.N - n; err != nil && lost > 0 {
			// The kernel would not, and the net package copied: to go
			// on from here would leave a hole.
			err = fmt.Errorf("%d bytes were read and not written: %v", lost, err)
		}
		return n, err
	})
}

// WriteTo writes what c receives to w until the peer ends its sending; io.Copy(w,
// c) calls it. What was read ahead comes first. While nothing comes, no buffer is
// held.
func (c *Conn) WriteTo(w io.Writer) (n int64, err error) {
	if to, ok := w.(*Conn); ok {
		w = writerOnly{to}
	}
	return c.moveTo(w, math.MaxInt64)
}

func (c *Conn) moveTo(w io.Writer, left int64) (n int64, err error) {
	more := false
	for left > 0 {
		if c.r == c.w {
			more, err = c.fillForCopy(more)
			if err == io.EOF {
				return n, nil
			}
			if err != nil {
				return n, c.fail("read", err)
			}
		}
		unread := c.buffer()[c.r:c.w]
		unread = unread[:min(int64(len(unread)), left)]
		k, err := w.Write(unread)
		c.r += k
		n += int64(k)
		left -= int64(k)
		if err != nil {
			return n, err
		}
		if k < len(unread) {
			return n, io.ErrShortWrite
		}
	}
	return n, nil
}

// fillForCopy reads into the small array, or, if the last read filled its buffer,
// into one large enough to copy with, which is given back when nothing more comes
// for a moment. filled says that this read filled its buffer.
func (c *Conn) fillForCopy(more bool) (filled bool, err error) {
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
