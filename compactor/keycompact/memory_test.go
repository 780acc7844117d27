package keycompact

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"wadi/internal/batch"
)

// A dirty section with more keys than the map takes is compacted run by run, a run with more keys is cut first, and a batch
// with more keys gets through, too. In the end each key is there once.
func TestMoreKeysThanMemory(t *testing.T) {
	for name, c := range map[string]struct {
		slots, perBatch int
		merge           bool
	}{"run by run": {10, 3, false}, "runs are cut": {10, 3, true}, "one run is enough": {200, 3, true}, "batch by batch": {10, 8, true}} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, 1, Config{Memory: int64(2 * c.slots * slotBytes)})
			for round := range 3 {
				for i := 0; i < 40; i += c.perBatch {
					var list []kv
					for k := range c.perBatch {
						list = append(list, kv{fmt.Sprint("k", i+k), fmt.Sprint(round)})
					}
					r.write(nil, 0, batch.Zstd, false, list...)
				}
			}
			if c.merge {
				r.merge(0, 0, r.part(0).Next-1)
			}
			r.old()
			r.settle()
			require.EqualValues(t, r.part(0).Next, r.part(0).CompactedTo)
			got := r.committed(0, 0)
			times := map[string]int{}
			for _, x := range got {
				times[x.key]++
				require.Equal(t, "2", x.value)
			}
			require.Len(t, got, len(times), "a key is left twice")
			require.GreaterOrEqual(t, len(times), 40)
		})
	}
}

// A batch with more keys than the map takes is compacted as far as they are known; nothing of it is lost.
func TestBatchWithMoreKeysThanMemory(t *testing.T) {
	r := newRig(t, 1, Config{Memory: 2 * 4 * slotBytes})
	var list []kv
	for i := range 20 {
		list = append(list, kv{fmt.Sprint("k", i), "1"})
	}
	r.write(nil, 0, batch.None, false, list...)
	r.write(nil, 0, batch.None, false, list...)
	r.old()
	r.settle()
	newest := map[string]int64{}
	for _, x := range r.committed(0, 0) {
		newest[x.key] = x.offset
	}
	for i := range 20 {
		require.EqualValues(t, 20+i, newest[fmt.Sprint("k", i)])
	}
	require.Less(t, len(r.committed(0, 0)), 40)
}

// The map of keys is a map, as long as there is room.
func TestKeyMapAgainstMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var m keyMap
		for range 3 {
			keys := rapid.Int64Range(0, 50).Draw(t, "keys")
			m.reset(keys, rapid.Int64Range(0, 80*slotBytes).Draw(t, "bytes"))
			twin := map[string]int64{}
			for o := range rapid.Int64Range(0, 100).Draw(t, "puts") {
				k := rapid.StringN(0, 1, 1).Draw(t, "key")
				_, known := twin[k]
				if ok := m.put(hashOf([]byte(k)), o); ok {
					twin[k] = o
				} else if known || m.used < m.limit {
					t.Fatalf("no room for %q among %d of %d", k, m.used, m.limit)
				}
			}
			for k, o := range twin {
				if got := m.last(hashOf([]byte(k))); got != o {
					t.Fatalf("%q was last at %d, not %d", k, o, got)
				}
			}
			if m.last(hashOf([]byte("other"))) != -1 || m.used != len(twin) {
				t.Fatal("keys that were never there")
			}
		}
	})
}
