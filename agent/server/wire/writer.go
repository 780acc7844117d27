package wire

import (
	"encoding/binary"
	"net"
)

// byReference is the size from which bytes are referred to and not copied: below it a copy is cheaper than one more
// element in a writev.
const byReference = 1024

// Writer collects the bytes of one or more replies. Small fields are copied into one buffer; Chunk keeps large byte
// slices by reference. The zero Writer is ready. It is not safe for concurrent use.
type Writer struct {
	buf  []byte
	cuts []cut
	size int // bytes in all chunks
}

// cut says that chunk belongs in front of buf[at]. Offsets and not sub-slices are kept, since buf moves as it grows.
type cut struct {
	at    int
	chunk []byte
}

// Append lets fn append to the copied bytes: w.Append(resp.AppendTo).
func (w *Writer) Append(fn func([]byte) []byte) { w.buf = fn(w.buf) }

func (w *Writer) Bool(v bool) {
	if v {
		w.buf = append(w.buf, 1)
	} else {
		w.buf = append(w.buf, 0)
	}
}
func (w *Writer) Byte(v byte)      { w.buf = append(w.buf, v) }
func (w *Writer) Int16(v int16)    { w.buf = binary.BigEndian.AppendUint16(w.buf, uint16(v)) }
func (w *Writer) Int32(v int32)    { w.buf = binary.BigEndian.AppendUint32(w.buf, uint32(v)) }
func (w *Writer) Int64(v int64)    { w.buf = binary.BigEndian.AppendUint64(w.buf, uint64(v)) }
func (w *Writer) UUID(v [16]byte)  { w.buf = append(w.buf, v[:]...) }
func (w *Writer) Uvarint(v uint32) { w.buf = binary.AppendUvarint(w.buf, uint64(v)) }

// String writes a string with an int16 length, CompactString one with a varint length plus one.
func (w *Writer) String(s string) {
	w.Int16(int16(len(s)))
	w.buf = append(w.buf, s...)
}

func (w *Writer) CompactString(s string) {
	w.Uvarint(uint32(len(s)) + 1)
	w.buf = append(w.buf, s...)
}

// Chunk adds b. A large b is kept by reference: it must not change until the reply was written.
func (w *Writer) Chunk(b []byte) {
	if len(b) < byReference {
		w.buf = append(w.buf, b...)
		return
	}
	w.cuts = append(w.cuts, cut{at: len(w.buf), chunk: b})
	w.size += len(b)
}

// Len is the number of bytes collected so far.
func (w *Writer) Len() int { return len(w.buf) + w.size }

// Begin opens a frame: a length prefix that End fills in.
func (w *Writer) Begin() Mark {
	w.Int32(0)
	return Mark{at: len(w.buf) - 4, start: w.Len()}
}

// End sets the prefix of the frame to its length, in bytes.
func (w *Writer) End(m Mark) {
	binary.BigEndian.PutUint32(w.buf[m.at:], uint32(w.Len()-m.start))
}

// Undo takes back everything since Begin.
func (w *Writer) Undo(m Mark) {
	for n := len(w.cuts); n > 0 && w.cuts[n-1].at > m.at; n-- {
		w.size -= len(w.cuts[n-1].chunk)
		w.cuts = w.cuts[:n-1]
	}
	w.buf = w.buf[:m.at]
}

// Mark is an open frame.
type Mark struct{ at, start int }

// Buffers returns everything collected, in order, appended to dst. The result aliases the Writer until Reset.
func (w *Writer) Buffers(dst net.Buffers) net.Buffers {
	at := 0
	for _, c := range w.cuts {
		if c.at > at {
			dst = append(dst, w.buf[at:c.at])
			at = c.at
		}
		dst = append(dst, c.chunk)
	}
	if at < len(w.buf) {
		dst = append(dst, w.buf[at:])
	}
	return dst
}

// Reset empties the Writer. Its memory is kept unless it grew large.
func (w *Writer) Reset() {
	clear(w.cuts)
	w.cuts, w.size = w.cuts[:0], 0
	if cap(w.buf) > 64<<10 {
		w.buf = nil
	}
	w.buf = w.buf[:0]
}
