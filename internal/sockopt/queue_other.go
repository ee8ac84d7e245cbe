//go:build !linux

package sockopt

import "net"

// Other systems have the same questions under other names; until somebody can
// test them there, the answer is that nobody knows, and callers are careful.
var (
	unread, unacked func(fd uintptr) (int, error)
	readable        func(fd uintptr) bool
)

// CanPoll says that Queued and a Probe know nothing.
const CanPoll = false

// Sendfile may be had elsewhere too, but what a deadline that cuts it leaves is
// not known.
const Sendfile = false

// Queued: nobody knows.
func Queued(net.Listener) bool { return false }
