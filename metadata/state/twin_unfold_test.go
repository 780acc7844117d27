package state

import (
	"math"
	"slices"

	"pgregory.net/rapid"

	"wadi/internal/layout"
	pb "wadi/metadata/metadatapb"
)

// unfolded is an UnfoldRuns without its columns: offsets are counted from the first one of what comes back.
type unfolded struct {
	objects []twinOwned
	runs    int
	covers  int64
	bytes   uint64
	aborted []AbortedTxn
}

// columns is false for columns that do not fit each other or pass the bounds.
func (w *twin) columns(k *pb.UnfoldRuns) (x unfolded, ok bool) {
	objects, runs, aborted := len(k.Ns), len(k.RunCounts), len(k.Markers)
	for _, n := range []int{len(k.Sessions), len(k.Sizes), len(k.Introduced), len(k.ObjectRuns)} {
		if n != objects {
			return x, false
		}
	}
	if len(k.MaxTimestamps) != runs || len(k.Offsets) != runs || len(k.Lengths) != runs {
		return x, false
	}
	if len(k.Records) != aborted || len(k.Stables) != aborted || len(k.ProducerIds) != aborted {
		return x, false
	}
	if objects > 1000 || runs > 20_000 || aborted > 20_000 || runs+aborted == 0 || k.Size > math.MaxUint32 {
		return x, false
	}
	if stays := k.N > 0; stays != (k.Size > 0) || stays != (k.Runs > 0) {
		return x, false
	}
	ms := int64(0)
	for i := range k.Ns {
		o := twinOwned{Object: Object{
			Session: layout.Session(k.Sessions[i]), N: k.Ns[i], Kind: MergedObject, Size: k.Sizes[i], Introduced: k.Introduced[i],
		}}
		if o.N == 0 || o.Size > math.MaxUint32 || o.Introduced < 1 || o.Introduced >= w.position || k.ObjectRuns[i] == 0 {
			return x, false
		}
		for range k.ObjectRuns[i] {
			at := x.runs
			if at == runs || k.RunCounts[at] == 0 || k.RunCounts[at] > 1<<40 || k.Lengths[at] == 0 || k.Offsets[at]+uint64(k.Lengths[at]) > o.Size {
				return x, false
			}
			ms += k.MaxTimestamps[at]
			o.runs = append(o.runs, Run{
				Base: x.covers, Last: x.covers + int64(k.RunCounts[at]) - 1, MaxTimestamp: ms, Offset: uint32(k.Offsets[at]),
				Length: k.Lengths[at], Flags: RunPlaced,
			})
			x.runs, x.covers, x.bytes = at+1, x.covers+int64(k.RunCounts[at]), x.bytes+uint64(k.Lengths[at])
		}
		x.objects = append(x.objects, o)
	}
	marker := int64(0)
	for i := range k.Markers {
		marker += int64(k.Markers[i])
		x.aborted = append(x.aborted, AbortedTxn{
			ProducerID: k.ProducerIds[i], First: marker - int64(k.Records[i]), Last: marker, Stable: marker + k.Stables[i],
		})
	}
	return x, x.runs == runs
}

func (w *twin) unfoldRuns(k *pb.UnfoldRuns) Result {
	x, ok := w.columns(k)
	if !ok {
		return Result{Code: Invalid}
	}
	if k.N == 0 {
		return Result{Code: w.unfoldIn(k, x, 0)}
	}
	v := w.sessions[w.session]
	if k.N <= v.LastMerge {
		return Result{Code: FlushReused}
	}
	v.LastMerge = k.N
	w.objects = append(w.objects, &twinObject{Object: Object{
		Session: w.session, N: k.N, Kind: ManifestObject, Size: k.Size, Introduced: w.position,
	}})
	number := uint64(len(w.objects))
	return Result{Code: w.unfoldIn(k, x, number), ID: int64(number)}
}

