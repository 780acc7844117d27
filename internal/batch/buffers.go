package batch

import "sync"

// keepBuffer is the capacity up to which a buffer goes back to the pool: one bomb must not pin its memory for ever.
const keepBuffer = 8 << 20

var buffers = sync.Pool{New: func() any { return new([]byte) }}

func getBuffer() *[]byte { return buffers.Get().(*[]byte) }

func putBuffer(b *[]byte) {
	if cap(*b) > keepBuffer {
		*b = nil
	}
	*b = (*b)[:0]
	buffers.Put(b)
}

// grow returns dst with at least n bytes of spare capacity, contents kept.
func grow(dst []byte, n int) []byte {
	if cap(dst)-len(dst) >= n {
		return dst
	}
	next := make([]byte, len(dst), len(dst)+n)
	copy(next, dst)
	return next
}
