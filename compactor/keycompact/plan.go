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
	Folded    bool    // a manifest lists the first runs: they have to come back before
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
			if p.Next == dirty(p) || !in.Mine(t.Number, uint32(i)) {
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

// IsDue reports whether a partition of a compacted topic is worth a compaction, or may be: what is compacted goes through
// all of it, so nothing of it should be on its way into a manifest then. It says the same of a partition before and
// after a fold of what is compacted, and of one in the middle of a compaction of which something compacted is left to
// write anew.
func IsDue(p *state.Partition, c *kafkaconfig.Effective, in *job.View) bool {
	if in.Clock != nil {
		return true // nobody knows
	}
	_, due := judge(p, c, in, func(state.Run) bool { return true })
	return due
}

// stretch is a run, or all that a manifest lists, which is compacted as a whole or not at all.
type stretch struct {
	base, last int64
	newest     int64 // Unix ms, or a time later than that of its newest record, when some of a manifest's are released
	bytes      int64
	readable   bool
}

// eachStretch visits a partition's manifest, if it has one, and its runs, from the one that holds the log start on.
func eachStretch(p *state.Partition, readable func(state.Run) bool, visit func(stretch)) {
	if m := p.Manifest; m != nil {
		visit(stretch{m.First, m.Last, m.MaxTimestamp, m.Bytes, true})
	}
	p.EachRun(func(r state.Run) {
		if r.Last >= p.LogStart {
			visit(stretch{r.Base, r.Last, r.MaxTimestamp, int64(r.Length), readable(r)})
		}
	})
}

// judge measures one partition and says whether it is due. What a manifest lists is dirty unless all of it was compacted.
func judge(p *state.Partition, c *kafkaconfig.Effective, in *job.View, readable func(state.Run) bool) (d Due, due bool) {
	end, dirtyFrom := cleanable(p, c, in, readable), dirty(p)
	d.Folded = p.Manifest != nil
	eachStretch(p, readable, func(x stretch) {
		if x.base >= end {
			return
		}
		d.Bytes += x.bytes
		if x.last >= dirtyFrom {
			d.Dirty += x.bytes
			d.Lags = d.Lags || in.Clock == nil && c.MaxCompactionLagMs > 0 && x.newest <= before(in.Now, c.MaxCompactionLagMs)
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

// cleanable is the end of what may be compacted, from the run on that holds the log start: whole runs below the last stable
// offset whose records are old enough (segment.ms and max.compaction.lag.ms), or are followed by enough others
// (segment.bytes), and in any case older than min.compaction.lag.ms. Apache Kafka goes by segments, of which the last one
// is never compacted; here nothing has to be written for a record to become old.
func cleanable(p *state.Partition, c *kafkaconfig.Effective, in *job.View, readable func(state.Run) bool) (end int64) {
	var total int64
	eachStretch(p, readable, func(x stretch) { total += x.bytes })
	dirtyFrom, stable := dirty(p), p.LSO()
	closed := false
	eachStretch(p, readable, func(x stretch) {
		total -= x.bytes // what follows it
		switch {
		case closed:
			return
		case x.last >= stable || !x.readable:
			closed = true
		case x.last < dirtyFrom:
			// Compacted already: it was old enough then.
		case !oldEnough(x, c, in) && total < c.SegmentBytes, tooYoung(x, c, in):
			closed = true
		}
		if !closed {
			end = x.last + 1
		}
	})
	return end
}

// oldEnough reports whether a run may be compacted although little follows it.
func oldEnough(x stretch, c *kafkaconfig.Effective, in *job.View) bool {
	return in.Clock == nil && x.newest <= before(in.Now, c.MaxSegmentMs())
}

// tooYoung reports whether a run's records must not be compacted yet. Without a clock nobody knows.
func tooYoung(x stretch, c *kafkaconfig.Effective, in *job.View) bool {
	return c.MinCompactionLagMs > 0 && (in.Clock != nil || x.newest > before(in.Now, c.MinCompactionLagMs))
}

// before is a time so many milliseconds earlier; configs may say "for ever".
func before(now, ms int64) int64 {
	if ms > now {
		return math.MinInt64
	}
	return now - ms
}
