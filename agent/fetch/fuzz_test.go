package fetch

import (
	"bytes"
	"testing"

	"wadi/internal/batch"
	"wadi/metadata/state"
)

// FuzzPatch hands whatever a store may answer to the reader: it is refused, or every batch of it is whole and in place.
func FuzzPatch(f *testing.F) {
	b := one(f, 50)
	f.Add(b, int64(0), int64(0), int64(0), 100)
	f.Add(append(bytes.Clone(b), records(f, 10, 1, 2, 3)...), int64(5), int64(8), int64(6), 1)
	f.Add(b[:40], int64(0), int64(0), int64(0), 10)
	f.Add([]byte{}, int64(0), int64(0), int64(0), 0)
	f.Fuzz(func(t *testing.T, data []byte, base, last, offset int64, limit int) {
		if base < 0 || last < base || offset < base || offset > last {
			return
		}
		x, err := (&block{data: data}).run(state.Run{Base: base, Last: last, Length: uint32(len(data))}, 0)
		if err != nil {
			return
		}
		rest, _ := x.from(offset, last+1, limit, true)
		if len(rest) == 0 {
			t.Fatal("nothing although the first batch is forced")
		}
		for first := true; len(rest) > 0; first = false {
			b, tail, err := batch.Split(rest)
			if err != nil {
				t.Fatal(err)
			}
			if first && (b.BaseOffset() > offset || b.LastOffset() < offset) || b.CRC() != b.ComputeCRC() || b.LastOffset() > last {
				t.Fatalf("batch %d to %d for offset %d of [%d, %d]", b.BaseOffset(), b.LastOffset(), offset, base, last)
			}
			rest = tail
		}
	})
}
