package keycompact

import (
	"cmp"
	"math"
	"slices"

	"wadi/compactor/job"
	"wadi/internal/kafkaconfig"
	"wadi/metadata/state"
)

// Due is a partition that is worth a compaction.
type Due struct {
	Topic     uint64
	Partition uint32
	Ratio     float64 // dirty bytes that may be compacted, in all that may
	Bytes     int64   // of what is read: from the first run to the end of what may be compacted
	Dirty     int64   // of them, those not compacted yet
	Lags      bool    // something waits for longer than max.compaction.lag.ms
}

// Plan is the partitions that are worth a compaction in a snapshot of State, the dirtiest first (as Apache Kafka orders
// them). readable tells of a run whether its bytes can be had: those of an entry that just came may not be in any object.
func Plan(in *job.View, readable func(state.Run) bool) []Due {
	var list []Due
	in.State.EachTopic(func(t *state.Topic) {
		c := in.Configs(t)
		if !c.Compact {
			return
		}
		for i := range int32(t.Partitions()) {
			p := t.Partition(i)
			if p.Next == max(p.CompactedTo, p.LogStart) || !in.Mine(t.Number, uint32(i)) {
				continue
			}
			if d, ok := judge(p, c, in, readable); ok {
				d.Topic, d.Partition = t.Number, uint32(i)
				list = append(list, d)
			}
		}
	})
	slices.SortStableFunc(list, func(a, b Due) int { return cmp.Compare(b.Ratio, a.Ratio) })
	return list
}

// judge measures one partition and says whether it is due.
func judge(p *state.Partition, c *kafkaconfig.Effective, in *job.View, readable func(state.Run) bool) (d Due, due bool) {
	first, end := cleanable(p, c, in, readable)
	dirtyFrom := dirty(p)
	p.EachRun(func(r state.Run) {
		if r.Base < first || r.Base >= end {
			return
		}
		d.Bytes += int64(r.Length)
		if r.Last >= dirtyFrom {
			d.Dirty += int64(r.Length)
			d.Lags = d.Lags || in.Clock == nil && c.MaxCompactionLagMs > 0 && r.MaxTimestamp <= before(in.Now, c.MaxCompactionLagMs)
		}
	})
	if d.Dirty == 0 {
		return d, false
	}
	d.Ratio = float64(d.Dirty) / float64(d.Bytes)
	return d, d.Lags || d.Ratio > c.MinDirtyRatio
}

// dirty is the first offset that no compaction has passed.
func dirty(p *state.Partition) int64 { return max(p.CompactedTo, p.LogStart) }

// begins tells which of a partition's runs a compaction begins with: the one that holds the log start. What a manifest
// holds is not compacted. A transaction that was aborted with records in front of the run that the compaction begins with
// stays on State's list, and its marker where it is: so no such marker lies in that run or behind it.
func begins(p *state.Partition) func(state.Run) bool {
	if p.Manifest == nil {
		return func(r state.Run) bool { return r.Last >= p.LogStart }
	}
	from := p.Manifest.Last + 1
	return func(r state.Run) bool {
		if r.Base < from {
			return false
		}
		for _, a := range p.Aborted(r.Base, r.Base-1, nil) { // those that began before the run and end in it or behind
			from = max(from, a.Last+1)
		}
		return r.Base >= from
	}
}

// cleanable is the range of offsets, first included and end not, that may be compacted: whole runs below the last stable
// offset whose records are old enough (segment.ms and max.compaction.lag.ms), or are followed by enough others
// (segment.bytes), and in any case older than min.compaction.lag.ms. Apache Kafka goes by segments, of which the last one
// is never compacted; here nothing has to be written for a record to become old.
func cleanable(p *state.Partition, c *kafkaconfig.Effective, in *job.View, readable func(state.Run) bool) (first, end int64) {
	var total int64
	p.EachRun(func(r state.Run) { total += int64(r.Length) })
	begun, dirtyFrom, stable := begins(p), dirty(p), p.LSO()
	first, end = -1, -1
	closed := false
	p.EachRun(func(r state.Run) {
		total -= int64(r.Length) // what follows the run
		if closed || first < 0 && !begun(r) {
			return
		}
		switch {
		case r.Last >= stable || !readable(r):
			closed = true
		case r.Last < dirtyFrom:
			// Compacted already: it was old enough then.
		case !oldEnough(r, c, in) && total < c.SegmentBytes, tooYoung(r, c, in):
			closed = true
		}
		if closed {
			return
		}
		if first < 0 {
			first = r.Base
		}
		end = r.Last + 1
	})
	if first < 0 {
		return 0, 0
	}
	return first, end
}

// oldEnough reports whether a run may be compacted although little follows it.
func oldEnough(r state.Run, c *kafkaconfig.Effective, in *job.View) bool {
	return in.Clock == nil && r.MaxTimestamp <= before(in.Now, c.MaxSegmentMs())
}

// tooYoung reports whether a run's records must not be compacted yet. Without a clock nobody knows.
func tooYoung(r state.Run, c *kafkaconfig.Effective, in *job.View) bool {
	return c.MinCompactionLagMs > 0 && (in.Clock != nil || r.MaxTimestamp > before(in.Now, c.MinCompactionLagMs))
}

// before is a time so many milliseconds earlier; configs may say "for ever".
func before(now, ms int64) int64 {
	if ms > now {
		return math.MinInt64
	}
	return now - ms
}
