package keycompact

import (
	"context"

	"wadi/metadata/manifest"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/state"
	"wadi/objstore"
)

// manifest opens a partition's manifest, nil when it has none.
func (r *rig) manifest(partition int32) *manifest.Reader {
	r.t.Helper()
	m := r.part(partition).Manifest
	if m == nil {
		return nil
	}
	o, ok := r.s.Object(m.Object)
	if !ok {
		r.t.Fatalf("manifest %+v has no object", *m)
	}
	x, err := manifest.Open(context.Background(), r.mem, o.Key(objects), o.Size)
	if err != nil {
		r.t.Fatal(err)
	}
	if i := x.Info(); i.Last != m.Last || i.Runs != m.Runs || i.Objects != m.Owned || i.MaxTimestamp != m.MaxTimestamp || m.Released == 0 && i.Bytes != m.Bytes {
		r.t.Fatalf("the manifest holds %+v, State says %+v", i, *m)
	}
	return x
}

// folded are the runs that a partition's manifest lists and has not released.
func (r *rig) folded(partition int32) (list []manifest.Run) {
	if x := r.manifest(partition); x != nil {
		var err error
		if list, err = x.RunsFrom(context.Background(), r.part(partition).Manifest.First, 1<<20); err != nil {
			r.t.Fatal(err)
		}
	}
	return list
}

// foldedAborted are the aborted transactions that a partition's manifest lists, of some offsets.
func (r *rig) foldedAborted(partition int32, from, to int64) (list []state.AbortedTxn) {
	if x := r.manifest(partition); x != nil {
		var err error
		if list, err = x.Aborted(context.Background(), from, to); err != nil {
			r.t.Fatal(err)
		}
	}
	return list
}

// fold is what another process does: the runs up to an offset, each of which lies alone in an object, go into a manifest.
func (r *rig) fold(partition int32, last int64) {
	r.t.Helper()
	p := r.part(partition)
	old, m := r.folded(partition), state.Manifest{}
	aborted := []state.AbortedTxn{}
	if p.Manifest != nil {
		m = *p.Manifest
		for _, a := range r.foldedAborted(partition, m.First, m.Last) {
			if a.Last >= m.First {
				aborted = append(aborted, a)
			}
		}
	}
	var file buffer
	w, err := manifest.NewWriter(&file, r.s.TopicByNumber(topic).ID, partition)
	if err != nil {
		r.t.Fatal(err)
	}
	var owned []manifest.Object
	index := -1
	add := func(x state.Run, o manifest.Object) {
		if index < 0 || owned[index].Number != o.Number {
			owned, index = append(owned, o), index+1
		}
		if err := w.Run(x.Base, x.Last, x.MaxTimestamp, uint32(index), x.Offset, x.Length); err != nil {
			r.t.Fatal(err)
		}
	}
	for _, x := range old {
		add(x.Run, x.Object)
	}
	for _, x := range p.RunsFrom(0, 1<<20, 1<<40, nil) {
		if x.Last <= last {
			o, _ := r.s.Object(x.Place)
			add(x, manifest.Object{Number: x.Place, Session: o.Session, N: o.N, Size: o.Size, Introduced: o.Introduced})
		}
	}
	for _, o := range owned {
		if err := w.Object(o); err != nil {
			r.t.Fatal(err)
		}
	}
	p.EachAborted(func(a state.AbortedTxn) { aborted = append(aborted, a) })
	for _, a := range aborted {
		if a.Last > last {
			break
		}
		if err := w.Aborted(a); err != nil {
			r.t.Fatal(err)
		}
	}
	i, err := w.Close()
	if err != nil {
		r.t.Fatal(err)
	}
	defer r.away()()
	if err := r.mem.Put(context.Background(), objects.Manifest(elsewhere, r.merges), objstore.NewBody(file)); err != nil {
		r.t.Fatal(err)
	}
	r.do(&pb.Command{Kind: &pb.Command_FoldRuns{FoldRuns: &pb.FoldRuns{
		N: r.merges, Size: w.Size(), Topic: topic, Partition: uint32(partition), Version: p.Version, Old: m.Object, Released: m.Released,
		First: i.First, Last: last, Runs: i.Runs, Owned: i.Objects, Bytes: uint64(i.Bytes), MaxTimestamp: i.MaxTimestamp,
	}}})
}

// release is what another process does: what a partition's manifest lists below the log start is garbage.
func (r *rig) release(partition int32) {
	r.t.Helper()
	x := r.manifest(partition)
	if x == nil {
		return
	}
	p := r.part(partition)
	k := &pb.ReleaseObjects{Manifest: p.Manifest.Object, Topic: topic, Partition: uint32(partition), Released: p.Manifest.Released}
	list, err := x.ObjectsFrom(context.Background(), k.Released, 1000)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, o := range list {
		if o.Last >= p.LogStart {
			break
		}
		k.Sessions, k.Ns, k.Sizes = append(k.Sessions, int64(o.Session)), append(k.Ns, o.N), append(k.Sizes, o.Size)
		k.Bytes, k.Introduced, k.Lasts = append(k.Bytes, uint64(o.Bytes)), append(k.Introduced, o.Introduced), append(k.Lasts, o.Last)
	}
	if len(k.Ns) > 0 {
		r.do(&pb.Command{Kind: &pb.Command_ReleaseObjects{ReleaseObjects: k}})
	}
}

type buffer []byte

func (b *buffer) Write(p []byte) (int, error) {
	*b = append(*b, p...)
	return len(p), nil
}
