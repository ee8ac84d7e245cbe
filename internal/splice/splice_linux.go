package splice

import (
	"io"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// capacity is what a pipe is asked to hold: with the 64 KiB of the system's default
// a fast sender costs many more system calls.
const capacity = 256 << 10

// Pipe holds bytes in the kernel. It is used by one goroutine at a time.
type Pipe struct{ r, w, n, size int }

// Open makes a pipe: two descriptors, until Close.
func Open() (*Pipe, error) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return nil, os.NewSyscallError("pipe2", err)
	}
	p := &Pipe{r: fds[0], w: fds[1], size: 64 << 10}
	// A user may have only so many pages in pipes: then a small one will do.
	if size, err := unix.FcntlInt(uintptr(p.w), unix.F_SETPIPE_SZ, capacity); err == nil {
		p.size = size
	}
	return p, nil
}

// Close drops what is in the pipe.
func (p *Pipe) Close() {
	_ = unix.Close(p.r)
	_ = unix.Close(p.w)
}

// Len is how many bytes are in the pipe.
func (p *Pipe) Len() int { return p.n }

// Put puts bytes into the pipe that were read before what Fill will find. Up to
// 4 KiB always go into an empty one.
func (p *Pipe) Put(b []byte) (int, error) {
	n, err := retry(func() (int, error) { return unix.Write(p.w, b) })
	p.n += max(n, 0)
	return max(n, 0), os.NewSyscallError("write", err)
}

// Take takes bytes out of the pipe.
func (p *Pipe) Take(b []byte) (int, error) {
	n, err := retry(func() (int, error) { return unix.Read(p.r, b) })
	p.n -= max(n, 0)
	return max(n, 0), os.NewSyscallError("read", err)
}

// Fill moves up to most bytes that have come on c into the pipe. If there are none
// it waits, until c's read deadline, or returns ErrNothing. A pipe that is not empty
// may be full, which looks the same: then it must not wait. At the end it returns
// io.EOF.
func (p *Pipe) Fill(c net.Conn, most int64, wait bool) (n int, err error) {
	raw, err := rawOf(c)
	if err != nil {
		return 0, err
	}
	most = min(most, int64(p.size))
	var failed error
	err = raw.Read(func(fd uintptr) bool {
		n, failed = move(int(fd), p.w, int(most))
		return failed != unix.EAGAIN || !wait
	})
	if n = max(n, 0); n > 0 {
		p.n += n
		return n, nil
	}
	switch {
	case err != nil:
		return 0, err // its deadline, or closed
	case failed == nil:
		return 0, io.EOF
	case failed == unix.EAGAIN:
		return 0, ErrNothing
	}
	return 0, asError(failed)
}

// Empty moves everything in the pipe to c, and returns how much of it and why no
// more: c's write deadline, which loses nothing, or an error of c.
func (p *Pipe) Empty(c net.Conn) (moved int64, err error) {
	raw, err := rawOf(c)
	if err != nil {
		return 0, err
	}
	var failed error
	err = raw.Write(func(fd uintptr) bool {
		for p.n > 0 {
			n, err := move(p.r, int(fd), p.n)
			if err == nil && n == 0 {
				err = io.ErrUnexpectedEOF // the pipe has less than we put in
			}
			if failed = err; err != nil {
				return err != unix.EAGAIN
			}
			p.n -= n
			moved += int64(n)
		}
		return true
	})
	if err == nil && failed != nil {
		err = asError(failed)
	}
	return moved, err
}

func move(from, to, most int) (int, error) {
	return retry(func() (int, error) {
		n, err := unix.Splice(from, nil, to, nil, most, unix.SPLICE_F_NONBLOCK|unix.SPLICE_F_MOVE)
		return int(n), err
	})
}

func retry(call func() (int, error)) (int, error) {
	for {
		n, err := call()
		if err != unix.EINTR {
			return n, err
		}
	}
}

func rawOf(c net.Conn) (syscall.RawConn, error) {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return nil, ErrUnsupported
	}
	return sc.SyscallConn()
}

func asError(err error) error {
	if err == unix.EINVAL {
		return ErrUnsupported // as splice(2) says of files that can't
	}
	return os.NewSyscallError("splice", err)
}
