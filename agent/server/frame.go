package server

import (
	"errors"
	"fmt"
	"io"
	"math/bits"
	"sync"
	"sync/atomic"
)

// ErrFrame is wrapped when a length prefix is negative, too small or beyond the limit. Nothing was allocated for it.
var ErrFrame = errors.New("bad frame length")

// Frame is the memory of one request, without its length prefix. It is reference counted: the server holds one
// reference until the request is answered; who keeps slices of it longer (ingest, until the flush is done) takes one
// with Retain. When the last one is gone the bytes return to the budget and, if pooled, are reused by another request,
// so nothing may refer to them any more.
type Frame struct {
	buf    []byte
	refs   atomic.Int32
	pooled bool
	taken  int64
	budget Budget
}

// Len is the frame's length in bytes.
func (f *Frame) Len() int { return len(f.buf) }

// Retain adds a reference. The caller must hold one.
func (f *Frame) Retain() {
	if f.refs.Add(1) <= 1 {
		panic("server: Retain of a released frame")
	}
}

// Release drops a reference.
func (f *Frame) Release() {
	switch n := f.refs.Add(-1); {
	case n > 0:
		return
	case n < 0:
		panic("server: frame released twice")
	}
	buf := f.buf
	f.buf = nil
	if f.pooled {
		putBuffer(buf)
	}
	if f.budget != nil {
		f.budget.Release(f.taken)
	}
}

// firstStep is what is allocated for a frame before any of its bytes has arrived.
const firstStep = 16 << 10

// readBody fills the frame with size bytes of r. The buffer grows by doubling, each time only when the smaller one is
// full, so memory follows the bytes that really came. A frame that has its size from a budget grows once, as the budget
// has bounded it already.
func (f *Frame) readBody(r io.Reader, size int) error {
	for have := 0; have < size; {
		step := min(size, max(firstStep, 2*have))
		if f.budget != nil && have > 0 {
			step = size
		}
		f.grow(step, have)
		n, err := io.ReadFull(r, f.buf[have:step])
		have += n
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return fmt.Errorf("frame of %d bytes ended after %d: %w", size, have, err)
		}
	}
	return nil
}

func (f *Frame) grow(to, have int) {
	if cap(f.buf) >= to {
		f.buf = f.buf[:to]
		return
	}
	old := f.buf
	if f.pooled {
		f.buf = getBuffer(to)
	} else {
		f.buf = make([]byte, to)
	}
	copy(f.buf, old[:have])
	if f.pooled && old != nil {
		putBuffer(old)
	}
}

// Buffers of Produce frames come in classes, four to each power of two. Larger ones are left to the garbage collector.
const (
	minBuffer = 4 << 10
	maxBuffer = 16 << 20
)

var pools [4 * 25]sync.Pool

// bufferSize is the memory that a pooled frame of n bytes takes, and so what it costs its budget.
func bufferSize(n int) int {
	if n <= minBuffer {
		return minBuffer
	}
	step := 1 << (bits.Len(uint(n-1)) - 3)
	return (n + step - 1) / step * step
}

// bufferClass is the index of a buffer size in pools.
func bufferClass(size int) int {
	k := bits.Len(uint(size)) - 1
	return 4*k + size>>(k-2)&3
}

func getBuffer(n int) []byte {
	size := bufferSize(n)
	if size <= maxBuffer {
		if p, ok := pools[bufferClass(size)].Get().(*[]byte); ok {
			return (*p)[:n]
		}
	}
	return make([]byte, n, size)
}

func putBuffer(b []byte) {
	size := cap(b)
	if size < minBuffer || size > maxBuffer || bufferSize(size) != size {
		return
	}
	b = b[:0]
	pools[bufferClass(size)].Put(&b)
}
