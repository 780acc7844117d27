package fetch

import (
	"bytes"
	"context"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"wadi/internal/batch"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/state"
	"wadi/objstore"
)

// everything is what a reader gets of a partition from an offset on, fetch after fetch, as one consumer reads it.
func (r *rig) everything(t *rapid.T, partition int32, from int64, limit int) []byte {
	var all []byte
	end := int64(0)
	r.v.Read(func(s *state.State) { end = s.TopicByNumber(r.topic).Partition(partition).Next })
	for next := from; next < end; {
		c := r.fetch(nil, at{partition, next, limit})
		if err := c.Parts[0].Err; err != nil {
			t.Fatalf("offset %d: %v", next, err)
		}
		got := slices.Concat(c.Parts[0].Records...)
		if len(got) == 0 {
			t.Fatalf("nothing at offset %d of %d", next, end)
		}
		all = append(all, got...)
		for len(got) > 0 {
			b, rest, err := batch.Split(got)
			if err != nil {
				t.Fatal(err)
			}
			if b.LastOffset() < next && next == from {
				t.Fatalf("batch %d to %d at offset %d", b.BaseOffset(), b.LastOffset(), next)
			}
			next, got = b.LastOffset()+1, rest
		}
	}
	return all
}

// merge writes a stretch of a partition's runs, by index, into a merged object, without the batches that drop names.
// The last batch of the log stays.
func (r *rig) merge(t *rapid.T, partition int32, from, to int, drop func() bool) {
	var runs []state.Run
	var version uint64
	var end int64
	r.v.Read(func(s *state.State) {
		p := s.TopicByNumber(r.topic).Partition(partition)
		p.EachRun(func(x state.Run) { runs = append(runs, x) })
		version, end = p.Version, p.Next
	})
	var data []byte
	for _, x := range runs[from : to+1] {
		for rest := r.bytesOf(t, partition, x); len(rest) > 0; {
			b, tail, err := batch.Split(rest)
			if err != nil {
				t.Fatal(err)
			}
			if b.LastOffset()+1 == end || !drop() {
				data = append(data, b...)
			}
			rest = tail
		}
	}
	if len(data) == 0 {
		return // no object is empty: the stretch would have to be a longer one
	}
	r.merges++
	if err := r.mem.Put(context.Background(), objects.Merged(alice, r.merges), objstore.NewBody(data)); err != nil {
		t.Fatal(err)
	}
	first, last := runs[from].Base, runs[to].Last
	r.apply(nil, &pb.Command{Kind: &pb.Command_ReplaceRuns{ReplaceRuns: &pb.ReplaceRuns{
		N: r.merges, Size: uint64(len(data)), Topics: []uint64{r.topic}, Partitions: []uint32{uint32(partition)}, Versions: []uint64{version},
		Bases: []int64{first}, Lasts: []int64{last}, Compacted: []bool{true}, Runs: []uint32{1},
		RunCounts: []uint64{uint64(last - first + 1)}, MaxTimestamps: []int64{0}, Offsets: []uint64{0}, Lengths: []uint32{uint32(len(data))},
	}}})
}

// bytesOf are a run's batches as a reader gets them.
func (r *rig) bytesOf(t rapid.TB, partition int32, x state.Run) []byte {
	var p place
	r.v.Read(func(s *state.State) { p = resolve(s, x) })
	data, err := r.log.bytes(context.Background(), &p)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Clone(data)
}

// What readers get is byte for byte the same before and after merging, folding and unfolding, from every offset and in pieces of any size; where
// compaction took batches out, it is what is left, and no reader stands still in front of a gap.
func TestMergedRunsReadTheSame(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		r := newRig(t, 1, 1<<20)
		for range rapid.IntRange(1, 12).Draw(rt, "writes") {
			var batches [][]byte
			for range rapid.IntRange(1, 4).Draw(rt, "batches") {
				batches = append(batches, records(t, rapid.IntRange(1, 200).Draw(rt, "size"), make([]int64, rapid.IntRange(1, 3).Draw(rt, "records"))...))
			}
			if rapid.Bool().Draw(rt, "inline") {
				r.inline(part{0, batches})
			} else {
				r.object(part{0, batches})
			}
		}
		compacts := rapid.Bool().Draw(rt, "compacts")
		limit := rapid.SampledFrom([]int{1, 300, 1000, 1 << 20}).Draw(rt, "limit")
		whole := r.everything(rt, 0, 0, limit)
		for range rapid.IntRange(1, 4).Draw(rt, "merges") {
			n := 0
			r.v.Read(func(s *state.State) { n = s.TopicByNumber(1).Partition(0).Runs() })
			if n > 0 && rapid.Bool().Draw(rt, "fold") {
				n -= r.fold(rt, 0, rapid.IntRange(1, 3).Draw(rt, "objects"))
			}
			if rapid.Bool().Draw(rt, "unfold") {
				n += r.unfold(rt, 0, rapid.IntRange(1, 3).Draw(rt, "objects"), 0)
			}
			if n == 0 {
				break
			}
			from := rapid.IntRange(0, n-1).Draw(rt, "from")
			r.merge(rt, 0, from, rapid.IntRange(from, n-1).Draw(rt, "to"), func() bool { return compacts && rapid.Bool().Draw(rt, "drop") })
		}
		left := r.everything(rt, 0, 0, limit)
		if !compacts && !bytes.Equal(left, whole) {
			rt.Fatalf("%d bytes before, %d after", len(whole), len(left))
		}
		end := int64(0)
		r.v.Read(func(s *state.State) { end = s.TopicByNumber(1).Partition(0).Next })
		for from := range end {
			want := left
			for len(want) > 0 {
				if b, rest, _ := batch.Split(want); b.LastOffset() < from {
					want = rest
					continue
				}
				break
			}
			if got := r.everything(rt, 0, from, limit); !bytes.Equal(got, want) {
				rt.Fatalf("from offset %d: %d bytes, want %d", from, len(got), len(want))
			}
		}
	})
}
