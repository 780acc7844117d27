package fetch

import (
	"bytes"
	"slices"
	"sync"
	"testing"

	"wadi/internal/batch"
	"wadi/metadata/state"
)

// Semantics line 43: a reader of committed records gets no batch from the last stable offset on, also where a run goes on.
func TestEndInsideARun(t *testing.T) {
	var data []byte
	for range 100 {
		data = append(data, records(t, 500, 1, 2)...)
	}
	x, err := (&block{data: data}).run(state.Run{Base: 10, Last: 209, Length: uint32(len(data))}, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		offset, end int64
		max         int
		first, last int64
	}{
		{10, 210, 1 << 20, 10, 209}, {10, 12, 1 << 20, 10, 11}, {13, 20, 1 << 20, 12, 19}, {150, 152, 1, 150, 151}, {200, 210, 1 << 20, 200, 209},
	} {
		var offsets []int64
		rest, _ := x.from(c.offset, c.end, c.max, true)
		for len(rest) > 0 {
			b, tail, err := batch.Split(rest)
			if err != nil {
				t.Fatal(err)
			}
			offsets = append(offsets, b.BaseOffset(), b.LastOffset())
			rest = tail
		}
		if len(offsets) == 0 || offsets[0] != c.first || offsets[len(offsets)-1] != c.last || !slices.IsSorted(offsets) {
			t.Errorf("from %d to %d: %v", c.offset, c.end, offsets)
		}
	}
}

// Many readers of many runs of one block: each run is patched once, by whoever is first, and whoever has it may read it
// while others are patched (Regression R16; run with -race).
func TestReadersShareABlock(t *testing.T) {
	b := one(t, 300)
	x := &block{data: bytes.Repeat(b, 50)}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range 50 {
				p, err := x.run(state.Run{Base: int64(i), Last: int64(i), Length: uint32(len(b))}, int64(i*len(b)))
				if err != nil {
					t.Error(err)
					return
				}
				if got := batch.Batch(p.data); got.BaseOffset() != int64(i) || got.CRC() != got.ComputeCRC() {
					t.Errorf("run %d is at %d", i, got.BaseOffset())
				}
			}
		})
	}
	wg.Wait()
}