func (w *twin) unfoldIn(k *pb.UnfoldRuns, x unfolded, number uint64) Code {
	t := w.live(k.Topic)
	if t == nil || int(k.Partition) >= len(t.parts) {
		return UnknownTopic
	}
	p := t.parts[k.Partition]
	if p.manifest == nil || p.version != k.Version || p.manifest.Object != k.Old || p.manifest.Released != k.Released {
		return Conflict
	}
	m := *p.manifest
	held := m.Last - m.First + 1
	owned := int(m.Owned-m.Released) - len(x.objects)
	switch {
	case x.covers > held || x.bytes > uint64(m.Bytes) || owned < 0 || int(k.Runs)+x.runs > int(m.Runs):
		return Invalid
	case (k.N == 0) != (x.covers == held) || (k.N == 0) != (owned == 0):
		return Invalid
	}
	before := int64(-1)
	for i, a := range x.aborted {
		if a.Last <= before || a.Last < m.First || a.Last > m.Last || len(p.aborted) > 0 && a.Last >= p.aborted[0].Last ||
			a.ProducerID < 0 || a.First < 0 || a.First >= a.Last || a.Stable < 0 || a.Stable > a.Last+1 {
			return Invalid
		}
		before = a.Last
		x.aborted[i].Stable = 0 // the twin looks at all of them
	}
	var come []twinBatch
	last := m.Last - x.covers
	for _, o := range x.objects {
		w.objects = append(w.objects, &twinObject{Object: o.Object, released: true})
		for _, r := range o.runs {
			r.Base, r.Last, r.Place = r.Base+last+1, r.Last+last+1, uint64(len(w.objects))
			come = append(come, twinBatch{base: r.Base, last: r.Last, maxTimestamp: r.MaxTimestamp, position: w.position, whole: &r})
		}
	}
	p.batches = append(come, p.batches...)
	p.aborted = append(x.aborted, p.aborted...)
	p.version++
	if p.manifest = nil; k.N != 0 {
		rest := &twinManifest{topic: m.topic, partition: m.partition, list: m.list[m.Released:][:owned], Manifest: Manifest{
			Object: number, First: m.First, Last: last, Runs: k.Runs, Owned: uint32(owned), Bytes: m.Bytes - int64(x.bytes), MaxTimestamp: k.MaxTimestamp,
		}}
		rest.aborted = slices.DeleteFunc(slices.Clone(m.aborted), func(a AbortedTxn) bool { return len(p.aborted) > 0 && a.Last >= p.aborted[0].Last })
		if p.manifest = rest; last < p.start {
			w.loose[number], p.manifest = rest, nil
		}
	}
	w.queueSpent(p, trimmed{t.Number, k.Partition})
	return OK
}

// unfold mostly draws what a manifest can give back.
func (d *drawing) unfold(t *rapid.T) *pb.Command {
	all := slices.DeleteFunc(d.w.manifests(), func(m *twinManifest) bool { return d.w.live(m.topic) == nil || d.w.loose[m.Object] != nil })
	slices.SortFunc(all, func(a, b *twinManifest) int { return int(a.Object) - int(b.Object) })
	if len(all) == 0 {
		if !rarely(t, "unfold nothing") {
			return d.fold(t)
		}
		k := &pb.UnfoldRuns{Markers: []uint64{1}, Records: []uint64{1}, Stables: []int64{0}, ProducerIds: []int64{1}}
		k.Topic, k.Partition = d.partition(t)
		return &pb.Command{Kind: &pb.Command_UnfoldRuns{UnfoldRuns: k}}
	}
	m := rapid.SampledFrom(all).Draw(t, "manifest")
	p := d.w.live(m.topic).parts[m.partition]
	list := m.list[m.Released:]
	if len(list) == 1 && rapid.IntRange(0, 3).Draw(t, "as it is") > 0 {
		if c := d.another(m, p); c != nil {
			return c
		}
	}
	stay := len(list) - rapid.IntRange(1, len(list)).Draw(t, "how many come")
	if rarely(t, "none comes") {
		stay = len(list)
	}
	k := &pb.UnfoldRuns{Topic: m.topic, Partition: m.partition, Version: p.version, Old: m.Object, Released: m.Released}
	if stay > 0 {
		k.N, k.Size, k.MaxTimestamp = d.merge, uint64(rapid.IntRange(1, 30).Draw(t, "size")), rapid.Int64Range(0, 9).Draw(t, "time")
		d.merge++
	}
	last, ms := m.First-1, int64(0)
	for i, o := range list {
		if i < stay {
			k.Runs, last = k.Runs+uint32(len(o.runs)), o.last
			continue
		}
		k.Sessions, k.Ns, k.Sizes = append(k.Sessions, int64(o.Session)), append(k.Ns, o.N), append(k.Sizes, o.Size)
		k.Introduced, k.ObjectRuns = append(k.Introduced, o.Introduced), append(k.ObjectRuns, uint32(len(o.runs)))
		for _, r := range o.runs {
			k.RunCounts, k.MaxTimestamps = append(k.RunCounts, uint64(r.Last-r.Base+1)), append(k.MaxTimestamps, r.MaxTimestamp-ms)
			k.Offsets, k.Lengths, ms = append(k.Offsets, uint64(r.Offset)), append(k.Lengths, r.Length), r.MaxTimestamp
		}
	}
	if stay > 0 && rarely(t, "aborted transactions that stay come, too") {
		last = m.First - 1
	}
	marker, aborted := int64(0), m.aborted
	if len(aborted) == 0 && m.Last > max(last, 0) && rapid.Bool().Draw(t, "aborted") { // State does not know what the manifest lists
		aborted = []AbortedTxn{{ProducerID: 1, First: rapid.Int64Range(0, m.Last-1).Draw(t, "first record"), Last: m.Last}}
	}
	for i, a := range aborted {
		stable := min(a.Last+1, d.w.stable(p, m.topic, int(m.partition))) // at most where what is aborted later begins
		for _, later := range append(slices.Clone(aborted[i+1:]), p.aborted...) {
			stable = min(stable, later.First)
		}
		if a.Last > last && a.Last >= m.First {
			k.ProducerIds, k.Markers = append(k.ProducerIds, a.ProducerID), append(k.Markers, uint64(a.Last-marker))
			k.Records, k.Stables, marker = append(k.Records, uint64(a.Last-a.First)), append(k.Stables, stable-a.Last), a.Last
		}
	}
	if rapid.IntRange(0, 9).Draw(t, "other unfold") == 9 {
		d.spoil(t, k)
	}
	return &pb.Command{Kind: &pb.Command_UnfoldRuns{UnfoldRuns: k}}
}

