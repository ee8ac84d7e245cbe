//go:build !linux

package sockopt

import (
	"net"
	"time"
)

// SinceAck: nobody knows.
func SinceAck(net.Conn) (d time.Duration, ok bool) { return 0, false }

// Gone: nobody knows.
func Gone(net.Conn) (gone, ok bool) { return false, false }
