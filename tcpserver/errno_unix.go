//go:build !windows

package tcpserver

import "syscall"

// connErrnos are accept(2)'s errors about one connection: it was aborted, or an
// error of the network was already waiting on the new socket, which Linux reports
// here. Trying again at once is what the manual asks for.
var connErrnos = []syscall.Errno{
	syscall.ECONNABORTED, syscall.ECONNRESET, syscall.EPROTO, syscall.EINTR, syscall.EAGAIN,
	syscall.EPERM, syscall.ENOPROTOOPT, syscall.ENETDOWN, syscall.ENETUNREACH,
	syscall.EHOSTDOWN, syscall.EHOSTUNREACH, syscall.ETIMEDOUT,
}

// deadErrnos say that this is no socket that listens.
var deadErrnos = []syscall.Errno{
	syscall.EBADF, syscall.EINVAL, syscall.ENOTSOCK, syscall.EOPNOTSUPP, syscall.EFAULT,
}