// another brings a further object into a manifest: it merges the partition's first run, or folds it; nil: there is none.
func (d *drawing) another(m *twinManifest, p *twinPart) *pb.Command {
	runs := d.w.runs(p)
	if len(runs) == 0 || runs[0].Last >= d.w.stable(p, m.topic, int(m.partition)) || runs[0].Last < p.start {
		return nil
	}
	r := runs[0]
	d.merge++
	if owned, n := d.w.foldable(p, r.Last); owned != nil {
		return &pb.Command{Kind: &pb.Command_FoldRuns{FoldRuns: &pb.FoldRuns{
			N: d.merge - 1, Size: 9, Topic: m.topic, Partition: m.partition, Version: p.version, Old: m.Object, Released: m.Released,
			First: m.First, Last: r.Last, Runs: m.Runs + uint32(n), Owned: m.Owned - m.Released + uint32(len(owned)), Bytes: uint64(m.Bytes) + owned[0].bytes,
		}}}
	}
	return &pb.Command{Kind: &pb.Command_ReplaceRuns{ReplaceRuns: &pb.ReplaceRuns{
		N: d.merge - 1, Size: 7, Topics: []uint64{m.topic}, Partitions: []uint32{m.partition}, Versions: []uint64{p.version}, Bases: []int64{r.Base},
		Lasts: []int64{r.Last}, Runs: []uint32{1}, RunCounts: []uint64{uint64(r.Last - r.Base + 1)}, MaxTimestamps: []int64{3}, Offsets: []uint64{0}, Lengths: []uint32{7},
	}}}
}

// spoil makes something about an unfold wrong, mostly.
func (d *drawing) spoil(t *rapid.T, k *pb.UnfoldRuns) {
	how := rapid.IntRange(0, 15).Draw(t, "how")
	switch {
	case how == 0:
		k.Version++
	case how == 1:
		k.Old++
	case how == 2:
		k.Released++
	case how == 3:
		k.Runs++
	case how == 4:
		k.N = 0
	case how == 5:
		k.Size = 0
	case how == 6:
		k.Ns = append(k.Ns, 1)
	case how <= 11 && len(k.RunCounts) > 0:
		switch how {
		case 7:
			k.RunCounts[0]++
		case 8:
			k.RunCounts[0]--
		case 9:
			k.Lengths[0]++
		case 10:
			k.Introduced[0] = d.w.position + 9
		default:
			k.ObjectRuns[len(k.ObjectRuns)-1]--
		}
	case len(k.Markers) > 0:
		at := len(k.Markers) - 1
		switch how {
		case 12:
			k.Markers[at] = 0
		case 13:
			k.Markers[0]++
		case 14:
			k.Records[at] += rapid.SampledFrom([]uint64{1, 100, math.MaxUint64}).Draw(t, "more records")
		default:
			k.Stables[at] += rapid.Int64Range(-2, 2).Draw(t, "stable")
		}
	}
}
