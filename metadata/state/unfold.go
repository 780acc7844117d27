package state

import (
	"math"
	"slices"

	"wadi/internal/layout"
	pb "wadi/metadata/metadatapb"
)

// MaxUnfoldedObjects bounds the objects of one UnfoldRuns. Its runs, and its aborted transactions, are at most
// MaxReplacedRuns.
const MaxUnfoldedObjects = MaxSweep

// applyUnfoldRuns puts a manifest's newest runs back in front of the partition's others, as they were before a fold, and
// another manifest, which lists the rest, in its place. The objects that the runs lie in belong to the partition all the
// time: to the manifest before the entry, to the table behind it. A manifest that is not taken is garbage at once. ID is its
// object's number, 0 when nothing stays.
//
// Aborted transactions may come before the runs that their markers lie in, so that a command of bounded size can bring
// all of an object that holds very many: readers look for them in both lists.
func (s *State) applyUnfoldRuns(c *pb.UnfoldRuns, res *Result) Code {
	if !s.wellFormedUnfold(c) {
		return Invalid
	}
	if c.N != 0 {
		v := s.sessions.edit(uint64(s.session), s.gen)
		if c.N <= v.LastMerge {
			return FlushReused
		}
		v.LastMerge = c.N
	}
	t, old, rest, code := s.judgeUnfold(c)
	if c.N != 0 {
		o := Object{Session: s.session, N: c.N, Kind: ManifestObject, Size: c.Size, Introduced: s.position}
		if code == OK {
			o.Refs = 1
		}
		rest.Object = s.introduce(o)
		res.ID = int64(rest.Object)
	}
	if code != OK {
		return code
	}
	p := s.editPartition(s.editTopic(t.Number), c.Partition)
	s.releaseObject(old.Object, 1)
	p.runs.prepend(s.unfoldedRuns(c, rest.Last+1))
	s.runCount += len(c.RunCounts)
	p.aborted.prepend(unfoldedAborted(c))
	s.abortedCount += len(c.ProducerIds)
	if p.Manifest = nil; c.N != 0 {
		p.Manifest = &rest
		if rest.Last < p.LogStart {
			s.loosen(p)
		}
	}
	s.queueSpent(t.Number, c.Partition, p)
	p.Version++
	return OK
}

// wellFormedUnfold checks that the columns fit each other and their bounds, and that the bytes of runs lie within their
// objects.
func (s *State) wellFormedUnfold(c *pb.UnfoldRuns) bool {
	objects, runs, aborted := len(c.Ns), len(c.RunCounts), len(c.ProducerIds)
	switch {
	case objects > MaxUnfoldedObjects || runs > MaxReplacedRuns || aborted > MaxReplacedRuns || runs == 0 && aborted == 0:
		return false
	case c.Size > math.MaxUint32 || (c.N == 0) != (c.Size == 0) || (c.N == 0) != (c.Runs == 0):
		return false
	case len(c.Sessions) != objects || len(c.Sizes) != objects || len(c.Introduced) != objects || len(c.ObjectRuns) != objects:
		return false
	case len(c.MaxTimestamps) != runs || len(c.Offsets) != runs || len(c.Lengths) != runs:
		return false
	case len(c.Markers) != aborted || len(c.Records) != aborted || len(c.Stables) != aborted:
		return false
	}
	at := 0
	for i, n := range c.ObjectRuns {
		size := c.Sizes[i]
		if c.Ns[i] == 0 || size > math.MaxUint32 || c.Introduced[i] <= 0 || c.Introduced[i] >= s.position || n == 0 || uint64(n) > uint64(runs-at) {
			return false
		}
		for k := at; k < at+int(n); k++ {
			if c.RunCounts[k] == 0 || c.Lengths[k] == 0 || c.Offsets[k] > size || uint64(c.Lengths[k]) > size-c.Offsets[k] {
				return false
			}
		}
		at += int(n)
	}
	return at == runs
}

