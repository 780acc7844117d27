package state

import (
	"fmt"
	"maps"
	"math"
	"slices"

	"pgregory.net/rapid"

	"wadi/internal/layout"
	pb "wadi/metadata/metadatapb"
)

// twinManifest is a manifest with what its object lists.
type twinManifest struct {
	Manifest
	topic     uint64
	partition uint32
	list      []twinOwned // those released included
	aborted   []AbortedTxn
}

type twinOwned struct {
	Object
	number uint64 // that it had in the table
	last   int64
	bytes  uint64
	runs   []Run
}

func (w *twin) foldRuns(k *pb.FoldRuns) Result {
	if k.N == 0 || k.Size == 0 || k.Size > math.MaxUint32 || k.First < 0 || k.First > k.Last || k.Bytes > math.MaxInt64 {
		return Result{Code: Invalid}
	}
	v := w.sessions[w.session]
	if k.N <= v.LastMerge {
		return Result{Code: FlushReused}
	}
	v.LastMerge = k.N
	number := uint64(len(w.objects) + 1)
	code := w.foldIn(k, number)
	w.objects = append(w.objects, &twinObject{Object: Object{
		Session: w.session, N: k.N, Kind: ManifestObject, Size: k.Size, Introduced: w.position,
	}})
	return Result{Code: code, ID: int64(number)}
}

func (w *twin) foldIn(k *pb.FoldRuns, number uint64) Code {
	t := w.live(k.Topic)
	if t == nil || int(k.Partition) >= len(t.parts) {
		return UnknownTopic
	}
	p := t.parts[k.Partition]
	old := twinManifest{}
	if p.manifest != nil {
		old = *p.manifest
	}
	if p.version != k.Version || old.Object != k.Old || old.Released != k.Released || k.Last < p.start || k.Last >= w.stable(p, t.Number, int(k.Partition)) {
		return Conflict
	}
	owned, n := w.foldable(p, k.Last)
	if owned == nil {
		return Conflict
	}
	first := w.runs(p)[0].Base
	if p.manifest != nil {
		first = old.First
	}
	owned = append(slices.Clone(old.list[old.Released:]), owned...)
	if k.First != first {
		return Conflict
	}
	if int(k.Owned) != len(owned) || int64(k.Runs) < int64(n) {
		return Invalid
	}
	for _, o := range owned {
		w.objects[o.number-1].forgotten = true
	}
	p.batches = slices.DeleteFunc(p.batches, func(b twinBatch) bool { return b.last <= k.Last })
	aborted := slices.Clone(old.aborted)
	p.aborted = slices.DeleteFunc(p.aborted, func(a AbortedTxn) bool {
		if a.Last <= k.Last {
			aborted = append(aborted, a)
		}
		return a.Last <= k.Last
	})
	p.version++
	p.manifest = &twinManifest{topic: t.Number, partition: k.Partition, list: owned, aborted: aborted, Manifest: Manifest{
		Object: number, First: k.First, Last: k.Last, Runs: k.Runs, Owned: k.Owned, Bytes: int64(k.Bytes), MaxTimestamp: k.MaxTimestamp,
	}}
	return OK
}

// foldable are the objects of the runs up to an offset, nil when those cannot be folded.
func (w *twin) foldable(p *twinPart, last int64) (owned []twinOwned, n int) {
	runs := w.runs(p)
	n = slices.IndexFunc(runs, func(r Run) bool { return r.Last == last }) + 1
	in := map[uint64]uint64{}
	for i, r := range runs[:n] {
		if !r.Placed() {
			return nil, 0
		}
		if in[r.Place]++; i == 0 || runs[i-1].Place != r.Place {
			if in[r.Place] > 1 {
				return nil, 0 // others lie in between
			}
			owned = append(owned, twinOwned{Object: w.objects[r.Place-1].Object, number: r.Place})
		}
		o := &owned[len(owned)-1]
		o.last, o.bytes, o.runs = r.Last, o.bytes+uint64(r.Length), append(o.runs, r)
	}
	for number, refs := range in {
		if w.refs(number) != refs {
			return nil, 0
		}
	}
	return owned, n
}

