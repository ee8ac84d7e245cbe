//go:build unix

package mcast_test

import (
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"example.com/sockets/internal/mcast"
)

// What is sent stays on the link unless more is asked for, and no child process
// inherits the socket.
func TestSocketOptions(t *testing.T) {
	for ttl, want := range map[int]int{0: 1, 7: 7, 255: 255, -1: 0} {
		o := within(t, mcast.Options{}, groups4[0])
		o.TTL = ttl
		c := listen(t, o, netip.AddrPortFrom(groups4[0], 0))
		raw, err := c.SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		raw.Control(func(fd uintptr) {
			got, err := unix.GetsockoptByte(int(fd), unix.IPPROTO_IP, unix.IP_MULTICAST_TTL)
			if int(got) != want {
				t.Errorf("TTL %d: got %d, %v, want %d", ttl, got, err, want)
			}
			if flags, err := unix.FcntlInt(fd, unix.F_GETFD, 0); flags&unix.FD_CLOEXEC == 0 {
				t.Errorf("flags %x, %v", flags, err)
			}
		})
	}
}
