package client

import "syscall"

// A datagram that is longer than the buffer, or than the system sends, is
// WSAEMSGSIZE; package syscall's EMSGSIZE is a number of its own.
const (
	errMessageSize = syscall.Errno(10040)
	cutsLoudly     = true
)

// passing are the errors by which a socket reports ICMP messages.
var passing = []syscall.Errno{
	10051, // WSAENETUNREACH
	10052, // WSAENETRESET
	10054, // WSAECONNRESET
	10065, // WSAEHOSTUNREACH
}

// passingDial are the errors of a dial that time may mend.
var passingDial = []syscall.Errno{
	10061, // WSAECONNREFUSED
	10054, // WSAECONNRESET
	10053, // WSAECONNABORTED
	10060, // WSAETIMEDOUT
	10065, // WSAEHOSTUNREACH
	10051, // WSAENETUNREACH
	10049, // WSAEADDRNOTAVAIL
}
