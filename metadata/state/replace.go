package state

import (
	"math"

	pb "wadi/metadata/metadatapb"
)

// Bounds of one ReplaceRuns.
const (
	MaxReplaceRanges = 1000   // partitions
	MaxReplacedRuns  = 20_000 // runs that go, or come, over all partitions
)

// applyReplaceRuns puts runs of a merged object in the place of others, each partition judged on its own: whatever was
// appended, trimmed, deleted or replaced since the proposer looked, readers find every record once. ID is the object's
// number. Nothing at or above the last stable offset is replaced, so that what is open stays as it is.
//
// With a base no compaction goes into a topic that changed since, or got other configs from the brokers, whoever changed
// them: who was told that it is not compacted any more keeps what there is (so it is in Apache Kafka, which aborts the
// cleaning before it answers). Base 0: nothing is said.
func (s *State) applyReplaceRuns(base int64, c *pb.ReplaceRuns, res *Result) Code {
	if !wellFormedReplace(c) {
		return Invalid
	}
	v := s.sessions.edit(uint64(s.session), s.gen)
	if c.N <= v.LastMerge {
		return FlushReused
	}
	v.LastMerge = c.N
	object := Object{Session: s.session, N: c.N, Kind: MergedObject, Size: c.Size, Introduced: s.position}
	number := s.nextObject // taken below
	res.ID = int64(number)
	at, left, ms := 0, MaxReplacedRuns, int64(0)
	for i := range c.Topics {
		var runs []Run
		runs, ms = unpackRuns(c, i, at, number, ms)
		at += int(c.Runs[i])
		code, dropped := s.replace(base, c, i, runs, &left)
		r := BatchResult{Code: code, Base: int64(dropped), Time: -1}
		if code == OK {
			object.Refs += uint64(len(runs))
		} else {
			r.Base = -1
		}
		res.Batches = append(res.Batches, r)
	}
	s.introduce(object)
	return OK
}

// unpackRuns makes the runs of one partition, which begin at an index; ms is the timestamp of the run before.
func unpackRuns(c *pb.ReplaceRuns, i, at int, number uint64, ms int64) ([]Run, int64) {
	runs := make([]Run, c.Runs[i])
	base := c.Bases[i]
	for k := range runs {
		ms += c.MaxTimestamps[at+k]
		runs[k] = Run{
			Base: base, Last: base + int64(c.RunCounts[at+k]) - 1, MaxTimestamp: ms, Place: number,
			Offset: uint32(c.Offsets[at+k]), Length: c.Lengths[at+k], Flags: RunPlaced,
		}
		base = runs[k].Last + 1
	}
	return runs, ms
}

// wellFormedReplace checks that the columns fit each other, that bytes lie within the object and that the runs of each
// partition cover what they replace. Of a compacted partition, too: offsets may be missing within a run, not between
// runs.
func wellFormedReplace(c *pb.ReplaceRuns) bool {
	n, runs := len(c.Topics), len(c.RunCounts)
	switch {
	case n == 0 || n > MaxReplaceRanges || c.N == 0 || c.Size > math.MaxUint32 || runs > MaxReplacedRuns:
		return false
	case len(c.Partitions) != n || len(c.Versions) != n || len(c.Bases) != n || len(c.Lasts) != n || len(c.Runs) != n:
		return false
	case len(c.Compacted) != 0 && len(c.Compacted) != n:
		return false
	case len(c.MaxTimestamps) != runs || len(c.Offsets) != runs || len(c.Lengths) != runs:
		return false
	}
	at := 0
	for i := range n {
		if c.Bases[i] < 0 || c.Lasts[i] < c.Bases[i] || c.Runs[i] == 0 || uint64(c.Runs[i]) > uint64(runs-at) {
			return false
		}
		left := uint64(c.Lasts[i]-c.Bases[i]) + 1
		for k := at; k < at+int(c.Runs[i]); k++ {
			if c.RunCounts[k] == 0 || c.RunCounts[k] > left {
				return false
			}
			left -= c.RunCounts[k]
			if c.Lengths[k] == 0 || c.Offsets[k] > c.Size || uint64(c.Lengths[k]) > c.Size-c.Offsets[k] {
				return false
			}
		}
		if left > 0 {
			return false
		}
		at += int(c.Runs[i])
	}
	return at == runs
}

// replace judges and carries out one partition's part, and says how many runs went. A compaction goes through a partition
// from its start on and leaves nothing of transactions whose abort it has passed, neither records nor marker, so State
// forgets those, too: a reader that heard of one and met no marker would skip what its producer wrote later. What ends the range stays,
// a marker, too: a reader that stands there gets on.
func (s *State) replace(since int64, c *pb.ReplaceRuns, i int, runs []Run, left *int) (Code, int) {
	t := s.TopicByNumber(c.Topics[i])
	if t == nil || int64(c.Partitions[i]) >= int64(len(t.parts)) {
		return UnknownTopic, 0
	}
	p := t.parts[c.Partitions[i]]
	base, last := c.Bases[i], c.Lasts[i]
	compacted := len(c.Compacted) > 0 && c.Compacted[i]
	if p.Version != c.Versions[i] || last >= p.LSO() {
		return Conflict, 0
	}
	if compacted && since > 0 && (t.Changed > since || s.defaultsChanged() > since) {
		return Conflict, 0
	}
	from, to, ok := p.runs.bounds(base, last, *left)
	if !ok {
		return Conflict, 0
	}
	p = s.editPartition(s.editTopic(t.Number), c.Partitions[i])
	old := p.runs.replace(from, to, runs)
	for _, r := range old {
		s.dropRun(r)
	}
	s.runCount += len(runs)
	s.queueSpent(t.Number, c.Partitions[i], p)
	*left -= len(old)
	p.Version++
	if compacted {
		p.CompactedTo = max(p.CompactedTo, last+1)
		s.abortedCount -= p.aborted.dropWithin(base, last)
	}
	return OK, len(old)
}

// applyForgetObjects forgets objects that are deleted from the store. Those with references stay. ID tells how many
// went.
func (s *State) applyForgetObjects(c *pb.ForgetObjects, res *Result) Code {
	if len(c.Objects) > MaxSweep {
		return Invalid
	}
	for _, n := range c.Objects {
		o := s.objects.get(n)
		if o == nil || o.Refs > 0 {
			continue
		}
		if o.Kind == ArchiveObject {
			s.dropArchive(n)
		}
		s.garbage.remove(n, s.gen)
		s.garbageBytes -= int64(o.Size)
		s.objects.remove(n, s.gen)
		res.ID++
	}
	return OK
}

// dropArchive takes an archive in which no run lies out of the list.
func (s *State) dropArchive(number uint64) {
	kept := make([]archive, 0, len(s.archives)) // a snapshot may hold the old one
	for _, a := range s.archives {
		if a.Object != number {
			kept = append(kept, a)
		}
	}
	s.archives = kept
}

// applyForgetSessions forgets sessions that had been closed when a sweep of the bucket began: nothing that they could
// have written is left, and nothing of theirs can land any more. ID tells how many went.
func (s *State) applyForgetSessions(c *pb.ForgetSessions, res *Result) Code {
	if len(c.Sessions) > MaxSweep || c.Began > s.position {
		return Invalid
	}
	for _, id := range c.Sessions {
		v := s.sessions.get(uint64(id))
		if v != nil && v.Closed != 0 && v.Closed <= c.Began {
			s.sessions.remove(uint64(id), s.gen)
			res.ID++
		}
	}
	return OK
}
