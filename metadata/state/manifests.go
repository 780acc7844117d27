package state

import (
	"math"

	"wadi/internal/layout"
	pb "wadi/metadata/metadatapb"
)

// Manifest is what State keeps of a manifest object, which lists a partition's oldest runs and owns the objects that
// they lie in. It never changes; a fold, an unfold or a release puts another in its place.
type Manifest struct {
	Object       uint64 // number
	First        int64  // first offset that it holds and has not released
	Last         int64  // last offset; State's runs go on behind it
	Runs         uint32 // that it lists, those of released objects included
	Owned        uint32 // objects that it lists
	Released     uint32 // how many of those, from the oldest on, State holds as garbage
	Bytes        int64  // of the runs that are not released
	MaxTimestamp int64  // Unix ms, over all its runs
}

// EachLoose visits the manifests that nobody reads any more, as they lie below the log start or their topic is deleted, and
// whose objects have not all been released, by object number.
func (s *State) EachLoose(visit func(Manifest)) {
	for _, n := range sortedKeys(&s.loose) {
		visit(*s.loose.get(n))
	}
}

// EachManifest visits every manifest: those of partitions, of deleted topics too, and those that EachLoose visits.
func (s *State) EachManifest(visit func(Manifest)) {
	for _, t := range s.sortedTopics() {
		for _, p := range t.parts {
			if p.Manifest != nil {
				visit(*p.Manifest)
			}
		}
	}
	s.EachLoose(visit)
}

// applyFoldRuns moves a partition's first runs, and what its manifest holds, into a new manifest. The objects of those
// runs leave the table: nothing but this partition refers to them, and the manifest tells their names. A manifest that
// is not taken is garbage at once. ID is its object's number.
func (s *State) applyFoldRuns(c *pb.FoldRuns, res *Result) Code {
	if c.N == 0 || c.Size == 0 || c.Size > math.MaxUint32 || c.First < 0 || c.Last < c.First || c.Bytes > math.MaxInt64 {
		return Invalid
	}
	v := s.sessions.edit(uint64(s.session), s.gen)
	if c.N <= v.LastMerge {
		return FlushReused
	}
	v.LastMerge = c.N
	code := s.fold(c)
	o := Object{Session: s.session, N: c.N, Kind: ManifestObject, Size: c.Size, Introduced: s.position}
	if code == OK {
		o.Refs = 1
	}
	res.ID = int64(s.introduce(o))
	return code
}

// fold judges and carries out, but for the new manifest's object, whose number is the next one.
func (s *State) fold(c *pb.FoldRuns) Code {
	t := s.TopicByNumber(c.Topic)
	if t == nil || int64(c.Partition) >= int64(len(t.parts)) {
		return UnknownTopic
	}
	p := t.parts[c.Partition]
	old := Manifest{}
	if p.Manifest != nil {
		old = *p.Manifest
	}
	if p.Version != c.Version || old.Object != c.Old || old.Released != c.Released || c.Last >= p.LSO() || c.Last < p.LogStart || p.runs.len() == 0 {
		return Conflict
	}
	_, to, ok := p.runs.bounds(p.runs.first().Base, c.Last, MaxReplacedRuns)
	if !ok {
		return Conflict
	}
	n, owned, ok := s.foldable(p, to)
	if !ok {
		return Conflict
	}
	first := p.runs.first().Base
	if old.Object != 0 {
		first = old.First
	}
	if c.First != first {
		return Conflict // a sweep has dropped some of the runs
	}
	if uint64(c.Owned) != uint64(old.Owned-old.Released)+uint64(len(owned)) || uint64(c.Runs) < uint64(n) {
		return Invalid
	}
	p = s.editPartition(s.editTopic(t.Number), c.Partition)
	for range n {
		p.runs.popFront()
	}
	s.runCount -= n
	for _, number := range owned {
		s.objects.remove(number, s.gen)
	}
	if old.Object != 0 {
		s.releaseObject(old.Object, 1)
	}
	s.abortedCount -= p.aborted.dropTo(c.Last)
	p.Manifest = &Manifest{
		Object: s.nextObject, First: c.First, Last: c.Last, Runs: c.Runs, Owned: c.Owned, Bytes: int64(c.Bytes),
		MaxTimestamp: c.MaxTimestamp,
	}
	p.Version++
	return OK
}

