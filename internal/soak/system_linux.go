package main

import (
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// defaultAsk are addresses of every host: two of IPv4, so that a reply can come from
// the wrong one.
const defaultAsk = "127.0.0.1,127.0.0.2,::1"

// knowsAsked: a socket bound to every address is told which one was asked.
const knowsAsked = true

func limitFiles(n uint64) error {
	return unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: n, Max: n})
}

// openFiles is how many descriptors the process has.
func openFiles() int {
	all, _ := os.ReadDir("/proc/self/fd")
	return len(all)
}

// mute makes the close that follows one of which the peer hears nothing: a socket in
// repair mode, as it is called, sends neither FIN nor RST. Only root can do that; for
// others it is an ordinary close.
func mute(c *net.TCPConn) {
	raw, err := c.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_REPAIR, 1) })
}

// cutEvery makes the system cut what is written to c into datagrams of that size, and
// is false if it can't (Linux before 4.18).
func cutEvery(c *net.UDPConn, size int) (ok bool) {
	raw, err := c.SyscallConn()
	if err != nil {
		return false
	}
	err = raw.Control(func(fd uintptr) { ok = unix.SetsockoptInt(int(fd), unix.SOL_UDP, unix.UDP_SEGMENT, size) == nil })
	return ok && err == nil
}