func (w *twin) releaseObjects(k *pb.ReleaseObjects) Result {
	n := len(k.Ns)
	for _, m := range []int{len(k.Sessions), len(k.Sizes), len(k.Bytes), len(k.Introduced), len(k.Lasts)} {
		if m != n {
			return Result{Code: Invalid}
		}
	}
	if n == 0 || n > 1000 {
		return Result{Code: Invalid}
	}
	m, start := w.loose[k.Manifest], int64(math.MaxInt64)
	var p *twinPart
	if m == nil {
		t := w.live(k.Topic)
		if t == nil || int(k.Partition) >= len(t.parts) {
			return Result{Code: UnknownTopic}
		}
		p = t.parts[k.Partition]
		if p.manifest == nil || p.manifest.Object != k.Manifest {
			return Result{Code: Conflict}
		}
		m, start = p.manifest, p.start
	}
	if m.Released != k.Released {
		return Result{Code: Conflict}
	}
	first, left := m.First, m.Bytes
	for i := range n {
		if k.Ns[i] == 0 || k.Sizes[i] > math.MaxUint32 || k.Introduced[i] < 1 || k.Introduced[i] >= w.position ||
			k.Lasts[i] < first || k.Lasts[i] > m.Last || k.Bytes[i] > uint64(left) {
			return Result{Code: Invalid}
		}
		if k.Lasts[i] >= start {
			return Result{Code: Conflict}
		}
		first, left = k.Lasts[i]+1, left-int64(k.Bytes[i])
	}
	owns := int(m.Owned) - int(m.Released) - n
	if owns < 0 || (owns == 0) != (first == m.Last+1) {
		return Result{Code: Invalid}
	}
	for i := range n {
		w.objects = append(w.objects, &twinObject{released: true, Object: Object{
			Session: layout.Session(k.Sessions[i]), N: k.Ns[i], Kind: MergedObject, Size: k.Sizes[i], Introduced: k.Introduced[i],
		}})
	}
	m.First, m.Bytes, m.Released = first, left, m.Released+uint32(n)
	switch {
	case owns > 0:
	case p != nil:
		p.manifest = nil
	default:
		delete(w.loose, m.Object)
	}
	return Result{ID: int64(owns)}
}

// manifests are all that there are.
func (w *twin) manifests() []*twinManifest {
	list := slices.Collect(maps.Values(w.loose))
	for _, t := range w.topics {
		for _, p := range t.parts {
			if p.manifest != nil {
				list = append(list, p.manifest)
			}
		}
	}
	return list
}

func (w *twin) compareManifests(s *State) error {
	var got []Manifest
	s.EachLoose(func(m Manifest) { got = append(got, m) })
	for _, m := range got {
		if want := w.loose[m.Object]; want == nil || want.Manifest != m {
			return fmt.Errorf("manifest %+v, want %+v", m, want)
		}
	}
	if len(got) != len(w.loose) {
		return fmt.Errorf("%d manifests of no partition, want %d", len(got), len(w.loose))
	}
	written := map[ObjectKind]uint64{}
	for _, o := range w.objects {
		if !o.released {
			written[o.Kind] += o.Size
		}
	}
	for kind := FlushObject; kind <= ManifestObject; kind++ {
		if s.Written(kind) != written[kind] {
			return fmt.Errorf("wrote %d bytes of kind %d, want %d", s.Written(kind), kind, written[kind])
		}
	}
	if s.Appended() != w.appended {
		return fmt.Errorf("%d bytes appended, want %d", s.Appended(), w.appended)
	}
	all := map[uint64]Manifest{}
	s.EachManifest(func(m Manifest) { all[m.Object] = m })
	for _, m := range w.manifests() {
		if all[m.Object] != m.Manifest {
			return fmt.Errorf("manifest %d is not among all", m.Object)
		}
		delete(all, m.Object)
	}
	if len(all) > 0 {
		return fmt.Errorf("manifests %v are nowhere", all)
	}
	garbage, garbageBytes, lost, unmerged, unmergedBytes := 0, int64(0), int64(0), 0, int64(0)
	for i, o := range w.objects {
		switch refs := w.refs(uint64(i + 1)); {
		case o.forgotten:
		case refs == 0:
			garbage, garbageBytes, lost = garbage+1, garbageBytes+int64(o.Size), max(lost, o.Lost)
		case o.Kind == FlushObject || o.Kind == FlushHedgeObject:
			unmerged, unmergedBytes = unmerged+1, unmergedBytes+int64(o.Size)
		}
	}
	n, bytes := s.Garbage()
	debt, debtBytes := s.Unmerged()
	if n != garbage || bytes != garbageBytes || s.LastLost() < lost || debt != unmerged || debtBytes != unmergedBytes {
		return fmt.Errorf("garbage %d, %d, last at %d, not merged %d, %d; want %d, %d, %d, %d, %d", n, bytes, s.LastLost(), debt, debtBytes,
			garbage, garbageBytes, lost, unmerged, unmergedBytes)
	}
	var visited []uint64
	s.EachGarbage(func(number uint64, o Object) {
		if o.Refs == 0 {
			visited = append(visited, number)
		}
	})
	if len(visited) != garbage || !slices.IsSorted(visited) {
		return fmt.Errorf("garbage %v, want %d", visited, garbage)
	}
	return nil
}

