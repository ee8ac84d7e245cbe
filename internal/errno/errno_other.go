//go:build !windows

package errno

import "syscall"

var sockets map[syscall.Errno]syscall.Errno
