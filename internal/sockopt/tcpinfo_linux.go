package sockopt

import (
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// SinceAck is how long ago the last acknowledgement of c's peer came, whatever it
// acknowledged: a peer whose buffer is full answers probes.
func SinceAck(c net.Conn) (d time.Duration, ok bool) {
	ms, ok := query(c, func(fd uintptr) (int, error) {
		info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		if err != nil {
			return 0, err
		}
		return int(info.Last_ack_recv), nil
	})
	return time.Duration(ms) * time.Millisecond, ok
}
