package addr

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// ParseError says what is wrong with an address, where, and how to repair it.
// It matches its Reason by [errors.Is]. Its message is one line of bounded
// length with every control character escaped, whatever the input was; it does
// show the input, with any password that somebody wrote into an address.
type ParseError struct {
	Input  string // the address, cut after 64 bytes; may contain anything, so print it quoted
	Reason Reason // the kind of mistake
	Offset int    // the byte of the whole address where the mistake begins, from 0; its length if something is missing at the end
	Hint   string // what to write instead, for a person; may be empty

	detail string // the mistake with its particulars
	size   int    // of the whole address
}

// maxQuoted bounds how much of an input an error keeps and shows: enough to
// recognise it, too little to flood a log.
const maxQuoted = 64

// fail makes an error without its input, which the exported functions add: the
// readers below them see only a part of it.
func fail(r Reason, offset int, format string, args ...any) *ParseError {
	return &ParseError{Reason: r, Offset: offset, detail: fmt.Sprintf(format, args...)}
}

// about completes e for input s, read for transport t.
func (e *ParseError) about(t Transport, s string) *ParseError {
	// A clone, since a slice would keep a hostile megabyte alive.
	e.Input = strings.Clone(clip(s))
	e.size = len(s)
	e.Hint = hint(t, s, e)
	return e
}

// Error returns the input, the mistake and the hint, such as
//
//	address "::1:80": too many colons; did you mean "[::1]:80"?
func (e *ParseError) Error() string {
	detail := e.detail
	if detail == "" {
		detail = e.Reason.Error()
	}
	text := "address " + strconv.Quote(e.Input)
	if e.size > len(e.Input) {
		text += fmt.Sprintf("... (%d bytes)", e.size)
	}
	text += ": " + detail
	if e.Hint != "" {
		text += "; " + e.Hint
	}
	return text
}

// Unwrap returns the Reason.
func (e *ParseError) Unwrap() error { return e.Reason }

// clip cuts s to what an error shows, between characters.
func clip(s string) string {
	if len(s) <= maxQuoted {
		return s
	}
	i := maxQuoted
	for i > maxQuoted-utf8.UTFMax && !utf8.RuneStart(s[i]) {
		i--
	}
	return s[:i]
}

// quote shows a part of an input.
func quote(s string) string {
	if c := clip(s); len(c) < len(s) {
		return strconv.Quote(c) + "..."
	}
	return strconv.Quote(s)
}
