//go:build !windows

package client

import "syscall"

// A datagram that is longer than the system sends is EMSGSIZE; one that is
// longer than the buffer is cut without an error, and EMSGSIZE from a read is
// about the path's MTU.
const (
	errMessageSize = syscall.EMSGSIZE
	cutsLoudly     = false
)

// passing are the errors by which a socket reports ICMP messages.
var passing = []syscall.Errno{
	syscall.EHOSTUNREACH, syscall.ENETUNREACH, syscall.EHOSTDOWN, syscall.ENETDOWN,
	syscall.EMSGSIZE, syscall.EPROTO, syscall.ENOPROTOOPT, syscall.EACCES,
}

// passingDial are the errors of a dial that time may mend. ENOENT is the path of
// a unix socket whose server has not started, EAGAIN one whose queue is full.
var passingDial = []syscall.Errno{
	syscall.ECONNREFUSED, syscall.ECONNRESET, syscall.ECONNABORTED, syscall.EPIPE, syscall.ETIMEDOUT,
	syscall.EHOSTUNREACH, syscall.ENETUNREACH, syscall.EHOSTDOWN, syscall.ENETDOWN,
	syscall.EADDRNOTAVAIL, syscall.EAGAIN, syscall.ENOENT,
}
