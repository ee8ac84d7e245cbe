// Package sockopt asks the system what it knows of a connection that no Read or
// Write tells. Each question is a capability: ok is false where the system, or
// the kind of connection, cannot answer.
package sockopt

import (
	"net"
	"syscall"
)

// Unread is how many bytes have arrived on c that nobody has read. Closing a TCP
// connection that has any sends RST, which destroys what the peer has not read.
func Unread(c net.Conn) (n int, ok bool) {
	if c, is := c.(interface{ Unread() int }); is { // an in-memory connection
		return c.Unread(), true
	}
	return query(c, unread)
}

// Unacked is how many bytes written to c the peer's system has not acknowledged.
func Unacked(c net.Conn) (n int, ok bool) {
	if c, is := c.(interface{ Unacked() int }); is {
		return c.Unacked(), true
	}
	return query(c, unacked)
}

// query asks the socket under c. Control, unlike Read, works whatever deadline
// has passed.
func query(c net.Conn, ask func(fd uintptr) (int, error)) (n int, ok bool) {
	sc, is := c.(syscall.Conn)
	if !is || ask == nil {
		return 0, false
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return 0, false
	}
	var asked error
	err = raw.Control(func(fd uintptr) { n, asked = ask(fd) })
	return n, err == nil && asked == nil
}
