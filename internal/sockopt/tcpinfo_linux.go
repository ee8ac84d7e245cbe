package sockopt

import (
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// SinceAck is how long ago the last acknowledgement of c's peer came, whatever it
// acknowledged: a peer whose buffer is full answers probes.
func SinceAck(c net.Conn) (d time.Duration, ok bool) {
	ms, ok := query(c, tcpInfo(func(i *unix.TCPInfo) int { return int(i.Last_ack_recv) }))
	return time.Duration(ms) * time.Millisecond, ok
}

// Gone reports whether c was reset: nothing will be acknowledged any more.
func Gone(c net.Conn) (gone, ok bool) {
	state, ok := query(c, tcpInfo(func(i *unix.TCPInfo) int { return int(i.State) }))
	return state == unix.BPF_TCP_CLOSE, ok
}

func tcpInfo(field func(*unix.TCPInfo) int) func(fd uintptr) (int, error) {
	return func(fd uintptr) (int, error) {
		info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		if err != nil {
			return 0, err
		}
		return field(info), nil
	}
}