// judgeUnfold finds the manifest and says what stays of it, but for the number of the new one.
func (s *State) judgeUnfold(c *pb.UnfoldRuns) (t *Topic, old, rest Manifest, code Code) {
	t = s.TopicByNumber(c.Topic)
	if t == nil || int64(c.Partition) >= int64(len(t.parts)) {
		return t, old, rest, UnknownTopic
	}
	p := t.parts[c.Partition]
	if p.Manifest == nil || p.Version != c.Version || p.Manifest.Object != c.Old || p.Manifest.Released != c.Released {
		return t, old, rest, Conflict
	}
	old = *p.Manifest
	offsets, bytes := uint64(0), uint64(0)
	held := uint64(old.Last - old.First + 1)
	for k, n := range c.RunCounts {
		if n > held-offsets {
			return t, old, rest, Invalid
		}
		offsets += n
		bytes += uint64(c.Lengths[k])
	}
	objects := uint32(len(c.Ns))
	if bytes > uint64(old.Bytes) || objects > old.Owned-old.Released || uint64(c.Runs)+uint64(len(c.RunCounts)) > uint64(old.Runs) {
		return t, old, rest, Invalid
	}
	rest = Manifest{
		First: old.First, Last: old.Last - int64(offsets), Runs: c.Runs, Owned: old.Owned - old.Released - objects,
		Bytes: old.Bytes - int64(bytes), MaxTimestamp: c.MaxTimestamp,
	}
	if none := c.N == 0; none != (offsets == held) || none != (rest.Owned == 0) || !p.aborted.goesBefore(c, old) {
		return t, old, rest, Invalid
	}
	return t, old, rest, OK
}

// goesBefore reports whether the command's aborted transactions have their markers in the manifest, in front of those of
// the list.
func (l *abortedList) goesBefore(c *pb.UnfoldRuns, m Manifest) bool {
	below := m.Last + 1
	if l.n > 0 {
		below = min(below, l.chunks[0][0].Last)
	}
	marker := int64(0)
	for i, step := range c.Markers {
		if i > 0 && step == 0 || step >= uint64(below-marker) {
			return false
		}
		marker += int64(step)
		if marker < m.First || c.ProducerIds[i] < 0 || c.Records[i] == 0 || c.Records[i] > uint64(marker) || c.Stables[i] > 1 || c.Stables[i] < -marker {
			return false
		}
	}
	return true
}

// unfoldedRuns makes the runs, the first of which begins at an offset, and introduces their objects.
func (s *State) unfoldedRuns(c *pb.UnfoldRuns, base int64) []Run {
	runs := make([]Run, 0, len(c.RunCounts))
	ms := int64(0)
	for i, n := range c.ObjectRuns {
		number := s.addObject(Object{
			Session: layout.Session(c.Sessions[i]), N: c.Ns[i], Kind: MergedObject, Size: c.Sizes[i], Refs: uint64(n),
			Introduced: c.Introduced[i],
		})
		for range n {
			k := len(runs)
			ms += c.MaxTimestamps[k]
			last := base + int64(c.RunCounts[k]) - 1
			runs = append(runs, Run{
				Base: base, Last: last, MaxTimestamp: ms, Place: number, Offset: uint32(c.Offsets[k]), Length: c.Lengths[k], Flags: RunPlaced,
			})
			base = last + 1
		}
	}
	return runs
}

func unfoldedAborted(c *pb.UnfoldRuns) []AbortedTxn {
	list := make([]AbortedTxn, len(c.ProducerIds))
	marker := int64(0)
	for i, id := range c.ProducerIds {
		marker += int64(c.Markers[i])
		list[i] = AbortedTxn{ProducerID: id, First: marker - int64(c.Records[i]), Last: marker, Stable: marker + c.Stables[i]}
	}
	return list
}

// prepend puts runs in front of all others. The list keeps the slice; what a snapshot may share stays as it is.
func (l *runList) prepend(runs []Run) {
	l.n += len(runs)
	for _, r := range runs {
		l.bytes += int64(r.Length)
	}
	l.chunks = prependChunks(l.chunks, runs, largestChunk)
}

// prependChunks cuts a list into chunks of at most size, each full, so that nothing is ever appended to them, and puts
// them in front of others.
func prependChunks[T any](chunks [][]T, list []T, size int) [][]T {
	all := make([][]T, 0, len(chunks)+len(list)/size+2)
	for chunk := range slices.Chunk(list, size) {
		all = append(all, slices.Clip(chunk))
	}
	return append(all, chunks...)
}

// prepend puts some in front of all others, as a runList does.
func (l *abortedList) prepend(list []AbortedTxn) {
	l.n += len(list)
	l.chunks = prependChunks(l.chunks, list, largestAbort)
}
