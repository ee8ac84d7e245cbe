//go:build !windows

package udpio

import "syscall"

func classOf(e syscall.Errno) Class {
	switch e {
	case syscall.ECONNREFUSED, syscall.ECONNRESET, syscall.EHOSTUNREACH, syscall.ENETUNREACH,
		syscall.EHOSTDOWN, syscall.EPERM, syscall.EACCES, syscall.EPROTO:
		return Peer
	case syscall.ENOBUFS, syscall.ENOMEM, syscall.EAGAIN, syscall.ENETDOWN, syscall.EIO:
		return Resource
	case syscall.EMSGSIZE:
		return TooLong
	case syscall.EINVAL, syscall.EADDRNOTAVAIL, syscall.EAFNOSUPPORT, syscall.EDESTADDRREQ:
		return Argument
	case syscall.EBADF, syscall.ENOTSOCK:
		return Dead
	}
	return Unknown
}
