// Package bufpool lends buffers by size, so that a connection holds one only
// while bytes are in it.
package bufpool

import (
	"math/bits"
	"sync"
)

const (
	minShift = 12 // 4 KiB: a page, and more than most messages take
	maxShift = 20 // 1 MiB: the largest message by default; beyond it is garbage
)

var pools [maxShift - minShift + 1]sync.Pool

// Min is the size of the smallest buffer.
const Min = 1 << minShift

// Buffer is on loan until Free.
type Buffer struct {
	B []byte // at full length when lent
}

// Get lends a buffer of at least n bytes, whose content is arbitrary.
func Get(n int) *Buffer {
	class := classOf(n)
	if class >= len(pools) {
		return &Buffer{make([]byte, n)}
	}
	if b, ok := pools[class].Get().(*Buffer); ok {
		return b
	}
	return &Buffer{make([]byte, 1<<(minShift+class))}
}

// Free ends the loan. Nothing of b may be used afterwards. A buffer that was
// replaced by a larger one in B is filed by its new size.
func (b *Buffer) Free() {
	b.B = b.B[:cap(b.B)]
	class := classOf(len(b.B))
	if class < len(pools) && len(b.B) == 1<<(minShift+class) {
		pools[class].Put(b)
	}
}

func classOf(n int) int {
	return max(bits.Len(uint(max(n, 1)-1))-minShift, 0)
}
