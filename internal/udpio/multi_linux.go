package udpio

import (
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// most is how many datagrams a system call moves at most. Beyond this the gain
// is lost in the noise, and the last reply waits for the first.
const most = 64

// gap is what is left between two buffers of a batch. Their distance is then no
// power of two, with which all would compete for the same lines of the cache.
const gap = 320

// header is the system's struct mmsghdr. The compiler pads it as C does.
type header struct {
	unix.Msghdr
	n uint32
}

// multi reads and writes many datagrams per system call, without allocating. The
// calls don't block: where they would, the runtime's poller waits.
type multi struct {
	*single  // for what is not batched
	raw      syscall.RawConn
	zones    *zones
	family   uint16      // what the socket takes addresses as
	coupling atomic.Bool // trains may be sent

	// The state of one read, which its callback uses: a closure made for
	// each would be allocated.
	headers [most]header
	vectors [most]unix.Iovec
	names   [most]unix.RawSockaddrInet6
	control []byte // controlSize bytes for each; nil: none are wanted
	bufs    []byte // all of them
	stride  int    // from one to the next
	slot    int    // bytes that each can take
	merging bool   // what was received may be several datagrams
	n       int    // messages received
	next    int    // the first of them that is not open yet
	open    message
	packets [most]Packet
	errno   syscall.Errno
	wait    func(fd uintptr) bool
	try     func(fd uintptr)
}

// openMulti returns nil if s is not a socket of the net package itself: the
// system call would pass a wrapper by.
func openMulti(s *single, trains bool) Conn {
	pc, ok := s.pc.(*net.UDPConn)
	if !ok || pc.RemoteAddr() != nil {
		return nil
	}
	raw, err := pc.SyscallConn()
	if err != nil || !hasMulti(raw) {
		return nil
	}
	m := &multi{single: s, raw: raw, zones: newZones()}
	m.ask(trains)
	m.merging = mergeReceived(raw, trains)
	m.wait = func(fd uintptr) bool { m.receive(fd); return m.errno != unix.EAGAIN }
	m.try = m.receive
	m.layOut()
	return m
}

// hasMulti asks the system with a call for no messages. Old kernels, sandboxes
// and emulators don't have it.
func hasMulti(raw syscall.RawConn) (ok bool) {
	err := raw.Control(func(fd uintptr) {
		var h header
		for _, call := range []uintptr{unix.SYS_RECVMMSG, unix.SYS_SENDMMSG} {
			_, _, e := unix.Syscall6(call, fd, uintptr(unsafe.Pointer(&h)), 0, unix.MSG_DONTWAIT, 0, 0)
			ok = e == 0 || e == unix.EAGAIN
			if !ok {
				return
			}
		}
	})
	return ok && err == nil
}

// ask finds out what the socket is.
func (m *multi) ask(trains bool) {
	_ = m.raw.Control(func(fd uintptr) {
		family, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_DOMAIN)
		if err != nil {
			family = unix.AF_INET6
		}
		m.family = uint16(family)
		_, err = unix.GetsockoptInt(int(fd), unix.SOL_UDP, unix.UDP_SEGMENT)
		m.coupling.Store(trains && err == nil)
	})
}

// reaches reports whether the socket's family can reach a.
func (m *multi) reaches(a netip.Addr) bool {
	return a.Is4() || a.Is6() && m.family == unix.AF_INET6
}

// layOut points the headers at their buffers, once and for all.
func (m *multi) layOut() {
	m.slot = m.size
	if m.merging {
		m.slot = max(m.size, maxMerged)
	}
	m.stride = (m.slot+63)&^63 + gap
	m.bufs = make([]byte, most*m.stride) // touched as far as datagrams reach
	if m.oob != nil || m.merging {
		m.control = make([]byte, most*controlSize)
	}
	for i := range m.headers {
		h := &m.headers[i]
		m.vectors[i].Base = &m.bufs[i*m.stride]
		m.vectors[i].SetLen(m.slot)
		h.Iov = &m.vectors[i]
		h.SetIovlen(1)
		h.Name = (*byte)(unsafe.Pointer(&m.names[i]))
		if m.control != nil {
			h.Control = &m.control[i*controlSize]
		}
		m.reset(i)
	}
}

// reset makes the i-th header ready for a read: the system has overwritten the
// lengths.
func (m *multi) reset(i int) {
	h := &m.headers[i]
	h.Namelen = unix.SizeofSockaddrInet6
	if m.control != nil {
		h.SetControllen(controlSize)
	}
}

// Read implements Conn.
func (m *multi) Read() ([]Packet, error) {
	if !m.Holds() {
		if err := m.fetch(); err != nil {
			return nil, err
		}
	}
	return m.split(), nil
}

// Holds implements Conn.
func (m *multi) Holds() bool { return m.next < m.n || m.open.more }

// fetch receives messages.
func (m *multi) fetch() (err error) {
	for i := range m.n {
		m.reset(i)
	}
	m.n, m.next = 0, 0
	if m.draining {
		err = m.raw.Control(m.try)
	} else {
		err = m.raw.Read(m.wait)
	}
	switch {
	case err != nil:
		return err
	case m.errno == unix.EAGAIN:
		return os.ErrDeadlineExceeded
	case m.errno != 0:
		return os.NewSyscallError("recvmmsg", m.errno)
	}
	return nil
}

func (m *multi) receive(fd uintptr) {
	for {
		n, _, e := unix.Syscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&m.headers[0])), most, unix.MSG_DONTWAIT, 0, 0)
		if e == unix.EINTR {
			continue
		}
		if m.errno = e; e == 0 {
			m.n = int(n)
		}
		return
	}
}

// WantECN implements Conn.
func (m *multi) WantECN() bool {
	if !m.single.WantECN() {
		return false
	}
	m.control = make([]byte, most*controlSize)
	for i := range m.headers {
		m.headers[i].Control = &m.control[i*controlSize]
		m.reset(i)
	}
	return true
}
