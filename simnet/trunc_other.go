//go:build !unix

package simnet

// msgTrunc is MSG_TRUNC of Winsock, which package syscall does not have.
const msgTrunc = 0x100
