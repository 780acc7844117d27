package keycompact

import (
	"testing"

	"github.com/stretchr/testify/require"

	"wadi/internal/batch"
	pb "wadi/metadata/metadatapb"
)

// A partition that has a manifest, as its topic was not always a compacted one: what is in it stays, tombstones stay as
// they may be about it, and so does the marker of a transaction that was aborted with records there.
func TestBehindManifest(t *testing.T) {
	r := newRig(t, 1, Config{})
	p := r.producer("p")
	r.write(p, 0, batch.None, false, kv{"x", "aborted"})             // 0
	r.write(nil, 0, batch.None, false, kv{"a", "1"})                 // 1
	r.write(p, 0, batch.None, false, kv{"y", "aborted"})             // 2
	r.end(p, false)                                                  // 3
	r.write(nil, 0, batch.None, false, tombstone("a"), kv{"b", "1"}) // 4, 5
	r.write(nil, 0, batch.None, false, kv{"b", "2"})                 // 6
	r.merge(0, 0, 1)
	r.merge(0, 2, 2)
	mine := r.session
	r.session = elsewhere
	r.merges++
	d := r.part(0)
	r.do(&pb.Command{Kind: &pb.Command_FoldRuns{FoldRuns: &pb.FoldRuns{
		N: r.merges, Size: 100, Topic: topic, Version: d.Version, First: 0, Last: 1, Runs: 1, Owned: 1, Bytes: 100, MaxTimestamp: r.now,
	}}})
	r.session = mine
	require.NotNil(t, r.part(0).Manifest)
	want := r.committed(0, 2)
	r.old()
	r.settle()
	require.Len(t, want, 3)
	require.Equal(t, []seen{want[0], want[2]}, r.committed(0, 2))
	require.Len(t, r.part(0).Aborted(0, 1, nil), 1, "whoever reads the manifest must hear of it")
	require.True(t, r.stored(0)[1].Control())
	r.write(nil, 0, batch.None, false, kv{"c", "1"})
	r.old()
	r.settle()
	require.Equal(t, "a", r.committed(0, 2)[0].key, "what it deletes is in the manifest")
	require.Len(t, r.part(0).Aborted(0, 1, nil), 1)
}
