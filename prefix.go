package sockets

import (
	"encoding/binary"
	"fmt"
	"math/bits"
)

// LengthPrefix frames a message as its length, in width bytes, big-endian, and
// then the message. width is 1, 2, 4 or 8; it panics on another, which is a
// mistake in the program and not in its input. max is the most bytes of a message
// without its length; 0 means 1 MiB and a negative one no maximum but the width's.
//
// A length over the maximum is ErrTooLong before anything is allocated for it.
// Since nobody knows then whether what follows is a message, every later read
// returns the error again.
func LengthPrefix(width, max int) Framing {
	switch width {
	case 1, 2, 4, 8:
		return lengthPrefix{width, most(size(max, defaultFrame), width)}
	}
	panic(fmt.Sprintf("sockets.LengthPrefix: width %d is not 1, 2, 4 or 8", width))
}

// most is max, or what a length of width bytes can say if that is less.
func most(max, width int) int {
	if width*8 < bits.UintSize-1 {
		return min(max, 1<<(width*8)-1)
	}
	return max
}

type lengthPrefix struct{ width, max int }

func (l lengthPrefix) Max() int { return l.width + l.max }

func (l lengthPrefix) Next(buf []byte, _ bool) (message []byte, advance, need int, err error) {
	if len(buf) < l.width {
		return nil, 0, l.width, nil
	}
	var n uint64
	for _, b := range buf[:l.width] {
		n = n<<8 | uint64(b)
	}
	return body(buf, l.width, n, l.max)
}

func (l lengthPrefix) Append(dst, message []byte) ([]byte, error) {
	if len(message) > l.max {
		return dst, tooLong("a message", l.max)
	}
	for shift := 8 * (l.width - 1); shift >= 0; shift -= 8 {
		dst = append(dst, byte(uint64(len(message))>>shift))
	}
	return append(dst, message...), nil
}

// body cuts a message of n bytes out of buf, where it follows header bytes. n is
// what the peer claims: it is compared before it is used for anything.
func body(buf []byte, header int, n uint64, max int) (message []byte, advance, need int, err error) {
	if n > uint64(max) {
		return nil, 0, 0, fmt.Errorf("%w: its length says %d bytes, the maximum is %d", ErrTooLong, n, max)
	}
	end := header + int(n)
	if len(buf) < end {
		return nil, 0, end, nil
	}
	return buf[header:end:end], end, 0, nil
}

// Uvarint frames a message as its length in the base-128 form of encoding/binary
// and of protocol buffers, least significant group first, and then the message. A
// length takes up to 10 bytes; one that does not end there is an error. max and
// what happens beyond it are as for LengthPrefix.
func Uvarint(max int) Framing { return uvarint{size(max, defaultFrame)} }

type uvarint struct{ max int }

func (u uvarint) Max() int { return binary.MaxVarintLen64 + u.max }

func (u uvarint) Next(buf []byte, _ bool) (message []byte, advance, need int, err error) {
	n, header := binary.Uvarint(buf)
	switch {
	case header < 0:
		return nil, 0, 0, fmt.Errorf("%w: its length does not fit in 64 bits", ErrTooLong)
	case header == 0:
		return nil, 0, len(buf) + 1, nil
	}
	return body(buf, header, n, u.max)
}

func (u uvarint) Append(dst, message []byte) ([]byte, error) {
	if len(message) > u.max {
		return dst, tooLong("a message", u.max)
	}
	return append(binary.AppendUvarint(dst, uint64(len(message))), message...), nil
}
