//go:build unix

package simnet

import "syscall"

// msgTrunc is the flag by which ReadMsgUDPAddrPort tells of a truncation.
const msgTrunc = syscall.MSG_TRUNC
