//go:build !linux

package udpio

import "syscall"

// CanSource reports whether replies leave from the address that was asked, on a
// socket that is bound to all.
const CanSource = false

// controlSize is the room that the control messages of one datagram take.
const controlSize = 0

func enableControl(syscall.RawConn) bool { return false }

func parseControl([]byte, *Route) {}

func appendControl([]byte, Route) []byte { return nil }

func sourceGone(error) bool { return false }

func openMulti(*single, bool) Conn { return nil }
