package keycompact

import (
	"testing"

	"github.com/stretchr/testify/require"

	"wadi/internal/batch"
	pb "wadi/metadata/metadatapb"
)

// fold merges a partition's runs up to an offset and moves them into a manifest, which nobody reads here.
func (r *rig) fold(partition int32, last int64) {
	r.t.Helper()
	first := r.part(partition).LogStart
	r.merge(partition, first, last)
	o, _ := r.s.Object(r.part(partition).RunsFrom(first, 1, 1, nil)[0].Place)
	mine := r.session
	r.session = elsewhere
	defer func() { r.session = mine }()
	r.merges++
	r.do(&pb.Command{Kind: &pb.Command_FoldRuns{FoldRuns: &pb.FoldRuns{
		N: r.merges, Size: 1, Topic: topic, Partition: uint32(partition), Version: r.part(partition).Version,
		First: first, Last: last, Runs: 1, Owned: 1, Bytes: o.Size,
	}}})
}

// What a manifest holds is not compacted, so a transaction that was aborted with records there keeps its marker. Another
// one that began before that marker and ended behind it keeps its own, too: some of its records stay where they are.
func TestAbortedAcrossTheStart(t *testing.T) {
	r := newRig(t, 1, Config{})
	a, b := r.producer("a"), r.producer("b")
	r.write(nil, 0, batch.None, false, kv{"k", "0"})   // 0
	r.write(a, 0, batch.None, false, kv{"k", "a"})     // 1
	r.write(nil, 0, batch.None, false, kv{"x", "own"}) // 2
	r.write(b, 0, batch.None, false, kv{"l", "b"})     // 3
	r.end(a, false)                                    // 4
	r.write(nil, 0, batch.None, false, kv{"m", "1"})   // 5
	r.write(b, 0, batch.None, false, kv{"l", "b2"})    // 6
	r.end(b, false)                                    // 7
	r.write(nil, 0, batch.None, false, kv{"n", "1"})   // 8
	r.write(nil, 0, batch.None, false, kv{"n", "2"})   // 9
	r.fold(0, 1)
	want := []seen{{2, "x", "own", false}, {5, "m", "1", false}, {8, "n", "1", false}, {9, "n", "2", false}}
	require.Equal(t, want, r.committed(0, 2))
	r.old()
	r.settle()
	require.Equal(t, []seen{{2, "x", "own", false}, {5, "m", "1", false}, {9, "n", "2", false}}, r.committed(0, 2))
}

// The run that holds the marker is merged with what follows it: the compaction begins behind all of that run.
func TestAbortedWithinTheRunInFront(t *testing.T) {
	r := newRig(t, 1, Config{})
	a, b := r.producer("a"), r.producer("b")
	r.write(nil, 0, batch.None, false, kv{"k", "0"}) // 0
	r.write(a, 0, batch.None, false, kv{"k", "a"})   // 1
	r.write(nil, 0, batch.None, false, kv{"x", "1"}) // 2
	r.end(a, false)                                  // 3
	r.write(b, 0, batch.None, false, kv{"l", "b"})   // 4
	r.write(nil, 0, batch.None, false, kv{"m", "1"}) // 5
	r.end(b, false)                                  // 6
	r.write(nil, 0, batch.None, false, kv{"n", "1"}) // 7
	r.write(nil, 0, batch.None, false, kv{"n", "2"}) // 8
	r.merge(0, 2, 4)
	r.fold(0, 1)
	r.old()
	r.settle()
	require.Equal(t, []seen{{2, "x", "1", false}, {5, "m", "1", false}, {8, "n", "2", false}}, r.committed(0, 2))
}

// A tombstone in a batch with more keys than the map takes deletes what lies before it for good.
func TestTombstoneThatTheMapHasNoRoomFor(t *testing.T) {
	r := newRig(t, 1, Config{Memory: 2 * 4 * slotBytes})
	r.write(nil, 0, batch.None, false, kv{"d", "1"})
	r.old()
	r.settle()
	r.write(nil, 0, batch.None, false, kv{"a", "1"}, kv{"b", "1"}, kv{"c", "1"}, tombstone("d"), kv{"e", "1"})
	r.old()
	r.settle()
	r.old()
	r.write(nil, 0, batch.None, false, kv{"f", "1"})
	r.old()
	r.settle()
	for _, x := range r.committed(0, 0) {
		require.False(t, x.key == "d" && !x.tomb, "%v was deleted", x)
	}
}
