//go:build !linux

package sockopt

import "net"

// AcceptQueue: nobody knows.
func AcceptQueue(net.Listener) (n, limit int, ok bool) { return 0, 0, false }
