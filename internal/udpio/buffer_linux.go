package udpio

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// Indexes of SO_MEMINFO (linux/sock_diag.h).
const (
	memReadAlloc = 0
	memReadLimit = 1
	memDrops     = 8
)

// Memory implements Conn. SO_MEMINFO can be read at any time and costs the
// datagrams nothing, unlike a control message with each.
func (s *single) Memory() (m Memory) {
	raw := rawConn(s.pc)
	if raw == nil {
		return m
	}
	_ = raw.Control(func(fd uintptr) {
		var info [9]uint32
		if err := getInts(fd, unix.SO_MEMINFO, info[:]); err == nil {
			m = Memory{Waiting: int(info[memReadAlloc]), Limit: int(info[memReadLimit]), Drops: info[memDrops]}
		}
		m.Read = bufferOf(fd, unix.SO_RCVBUF)
		m.Write = bufferOf(fd, unix.SO_SNDBUF)
	})
	return m
}

// bufferOf halves what the system says: it doubles what it is asked for, to have
// room for its own records, and reports that.
func bufferOf(fd uintptr, option int) int {
	n, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, option)
	if err != nil {
		return 0
	}
	return n / 2
}

// SetBuffers implements Conn. A privileged process may pass the system's limit.
func (s *single) SetBuffers(read, write int) {
	raw := rawConn(s.pc)
	if raw == nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		grow(fd, read, unix.SO_RCVBUF, unix.SO_RCVBUFFORCE)
		grow(fd, write, unix.SO_SNDBUF, unix.SO_SNDBUFFORCE)
	})
}

func grow(fd uintptr, want, option, force int) {
	for _, o := range []int{option, force} {
		if bufferOf(fd, option) < want {
			_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, o, want) // read back by Memory
		}
	}
}

// getInts reads a socket option that is several numbers.
func getInts(fd uintptr, option int, v []uint32) error {
	size := uint32(len(v) * 4)
	_, _, e := unix.Syscall6(unix.SYS_GETSOCKOPT, fd, unix.SOL_SOCKET, uintptr(option),
		uintptr(unsafe.Pointer(&v[0])), uintptr(unsafe.Pointer(&size)), 0)
	if e != 0 {
		return e
	}
	return nil
}
