package fetch

import (
	"bytes"
	"context"
	"math"

	"pgregory.net/rapid"

	"wadi/metadata/manifest"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/state"
	"wadi/objstore"
)

// unfold brings the runs of up to n of the last objects of a partition's manifest back, and the aborted transactions that
// end in them; with none it brings up to ahead of those alone. Another manifest lists the rest. It returns how many runs came.
func (r *rig) unfold(t rapid.TB, partition int32, n, ahead int) int {
	t.Helper()
	ctx := context.Background()
	must := func(e error) {
		t.Helper()
		if e != nil {
			t.Fatal(e)
		}
	}
	k := &pb.UnfoldRuns{Topic: r.topic, Partition: uint32(partition)}
	var old *manifest.Reader
	var m state.Manifest
	var id state.TopicID
	r.v.Read(func(s *state.State) {
		x := s.TopicByNumber(r.topic)
		p := x.Partition(partition)
		if p.Manifest == nil {
			return
		}
		id, m, k.Version, k.Old, k.Released = x.ID, *p.Manifest, p.Version, p.Manifest.Object, p.Manifest.Released
		o, _ := s.Object(m.Object)
		var err error
		old, err = manifest.Open(ctx, r.mem, o.Key(objects), o.Size)
		must(err)
	})
	if old == nil {
		return 0
	}
	list, err := old.ObjectsFrom(ctx, m.Released, math.MaxInt32)
	must(err)
	stay := max(len(list)-n, 0)
	last := m.First - 1
	if stay > 0 {
		last = list[stay-1].Last
	}
	var out bytes.Buffer
	w, err := manifest.NewWriter(&out, id, partition)
	must(err)
	ms := int64(0)
	must(old.EachRun(ctx, func(x manifest.Run) error {
		switch {
		case x.Base < m.First:
		case x.Last <= last:
			return w.Run(x.Base, x.Last, x.MaxTimestamp, x.Index-m.Released, x.Offset, x.Length)
		default:
			if i := int(x.Index-m.Released) - stay; i == len(k.Ns) {
				o := x.Object
				k.Sessions, k.Ns, k.Sizes = append(k.Sessions, int64(o.Session)), append(k.Ns, o.N), append(k.Sizes, o.Size)
				k.Introduced, k.ObjectRuns = append(k.Introduced, o.Introduced), append(k.ObjectRuns, 0)
			}
			k.ObjectRuns[len(k.Ns)-1]++
			k.RunCounts, k.MaxTimestamps = append(k.RunCounts, uint64(x.Last-x.Base+1)), append(k.MaxTimestamps, x.MaxTimestamp-ms)
			k.Offsets, k.Lengths, ms = append(k.Offsets, uint64(x.Offset)), append(k.Lengths, x.Length), x.MaxTimestamp
		}
		return nil
	}))
	for _, o := range list[:stay] {
		must(w.Object(o))
	}
	aborted, err := old.Aborted(ctx, m.First, m.Last)
	must(err)
	marker := int64(0)
	for i, a := range aborted {
		switch {
		case a.Last < m.First:
		case a.Last <= last && (n > 0 || i < len(aborted)-ahead):
			must(w.Aborted(a))
		default:
			k.ProducerIds, k.Markers = append(k.ProducerIds, a.ProducerID), append(k.Markers, uint64(a.Last-marker))
			k.Records, k.Stables, marker = append(k.Records, uint64(a.Last-a.First)), append(k.Stables, a.Stable-a.Last), a.Last
		}
	}
	if len(k.RunCounts)+len(k.Markers) == 0 {
		return 0
	}
	if stay > 0 {
		info, err := w.Close()
		must(err)
		r.merges++
		must(r.mem.Put(ctx, objects.Manifest(alice, r.merges), objstore.NewBody(out.Bytes())))
		k.N, k.Size, k.Runs, k.MaxTimestamp = r.merges, w.Size(), info.Runs, info.MaxTimestamp
	}
	r.apply(nil, &pb.Command{Kind: &pb.Command_UnfoldRuns{UnfoldRuns: k}})
	return len(k.RunCounts)
}
