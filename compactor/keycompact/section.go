package keycompact

import (
	"cmp"
	"math"
	"slices"

	"wadi/compactor/job"
	"wadi/internal/batch"
	"wadi/metadata/state"
)

// section is what one compaction of a partition goes by, taken from a snapshot of State.
type section struct {
	topic     uint64
	partition uint32
	id        state.TopicID
	version   uint64 // structure version, raised with every range that State took
	logStart  int64
	runs      []state.Run // from the first to the end of what may be compacted
	dirty     int         // index of the first that no compaction has passed

	aborted map[int64][]state.AbortedTxn // by producer id, in the order of the log

	now     int64 // Unix ms; no tombstone's time has come when there is no clock
	horizon int64 // that tombstones get, Unix ms; 0 without a clock
}

// newSection looks up what is due, of a partition that has no manifest. ok is false when there is nothing any more.
func newSection(in *job.View, d Due, readable func(state.Run) bool) (s section, ok bool) {
	t := in.State.TopicByNumber(d.Topic)
	p := t.Partition(int32(d.Partition))
	end := cleanable(p, in.Configs(t), in, readable)
	s = sectionOf(in, t, d.Partition, 0, end-1)
	return s, s.dirty < len(s.runs)
}

// sectionOf is the section of the runs that hold the log start or lie behind it, begin at an offset or behind it and end at
// another or before it.
func sectionOf(in *job.View, t *state.Topic, partition uint32, first, last int64) section {
	p := t.Partition(int32(partition))
	s := section{
		topic: t.Number, partition: partition, id: t.ID, version: p.Version, logStart: p.LogStart,
		now: math.MinInt64, aborted: map[int64][]state.AbortedTxn{},
	}
	if in.Clock == nil {
		s.now, s.horizon = in.Now, in.Now+min(in.Configs(t).DeleteRetentionMs, math.MaxInt64-in.Now)
	}
	p.EachRun(func(r state.Run) {
		if r.Base >= first && r.Last <= last && r.Last >= p.LogStart {
			s.runs = append(s.runs, r)
		}
	})
	for dirtyFrom := dirty(p); s.dirty < len(s.runs) && s.runs[s.dirty].Last < dirtyFrom; {
		s.dirty++
	}
	for _, a := range p.Aborted(first, last, nil) {
		s.aborted[a.ProducerID] = append(s.aborted[a.ProducerID], a)
	}
	return s
}

// isAborted reports whether a batch of records belongs to an aborted transaction. A producer has one transaction at a time
// in a partition, so what it wrote between the first record and the marker is part of it.
func (s *section) isAborted(b batch.Batch) bool {
	if !b.Transactional() {
		return false
	}
	list := s.aborted[b.ProducerID()]
	i, _ := slices.BinarySearchFunc(list, b.BaseOffset(), func(a state.AbortedTxn, o int64) int { return cmp.Compare(a.Last, o) })
	return i < len(list) && list[i].First <= b.BaseOffset()
}
