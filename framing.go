package sockets

import (
	"bytes"
	"fmt"
	"math"
)

// Framing tells where a message ends in a stream of bytes, which has no messages
// by itself. Write your own for another protocol: it holds no state, is shared by
// connections and used by several goroutines.
type Framing interface {
	// Next finds the first message in buf, the unread bytes so far. A
	// message, which may be empty, is returned with an advance above 0: the
	// bytes that it takes in buf, delimiter or header included; it aliases
	// buf. An advance of 0 and no error mean that more bytes are needed:
	// need of them in all, or any more if need is 0. eof says that no more
	// will come.
	//
	// An error ends the conversation and is returned again by every later
	// read, unless advance is above 0: then those bytes are dropped and
	// reading goes on behind them. A need above 0 says in this case that the
	// message goes on in bytes that have not come; what Next finds first in
	// them is its rest, and is dropped as well.
	Next(buf []byte, eof bool) (message []byte, advance, need int, err error)

	// Append appends the framed message to dst. An error, such as
	// ErrTooLong or ErrDelimiter, means that it can't be sent.
	Append(dst, message []byte) ([]byte, error)

	// Max is how many bytes a message may take on the wire. A Conn holds no
	// more than that of one that is not complete.
	Max() int
}

const (
	defaultLine  = 64 << 10
	defaultFrame = 1 << 20
)

// size is what a maximum that the user gave means: 0 the default, negative none.
func size(given, standard int) int {
	switch {
	case given == 0:
		return standard
	case given < 0:
		return math.MaxInt - 16 // room for what a framing adds
	}
	return min(given, math.MaxInt-16)
}

// Lines frames a message as a line of text: it ends with "\n" or "\r\n", which
// are not part of it, and is written with "\n" (with "\r\n" if it ends with "\r",
// so that it reads back the same). Of "\r\r\n" only one "\r" belongs to the end.
// max is the most bytes of a line without its end; 0 means 64 KiB and a negative
// one no maximum.
//
// A longer line is one ErrTooLong, and reading goes on with the next line. A
// last line without an end is io.ErrUnexpectedEOF, with what had come. A message
// that contains "\n" is refused with ErrDelimiter.
func Lines(max int) Framing { return lines{size(max, defaultLine)} }

type lines struct{ max int }

func (l lines) Max() int { return l.max + len("\r\n") }

func (l lines) Next(buf []byte, _ bool) (message []byte, advance, need int, err error) {
	end := bytes.IndexByte(buf, '\n')
	if end < 0 {
		// The last byte may be the "\r" of an end that comes in two reads.
		if len(bytes.TrimSuffix(buf, []byte("\r"))) > l.max {
			return nil, len(buf), 1, tooLong("a line", l.max)
		}
		return nil, 0, 0, nil
	}
	line := bytes.TrimSuffix(buf[:end], []byte("\r"))
	if len(line) > l.max {
		return nil, end + 1, 0, tooLong("a line", l.max)
	}
	return line, end + 1, 0, nil
}

func (l lines) Append(dst, message []byte) ([]byte, error) {
	switch {
	case len(message) > l.max:
		return dst, tooLong("a line", l.max)
	case bytes.IndexByte(message, '\n') >= 0:
		return dst, fmt.Errorf(`%w: a line cannot hold "\n"`, ErrDelimiter)
	}
	dst = append(dst, message...)
	if bytes.HasSuffix(message, []byte("\r")) {
		dst = append(dst, '\r')
	}
	return append(dst, '\n'), nil
}

func tooLong(what string, max int) error {
	return fmt.Errorf("%w: %s may have %d bytes", ErrTooLong, what, max)
}
