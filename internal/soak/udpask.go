package main

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"strconv"

	"example.com/sockets/addr"
)

// A question is an identifier of 16 digits, a verb that says what the server should
// do, and text in small letters. What answers it, and nothing else, follows from it:
// so a client sees at once if it is given the answer to another question, of another
// server, from another address, or one whose bytes have changed on the way.

const idLength = 16

// period is after how many bytes the text of a long question repeats itself. It has
// no divisor in common with the size of a piece that a long datagram is sent in.
const period = 61

// largest is what an IPv4 packet can carry (RFC 791).
const largest = 65507

// newQuestion makes one of at least so many bytes.
func newQuestion(r *rand.Rand, verb string, size int) []byte {
	q := fmt.Appendf(make([]byte, 0, max(size, 64)), "%016x %s ", r.Uint64(), verb)
	start := len(q)
	for len(q) < min(size, start+period) {
		q = append(q, 'a'+byte(r.UintN(26)))
	}
	for len(q) < size {
		q = append(q, q[start:][:min(size-len(q), len(q)-start)]...)
	}
	return q
}

// parseQuestion is false for noise.
func parseQuestion(q []byte) (verb string, ok bool) {
	id, rest, ok := bytes.Cut(q, []byte{' '})
	if !ok || len(id) != idLength {
		return "", false
	}
	if _, ok = questionID(q); !ok {
		return "", false
	}
	v, _, ok := bytes.Cut(rest, []byte{' '})
	return string(v), ok
}

// questionID is that of an answer, too.
func questionID(m []byte) (id uint64, ok bool) {
	if len(m) < idLength {
		return 0, false
	}
	id, err := strconv.ParseUint(string(m[:idLength]), 16, 64)
	return id, err == nil
}

// answerTo is what that server, asked at that address, answers.
func answerTo(server int, asked addr.Endpoint, q []byte) []byte {
	a := fmt.Appendf(nil, "%.16s %d %s %08x ", q, server, asked.HostPort(), crc32.ChecksumIEEE(q))
	a = append(a, bytes.ToUpper(q[idLength+1:])...)
	if verb, _ := parseQuestion(q); verb == "large" {
		a = append(a, bytes.Repeat([]byte{'L'}, largest)...)
	}
	return a[:min(len(a), largest)]
}

// short is enough of a message to recognise it by.
func short(m []byte) string { return fmt.Sprintf("%.80q (%d bytes)", m, len(m)) }
