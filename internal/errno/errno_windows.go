package errno

import "syscall"

// sockets are the numbers of Windows Sockets by the names of POSIX, as winsock2.h
// has them.
var sockets = map[syscall.Errno]syscall.Errno{
	syscall.EACCES:        10013,
	syscall.EADDRINUSE:    10048,
	syscall.EADDRNOTAVAIL: 10049,
	syscall.EBADF:         10009,
	syscall.ECONNABORTED:  10053,
	syscall.ECONNREFUSED:  10061,
	syscall.ECONNRESET:    10054,
	syscall.EHOSTUNREACH:  10065,
	syscall.EINVAL:        10022,
	syscall.EMFILE:        10024,
	syscall.EMSGSIZE:      10040,
	syscall.ENETDOWN:      10050,
	syscall.ENETUNREACH:   10051,
	syscall.ENOBUFS:       10055,
	syscall.ENOTCONN:      10057,
	syscall.ENOTSOCK:      10038,
	syscall.EOPNOTSUPP:    10045,
	syscall.EPIPE:         10058, // WSAESHUTDOWN: the sending side has ended
	syscall.ETIMEDOUT:     10060,
}
