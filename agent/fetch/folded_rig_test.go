package fetch

import (
	"bytes"
	"context"
	"math"
	"slices"

	"pgregory.net/rapid"

	"wadi/internal/batch"
	"wadi/metadata/manifest"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/state"
	"wadi/objstore"
)

// mergeRuns writes up to n of a partition's first runs that are in no merged object, one by one, into one: markers as
// batches. Without any below the last stable offset it does nothing.
func (r *rig) mergeRuns(t rapid.TB, partition int32, n int) {
	t.Helper()
	var runs []state.Run
	var version uint64
	r.v.Read(func(s *state.State) {
		p := s.TopicByNumber(r.topic).Partition(partition)
		p.EachRun(func(x state.Run) {
			if !x.Placed() && x.Last < p.LSO() && len(runs) < n {
				runs = append(runs, x)
			}
		})
		version = p.Version
	})
	if len(runs) == 0 {
		return
	}
	r.merges++
	k := &pb.ReplaceRuns{
		N: r.merges, Topics: []uint64{r.topic}, Partitions: []uint32{uint32(partition)}, Versions: []uint64{version},
		Bases: []int64{runs[0].Base}, Lasts: []int64{runs[len(runs)-1].Last}, Runs: []uint32{uint32(len(runs))},
	}
	data, before := []byte("a merged segment"), int64(0)
	for _, x := range runs {
		b := r.bytesOf(t, partition, x)
		k.RunCounts, k.MaxTimestamps = append(k.RunCounts, uint64(x.Last-x.Base+1)), append(k.MaxTimestamps, x.MaxTimestamp-before)
		k.Offsets, k.Lengths = append(k.Offsets, uint64(len(data))), append(k.Lengths, uint32(len(b)))
		before = x.MaxTimestamp
		data = append(data, b...)
	}
	k.Size = uint64(len(data))
	if err := r.mem.Put(context.Background(), objects.Merged(alice, r.merges), objstore.NewBody(data)); err != nil {
		t.Fatal(err)
	}
	r.apply(nil, &pb.Command{Kind: &pb.Command_ReplaceRuns{ReplaceRuns: k}})
}

// fold moves the runs of up to n of a partition's first merged objects into its manifest. It returns how many runs went.
func (r *rig) fold(t rapid.TB, partition int32, n int) int {
	t.Helper()
	ctx := context.Background()
	var runs []state.Run
	var stored []manifest.Object
	var aborted []state.AbortedTxn
	var old *manifest.Reader
	k := &pb.FoldRuns{Topic: r.topic, Partition: uint32(partition)}
	id := state.TopicID{}
	r.v.Read(func(s *state.State) {
		x := s.TopicByNumber(r.topic)
		p := x.Partition(partition)
		id, k.Version = x.ID, p.Version
		if m := p.Manifest; m != nil {
			o, _ := s.Object(m.Object)
			var err error
			if old, err = manifest.Open(ctx, r.mem, o.Key(objects), o.Size); err != nil {
				t.Fatal(err)
			}
			k.Old, k.Released, k.First = m.Object, m.Released, m.First
		}
		ended := false
		p.EachRun(func(y state.Run) {
			if ended = ended || !y.Placed() || y.Last < p.LogStart; ended {
				return
			}
			if i := len(stored); i == 0 || stored[i-1].Number != y.Place {
				if i == n {
					ended = true
					return
				}
				o, _ := s.Object(y.Place)
				stored = append(stored, manifest.Object{Number: y.Place, Session: o.Session, N: o.N, Size: o.Size, Introduced: o.Introduced})
			}
			runs = append(runs, y)
		})
		if len(runs) > 0 {
			k.Last = runs[len(runs)-1].Last
			p.EachAborted(func(a state.AbortedTxn) {
				if a.Last <= k.Last {
					aborted = append(aborted, a)
				}
			})
		}
	})
	if len(runs) == 0 {
		return 0
	}
	if old == nil {
		k.First = runs[0].Base
	}
	var out bytes.Buffer
	w, err := manifest.NewWriter(&out, id, partition)
	must := func(e error) {
		t.Helper()
		if e != nil {
			t.Fatal(e)
		}
	}
	must(err)
	var list []manifest.Object
	if old != nil {
		list, err = old.ObjectsFrom(ctx, k.Released, math.MaxInt32)
		must(err)
		must(old.EachRun(ctx, func(y manifest.Run) error {
			if y.Base < k.First {
				return nil
			}
			return w.Run(y.Base, y.Last, y.MaxTimestamp, y.Index-k.Released, y.Offset, y.Length)
		}))
		before, err := old.Aborted(ctx, k.First, math.MaxInt64)
		must(err)
		aborted = append(before, aborted...)
	}
	list = append(list, stored...)
	for _, y := range runs {
		i := slices.IndexFunc(list, func(o manifest.Object) bool { return o.Number == y.Place })
		must(w.Run(y.Base, y.Last, y.MaxTimestamp, uint32(i), y.Offset, y.Length))
	}
	for _, o := range list {
		must(w.Object(o))
	}
	for _, a := range aborted {
		if a.Last >= k.First {
			must(w.Aborted(a))
		}
	}
	info, err := w.Close()
	must(err)
	r.merges++
	must(r.mem.Put(ctx, objects.Manifest(alice, r.merges), objstore.NewBody(out.Bytes())))
	k.N, k.Size, k.Runs, k.Owned, k.Bytes, k.MaxTimestamp = r.merges, w.Size(), info.Runs, info.Objects, uint64(info.Bytes), info.MaxTimestamp
	r.apply(nil, &pb.Command{Kind: &pb.Command_FoldRuns{FoldRuns: k}})
	return len(runs)
}