// foldable counts the runs from the first one to a place, and says which objects they are in, in the order of the runs.
// Every one is a merged object in which nothing else lies.
func (s *State) foldable(p *Partition, to place) (n int, owned []uint64, ok bool) {
	left := uint64(0) // references of the newest object that have not been met yet
	for c := 0; c <= to.chunk; c++ {
		chunk := p.runs.chunks[c]
		if c == to.chunk {
			chunk = chunk[:to.index+1]
		}
		for _, r := range chunk {
			if r.Inline() || r.Marker() {
				return 0, nil, false
			}
			if k := len(owned); k == 0 || owned[k-1] != r.Place {
				o := s.objects.get(r.Place)
				if left > 0 || o.Kind != MergedObject {
					return 0, nil, false
				}
				owned, left = append(owned, r.Place), o.Refs
			}
			if left == 0 {
				return 0, nil, false
			}
			left--
			n++
		}
	}
	return n, owned, left == 0
}

// applyReleaseObjects makes a manifest's next objects garbage. ID tells how many it owns still.
func (s *State) applyReleaseObjects(c *pb.ReleaseObjects, res *Result) Code {
	n := len(c.Ns)
	if n == 0 || n > MaxSweep || len(c.Sessions) != n || len(c.Sizes) != n || len(c.Bytes) != n || len(c.Introduced) != n || len(c.Lasts) != n {
		return Invalid
	}
	m, p, code := s.manifest(c)
	if code != OK {
		return code
	}
	next := m
	next.Released += uint32(n)
	for i := range n {
		switch {
		case c.Ns[i] == 0 || c.Sizes[i] > math.MaxUint32 || c.Introduced[i] <= 0 || c.Introduced[i] >= s.position:
			return Invalid
		case c.Lasts[i] < next.First || c.Lasts[i] > next.Last || c.Bytes[i] > uint64(next.Bytes):
			return Invalid
		case p != nil && c.Lasts[i] >= p.LogStart:
			return Conflict
		}
		next.First = c.Lasts[i] + 1
		next.Bytes -= int64(c.Bytes[i])
	}
	if all := next.Released == m.Owned; m.Released+uint32(n) > m.Owned || all != (next.First > next.Last) {
		return Invalid
	}
	for i := range n {
		s.addObject(Object{
			Session: layout.Session(c.Sessions[i]), N: c.Ns[i], Kind: MergedObject, Size: c.Sizes[i],
			Introduced: c.Introduced[i],
		})
	}
	gone := next.Released == next.Owned
	if gone {
		s.releaseObject(m.Object, 1)
	}
	switch {
	case p == nil && gone:
		s.loose.remove(m.Object, s.gen)
	case p == nil:
		*s.loose.edit(m.Object, s.gen) = next
	case gone:
		s.editPartition(s.editTopic(c.Topic), c.Partition).Manifest = nil
	default:
		s.editPartition(s.editTopic(c.Topic), c.Partition).Manifest = &next
	}
	res.ID = int64(next.Owned - next.Released)
	return OK
}

// manifest finds the manifest that a release is about; p is nil when no partition has it any more.
func (s *State) manifest(c *pb.ReleaseObjects) (m Manifest, p *Partition, code Code) {
	if x := s.loose.get(c.Manifest); x != nil {
		m = *x
	} else {
		t := s.TopicByNumber(c.Topic)
		if t == nil || int64(c.Partition) >= int64(len(t.parts)) {
			return m, nil, UnknownTopic
		}
		if p = t.parts[c.Partition]; p.Manifest == nil || p.Manifest.Object != c.Manifest {
			return m, nil, Conflict
		}
		m = *p.Manifest
	}
	if m.Released != c.Released {
		return m, nil, Conflict
	}
	return m, p, OK
}

// loosen takes a partition's manifest out of it: no offset in it can be read. Its objects wait to be released.
func (s *State) loosen(p *Partition) {
	s.loose.put(p.Manifest.Object, *p.Manifest, s.gen)
	p.Manifest = nil
}
