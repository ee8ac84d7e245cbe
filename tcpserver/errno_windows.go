package tcpserver

import "syscall"

// The errors of Windows Sockets, which have numbers of their own.
const (
	wsaEBADF      syscall.Errno = 10009
	wsaEINVAL     syscall.Errno = 10022
	wsaENOTSOCK   syscall.Errno = 10038
	wsaEOPNOTSUPP syscall.Errno = 10045

	wsaInvalidHandle syscall.Errno = 6
)

var connErrnos = []syscall.Errno{
	syscall.WSAECONNABORTED, syscall.WSAECONNRESET, syscall.ERROR_NETNAME_DELETED,
}

var deadErrnos = []syscall.Errno{wsaEBADF, wsaEINVAL, wsaENOTSOCK, wsaEOPNOTSUPP, wsaInvalidHandle}