// release frees the objects of a partition's manifest that lie below the log start, and takes them out of the store.
func (r *rig) release(t rapid.TB, partition int32) {
	t.Helper()
	ctx := context.Background()
	k := &pb.ReleaseObjects{Topic: r.topic, Partition: uint32(partition)}
	var gone []string
	r.v.Read(func(s *state.State) {
		p := s.TopicByNumber(r.topic).Partition(partition)
		m := p.Manifest
		if m == nil {
			return
		}
		o, _ := s.Object(m.Object)
		x, err := manifest.Open(ctx, r.mem, o.Key(objects), o.Size)
		if err != nil {
			t.Fatal(err)
		}
		list, err := x.ObjectsFrom(ctx, m.Released, 1000)
		if err != nil {
			t.Fatal(err)
		}
		k.Manifest, k.Released = m.Object, m.Released
		for _, o := range list {
			if o.Last >= p.LogStart {
				break
			}
			k.Sessions, k.Ns, k.Sizes = append(k.Sessions, int64(o.Session)), append(k.Ns, o.N), append(k.Sizes, o.Size)
			k.Bytes, k.Introduced, k.Lasts = append(k.Bytes, uint64(o.Bytes)), append(k.Introduced, o.Introduced), append(k.Lasts, o.Last)
			gone = append(gone, o.Key(objects))
		}
	})
	if len(gone) == 0 {
		return
	}
	r.apply(nil, &pb.Command{Kind: &pb.Command_ReleaseObjects{ReleaseObjects: k}})
	if err := r.mem.Delete(ctx, gone); err != nil {
		t.Fatal(err)
	}
}

// sweep drops the runs below the log start.
func (r *rig) sweep() {
	r.apply(nil, &pb.Command{Kind: &pb.Command_Sweep{Sweep: &pb.Sweep{Limit: 1000}}})
}

// manifestKey is the key of a partition's manifest, "" when it has none.
func (r *rig) manifestKey(partition int32) (key string) {
	r.v.Read(func(s *state.State) {
		if m := s.TopicByNumber(r.topic).Partition(partition).Manifest; m != nil {
			o, _ := s.Object(m.Object)
			key = o.Key(objects)
		}
	})
	return key
}

// batches are the base offsets of what was read.
func basesOf(data []byte) (list []int64) {
	for len(data) > 0 {
		b, rest, err := batch.Split(data)
		if err != nil {
			return append(list, -1)
		}
		list, data = append(list, b.BaseOffset()), rest
	}
	return list
}
