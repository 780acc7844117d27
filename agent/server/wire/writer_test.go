package wire

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"
)

// Writer against a plain buffer: the same bytes in the same order, whatever is kept by reference.
func TestWriterEqualsBuffer(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		var w Writer
		var plain []byte
		for range rng.IntN(20) {
			m := w.Begin()
			var body []byte
			for range rng.IntN(4) {
				b := bytes.Repeat([]byte{byte(rng.Uint32())}, rng.IntN(3000))
				w.Chunk(b)
				w.Byte(7)
				body = append(append(body, b...), 7)
			}
			if rng.IntN(4) == 0 {
				w.Undo(m)
				continue
			}
			w.End(m)
			n := len(body)
			plain = append(append(plain, byte(n>>24), byte(n>>16), byte(n>>8), byte(n)), body...)
		}
		if w.Len() != len(plain) {
			t.Fatalf("Len %d, want %d", w.Len(), len(plain))
		}
		if got := bytes.Join(w.Buffers(nil), nil); !bytes.Equal(got, plain) {
			t.Fatal("bytes differ")
		}
		w.Reset()
		if w.Len() != 0 || len(w.Buffers(nil)) != 0 {
			t.Fatal("not empty after Reset")
		}
	})
}

// Large slices are not copied.
func TestChunkIsKeptByReference(t *testing.T) {
	var w Writer
	b := make([]byte, byReference)
	w.Int32(1)
	w.Chunk(b)
	bufs := w.Buffers(nil)
	if len(bufs) != 2 || &bufs[1][0] != &b[0] {
		t.Fatal("copied")
	}
}
