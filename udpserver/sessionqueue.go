package udpserver

import (
	"encoding/binary"
	"math"

	"example.com/sockets/internal/bufpool"
)

// sessionQueue holds the unread datagrams of a session, each behind its length, in
// one buffer from a pool. It grows with what waits, and an empty queue has none: so
// a session for which nothing waits costs no more than its fields.
type sessionQueue struct {
	buf   *bufpool.Buffer
	r, w  int // what waits is between those
	count int // datagrams
}

// lengthSize is what precedes each datagram.
const lengthSize = 4

// size is the memory that the queue has.
func (q *sessionQueue) size() int {
	if q.buf == nil {
		return 0
	}
	return len(q.buf.B)
}

// push appends p, if the queue then has at most limit bytes of memory.
func (q *sessionQueue) push(p []byte, limit int) bool {
	if !q.makeRoom(lengthSize+len(p), limit) {
		return false
	}
	binary.NativeEndian.PutUint32(q.buf.B[q.w:], uint32(len(p)))
	q.w += lengthSize + copy(q.buf.B[q.w+lengthSize:], p)
	q.count++
	return true
}

// makeRoom makes room for n more bytes at the end. What waits is moved to the front
// only when that frees half of the buffer, so that a byte is moved once on average.
func (q *sessionQueue) makeRoom(n, limit int) bool {
	size := q.size()
	switch held := q.w - q.r; {
	case q.w+n <= size:
		return true
	case held+n <= size && (q.r >= size/2 || 2*size > limit):
		q.w = copy(q.buf.B, q.buf.B[q.r:q.w])
		q.r = 0
		return true
	default:
		return q.grow(powerOfTwo(held+n), limit)
	}
}

// powerOfTwo is the least buffer for n bytes.
func powerOfTwo(n int) int {
	size := bufpool.Min
	for size < n && size <= math.MaxInt/2 {
		size *= 2
	}
	return size
}

func (q *sessionQueue) grow(size, limit int) bool {
	if size = max(size, 2*q.size()); size > limit {
		return false
	}
	grown := bufpool.Get(size)
	held := 0
	if q.buf != nil {
		held = copy(grown.B, q.buf.B[q.r:q.w])
		q.buf.Free()
	}
	q.buf, q.r, q.w = grown, 0, held
	return true
}

// first is the datagram that has waited the longest; there is one.
func (q *sessionQueue) first() []byte {
	n := int(binary.NativeEndian.Uint32(q.buf.B[q.r:]))
	return q.buf.B[q.r+lengthSize:][:n]
}

// drop takes it out.
func (q *sessionQueue) drop() {
	q.r += lengthSize + len(q.first())
	if q.count--; q.count == 0 {
		q.clear()
	}
}

// clear drops all of them.
func (q *sessionQueue) clear() {
	if q.buf != nil {
		q.buf.Free()
	}
	*q = sessionQueue{}
}
