package keycompact

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"wadi/internal/batch"
)

// old lets what was written so far become old enough.
func (r *rig) old() { r.now += 10_000 }

// Of each key the last record stays, at its offset, and what is too young stays as it is.
func TestKeepsTheLastOfEachKey(t *testing.T) {
	r := newRig(t, 1, Config{})
	r.write(nil, 0, batch.Gzip, false, kv{"a", "1"}, kv{"b", "1"}, kv{"a", "2"})
	r.write(nil, 0, batch.None, true, kv{"a", "3"}, kv{"c", "1"})
	r.old()
	r.write(nil, 0, batch.None, false, kv{"b", "2"})
	r.settle()
	require.Equal(t, []seen{{1, "b", "1", false}, {3, "a", "3", false}, {4, "c", "1", false}, {5, "b", "2", false}}, r.committed(0, 0))
	require.EqualValues(t, 5, r.part(0).CompactedTo)
	list := r.stored(0)
	require.Equal(t, batch.Gzip, list[0].Codec())
	require.EqualValues(t, []int64{0, 2}, []int64{list[0].BaseOffset(), list[0].LastOffset()})
	r.old()
	r.settle()
	require.Equal(t, []seen{{3, "a", "3", false}, {4, "c", "1", false}, {5, "b", "2", false}}, r.committed(0, 0))
}

// Aborted records and the markers of transactions go; what is open stays in the way. A marker at the end stays until
// something follows it (Semantics line 84).
func TestTransactions(t *testing.T) {
	r := newRig(t, 1, Config{})
	p, q := r.producer("p"), r.producer("q")
	r.write(p, 0, batch.None, false, kv{"a", "1"})
	r.end(p, true)
	r.write(p, 0, batch.None, false, kv{"a", "aborted"}, kv{"b", "aborted"})
	r.end(p, false) // 4
	r.old()
	r.settle()
	require.Equal(t, []seen{{0, "a", "1", false}}, r.committed(0, 0))
	list := r.stored(0)
	require.Len(t, list, 2)
	require.True(t, list[1].Control())
	require.Len(t, r.part(0).Aborted(0, 10, nil), 1, "the abort whose marker is still there")
	r.write(q, 0, batch.None, false, kv{"a", "open"}) // 5
	r.write(nil, 0, batch.None, false, kv{"a", "2"})  // 6
	r.old()
	r.settle()
	require.EqualValues(t, 5, r.part(0).CompactedTo)
	r.end(q, false) // 7
	r.write(nil, 0, batch.None, false, kv{"c", "2"})
	r.old()
	r.settle()
	require.Equal(t, []seen{{6, "a", "2", false}, {8, "c", "2", false}}, r.committed(0, 0))
	require.Len(t, r.stored(0), 2)
	require.Empty(t, r.part(0).Aborted(0, 10, nil))
}

// Tombstones stay for delete.retention.ms after the first compaction that meets them (KIP-534), and the last record always.
func TestTombstones(t *testing.T) {
	r := newRig(t, 1, Config{})
	r.write(nil, 0, batch.LZ4, false, kv{"a", "1"}, kv{"b", "1"})
	r.write(nil, 0, batch.LZ4, false, tombstone("a"), kv{"b", "2"})
	r.write(nil, 0, batch.LZ4, false, tombstone("c"))
	r.old()
	r.settle()
	require.Equal(t, []seen{{2, "a", "", true}, {3, "b", "2", false}, {4, "c", "", true}}, r.committed(0, 0))
	for _, b := range r.stored(0) {
		ms, ok := b.DeleteHorizon()
		require.True(t, ok)
		require.Equal(t, r.now+5000, ms)
	}
	r.now += 2000
	r.write(nil, 0, batch.None, false, kv{"d", "1"})
	r.now += 2999
	r.settle()
	require.Len(t, r.committed(0, 0), 4, "a reader has delete.retention.ms to see them")
	r.write(nil, 0, batch.None, false, tombstone("b"))
	r.now += 1000
	r.settle()
	require.Equal(t, []seen{{5, "d", "1", false}, {6, "b", "", true}}, r.committed(0, 0))
	r.old()
	r.settle()
	require.Len(t, r.committed(0, 0), 2, "nothing is dirty")
}

// A partition is due when enough of it is dirty, or when something lags.
func TestWhatIsDue(t *testing.T) {
	r := newRig(t, 2, Config{})
	r.configs.MinDirtyRatio = 0.5
	value := string(slices.Repeat([]byte("x"), 1000))
	for range 10 {
		r.write(nil, 0, batch.None, false, kv{string(rune('a' + r.part(0).Next)), value})
	}
	r.old()
	due := Plan(r.view(), readable(r.env, r.s))
	require.Len(t, due, 1)
	require.Equal(t, 1.0, due[0].Ratio)
	r.settle()
	for i := range 12 {
		r.write(nil, 0, batch.None, false, kv{"z", value})
		r.old()
		require.Equal(t, i >= 10, len(Plan(r.view(), readable(r.env, r.s))) > 0, "after %d writes to 10", i+1)
	}
	r.settle()
	require.Len(t, r.committed(0, 0), 11)
	r.write(nil, 0, batch.None, false, kv{"y", value})
	r.configs.MaxCompactionLagMs = 20_000
	r.now += 19_998 // a record is from the ms before
	require.Empty(t, Plan(r.view(), readable(r.env, r.s)))
	r.now++
	require.Len(t, Plan(r.view(), readable(r.env, r.s)), 1)
	require.True(t, Plan(r.view(), readable(r.env, r.s))[0].Lags)
	r.configs.MinCompactionLagMs = 30_000
	require.Empty(t, Plan(r.view(), readable(r.env, r.s)))
	r.configs.MinCompactionLagMs = 0
	r.clock = errClock
	require.Empty(t, Plan(r.view(), readable(r.env, r.s)), "nobody knows how old it is")
	r.configs.SegmentBytes = 2000
	for range 30 {
		r.write(nil, 0, batch.None, false, kv{"x", value})
	}
	require.Len(t, Plan(r.view(), readable(r.env, r.s)), 1)
	r.settle()
	require.EqualValues(t, r.part(0).Next-2, r.part(0).CompactedTo, "what segment.bytes follow")
}