// below is how many of a manifest's objects may be released.
func (w *twin) below(m *twinManifest, list []twinOwned) int {
	if w.loose[m.Object] != nil {
		return len(list)
	}
	start := w.topics[m.topic-1].parts[m.partition].start
	return len(slices.DeleteFunc(slices.Clone(list), func(o twinOwned) bool { return o.last >= start }))
}

// fold mostly draws what can be folded.
func (d *drawing) fold(t *rapid.T) *pb.Command {
	type choice struct {
		topic     uint64
		partition uint32
		last      int64
	}
	var good, more []choice
	for _, x := range d.live() {
		for i, p := range x.parts {
			for _, r := range d.w.runs(p) {
				if owned, _ := d.w.foldable(p, r.Last); owned != nil {
					good = append(good, choice{x.Number, uint32(i), r.Last})
					if p.manifest != nil {
						more = append(more, good[len(good)-1])
					}
				}
			}
		}
	}
	k := &pb.FoldRuns{N: d.merge, Size: uint64(rapid.IntRange(1, 30).Draw(t, "size")), MaxTimestamp: rapid.Int64Range(0, 9).Draw(t, "time")}
	d.merge++
	k.Topic, k.Partition = d.partition(t)
	k.Last = rapid.Int64Range(0, 3).Draw(t, "last")
	if len(more) > 0 && rapid.Bool().Draw(t, "fold more into a manifest") {
		good = more
	}
	if len(good) > 0 && !rarely(t, "fold anything") {
		c := rapid.SampledFrom(good).Draw(t, "fold")
		k.Topic, k.Partition, k.Last = c.topic, c.partition, c.last
	}
	if x := d.w.live(k.Topic); x != nil && int(k.Partition) < len(x.parts) {
		p := x.parts[k.Partition]
		owned, n := d.w.foldable(p, k.Last)
		k.Version = p.version
		if runs := d.w.runs(p); len(runs) > 0 {
			k.First = runs[0].Base
		}
		if m := p.manifest; m != nil {
			k.Old, k.Released, k.First, k.Owned, k.Bytes = m.Object, m.Released, m.First, m.Owned-m.Released, uint64(m.Bytes)
		}
		k.Owned += uint32(len(owned))
		k.Runs = uint32(n)
		for _, o := range owned {
			k.Bytes += o.bytes
		}
	}
	if rarely(t, "other fold") {
		switch rapid.IntRange(0, 6).Draw(t, "how") {
		case 0:
			k.Version++
		case 1:
			k.Old++
		case 2:
			k.Released++
		case 3:
			k.First--
		case 4:
			k.Owned++
		case 5:
			k.Runs = 0
		default:
			k.N = 0
		}
	}
	return &pb.Command{Kind: &pb.Command_FoldRuns{FoldRuns: k}}
}

// release mostly draws objects of a manifest that may go.
func (d *drawing) release(t *rapid.T) *pb.Command {
	all := d.w.manifests()
	slices.SortFunc(all, func(a, b *twinManifest) int { return int(a.Object) - int(b.Object) })
	if len(all) == 0 && !rarely(t, "release nothing") {
		return d.fold(t)
	}
	k := &pb.ReleaseObjects{Manifest: uint64(rapid.IntRange(0, len(d.w.objects)+1).Draw(t, "any manifest"))}
	k.Topic, k.Partition = d.partition(t)
	if len(all) > 0 {
		m := rapid.SampledFrom(all).Draw(t, "manifest")
		k.Manifest, k.Topic, k.Partition, k.Released = m.Object, m.topic, m.partition, m.Released
		list := m.list[m.Released:]
		if below := d.w.below(m, list); rapid.IntRange(0, 2).Draw(t, "release anything") > 0 {
			if below == 0 { // a trim makes some
				return trimPartitions(d.w.position, trim{m.topic, m.partition, list[0].last + 1})
			}
			list = list[:below]
		}
		for _, o := range list[:rapid.IntRange(1, len(list)).Draw(t, "how many")] {
			k.Sessions, k.Ns, k.Sizes = append(k.Sessions, int64(o.Session)), append(k.Ns, o.N), append(k.Sizes, o.Size)
			k.Bytes, k.Introduced, k.Lasts = append(k.Bytes, o.bytes), append(k.Introduced, o.Introduced), append(k.Lasts, o.last)
		}
	}
	if rarely(t, "other release") && len(k.Ns) > 0 {
		switch rapid.IntRange(0, 5).Draw(t, "how") {
		case 0:
			k.Released++
		case 1:
			k.Lasts[0] += rapid.Int64Range(-2, 2).Draw(t, "last")
		case 2:
			k.Bytes[0]++
		case 3:
			k.Ns[0] = 0
		case 4:
			k.Introduced[0] = d.w.position + 9
		default:
			k.Sizes = nil
		}
	}
	return &pb.Command{Kind: &pb.Command_ReleaseObjects{ReleaseObjects: k}}
}
