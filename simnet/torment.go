package simnet

import "time"

// Torment is one of the things that [Torture] does to a stream.
type Torment func(*tortured)

// Chunks makes each Read return at most so many bytes, one size after the other
// and again from the first: Chunks(1) is a byte at a time, Chunks(3) splits a
// 4-byte length prefix. Sizes under 1 count as 1.
func Chunks(sizes ...int) Torment { return func(t *tortured) { t.chunks = sizes } }

// SplitCRLF ends a Read after each '\r', so that "\r\n" never comes in one piece.
func SplitCRLF() Torment { return func(t *tortured) { t.crlf = true } }

// DataWithEOF makes the Read that returns the last bytes return io.EOF with them,
// which io.Reader allows and sockets never do. To find out it waits for the end for
// up to 1 ms after what came.
func DataWithEOF() Torment { return func(t *tortured) { t.eofNow = true } }

// Coalesce holds written bytes back until nothing was held for d or the
// connection is read from or closed, so that several messages leave as one. An
// error of the late write is reported by the next Write or CloseWrite.
func Coalesce(d time.Duration) Torment { return func(t *tortured) { t.holdFor = max(d, 1) } }

// ResetAfter breaks the connection when n bytes were read: Read returns
// syscall.ECONNRESET from then on, Write syscall.EPIPE, and the peer gets a RST.
func ResetAfter(n int) Torment { return func(t *tortured) { t.resetAt = n } }

// Stall makes reading stop for d after every n bytes. A read deadline and Close
// end the wait.
func Stall(n int, d time.Duration) Torment {
	return func(t *tortured) { t.stallEvery, t.stallFor = max(1, n), d }
}
