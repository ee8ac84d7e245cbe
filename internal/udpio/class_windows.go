package udpio

import (
	"syscall"

	"golang.org/x/sys/windows"
)

func classOf(e syscall.Errno) Class {
	switch e {
	case windows.WSAECONNREFUSED, windows.WSAECONNRESET, windows.WSAENETRESET,
		windows.WSAEHOSTUNREACH, windows.WSAENETUNREACH, windows.WSAEACCES:
		return Peer
	case windows.WSAENOBUFS, windows.WSAENETDOWN, windows.WSAEWOULDBLOCK:
		return Resource
	case windows.WSAEMSGSIZE:
		return TooLong
	case windows.WSAEINVAL, windows.WSAEADDRNOTAVAIL, windows.WSAEAFNOSUPPORT, windows.WSAEDESTADDRREQ:
		return Argument
	case windows.WSAEBADF, windows.WSAENOTSOCK:
		return Dead
	}
	return Unknown
}
