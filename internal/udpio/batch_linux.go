package udpio

import (
	"net/netip"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// arena is how many bytes a batch collects. What is longer than a quarter of it
// is not worth the copy, and is sent by itself.
const arena = 64 << 10

// batch is a Batch that one system call sends.
type batch struct {
	m       *multi
	failed  func(Route, error)
	family  uint16
	headers [most]header
	vectors [most]unix.Iovec
	names   [most]unix.RawSockaddrInet6
	control [most][40]byte
	routes  [most]Route
	data    []byte
	n, next int // how many there are, the first that was not sent
	errno   syscall.Errno
	try     func(fd uintptr)
	wait    func(fd uintptr) bool
}

// NewBatch implements Conn.
func (m *multi) NewBatch(failed func(Route, error)) Batch {
	b := &batch{m: m, failed: failed, family: m.family()}
	b.try = b.send
	b.wait = func(fd uintptr) bool { b.send(fd); return b.errno != unix.EAGAIN }
	for i := range b.headers {
		h := &b.headers[i]
		h.Name = (*byte)(unsafe.Pointer(&b.names[i]))
		h.Iov = &b.vectors[i]
		h.SetIovlen(1)
	}
	b.data = make([]byte, 0, 4<<10)
	return b
}

// family is what the socket takes addresses as. One of both families takes
// IPv4 addresses mapped.
func (m *multi) family() (family uint16) {
	family = unix.AF_INET6
	_ = m.raw.Control(func(fd uintptr) {
		if f, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_DOMAIN); err == nil {
			family = uint16(f)
		}
	})
	return family
}

// Len implements Batch.
func (b *batch) Len() int { return b.n }

// Add implements Batch.
func (b *batch) Add(p []byte, r Route) bool {
	if b.n == most || len(p) > arena/4 || len(b.data)+len(p) > arena {
		return false
	}
	i := b.n
	namelen := b.m.zones.put(&b.names[i], r.Peer, b.family)
	if namelen == 0 {
		return false // the single call has the right error for it
	}
	b.headers[i].Namelen = namelen
	b.setControl(i, r)
	b.vectors[i].SetLen(len(p))
	b.data = append(b.data, p...)
	b.routes[i] = r
	b.n++
	return true
}

func (b *batch) setControl(i int, r Route) {
	h := &b.headers[i]
	c := appendControl(b.control[i][:0], r)
	if len(c) == 0 {
		h.Control = nil
	} else {
		h.Control = &c[0]
	}
	h.SetControllen(len(c))
}

// Send implements Batch. The call says how many it has sent before the first
// that failed, and why that one did only if it is called again from there.
func (b *batch) Send() (sent, bytes int) {
	b.point()
	for b.next < b.n {
		first := b.next
		err := b.call()
		for ; first < b.next; first++ {
			sent++
			bytes += int(b.vectors[first].Len)
		}
		if err != nil {
			b.skip(err)
		}
	}
	b.n, b.next, b.data = 0, 0, b.data[:0]
	return sent, bytes
}

// point makes the vectors point at the data, which has stopped moving.
func (b *batch) point() {
	at := 0
	for i := range b.n {
		v := &b.vectors[i]
		v.Base = nil
		if v.Len > 0 {
			v.Base = &b.data[at]
		}
		at += int(v.Len)
	}
}

// call sends as many as the system takes. It waits for room only if there is
// none: the waiting call takes the socket's write lock, which the other workers
// then queue for.
func (b *batch) call() error {
	err := b.m.raw.Control(b.try)
	if err == nil && b.errno == unix.EAGAIN {
		b.m.armWrite()
		err = b.m.raw.Write(b.wait)
	}
	if err != nil {
		return err
	}
	if b.errno != 0 {
		return os.NewSyscallError("sendmmsg", b.errno)
	}
	return nil
}

func (b *batch) send(fd uintptr) {
	for {
		n, _, e := unix.Syscall6(unix.SYS_SENDMMSG, fd, uintptr(unsafe.Pointer(&b.headers[b.next])), uintptr(b.n-b.next), unix.MSG_DONTWAIT, 0, 0)
		if e == unix.EINTR {
			continue
		}
		if b.errno = e; e == 0 {
			b.next += int(n)
		}
		return
	}
}

// skip goes past the datagram that can't be sent. One whose source address has
// gone gets another chance without it; if the socket itself is the matter, the
// rest fails at once.
func (b *batch) skip(err error) {
	r := &b.routes[b.next]
	if r.Source.IsValid() && sourceGone(err) {
		r.Source = netip.Addr{}
		b.setControl(b.next, *r)
		return
	}
	switch Classify(err) {
	case Closed, Deadline, Dead:
		for ; b.next < b.n; b.next++ {
			b.failed(b.routes[b.next], err)
		}
	default:
		b.failed(*r, err)
		b.next++
	}
}
