package retention

import (
	"math"

	"wadi/internal/kafkaconfig"
	"wadi/metadata/state"
)

// rule is what a topic's configs ask of its partitions.
type rule struct {
	before int64 // Unix ms: by time goes what is older throughout
	bytes  int64 // by size goes what this much can do without, -1 = nothing
}

// ruleOf reads configs. Without a clock nothing goes by time.
func ruleOf(c *kafkaconfig.Effective, now int64, clock bool) rule {
	r := rule{before: math.MinInt64, bytes: -1}
	if !c.Delete {
		return r
	}
	if clock && c.RetentionMs >= 0 {
		r.before = now - c.RetentionMs
	}
	r.bytes = c.RetentionBytes
	return r
}

// idle reports whether nothing ever goes.
func (r rule) idle() bool { return r.before == math.MinInt64 && r.bytes < 0 }

// expired reports whether all of what has this largest timestamp is old enough. Records without timestamps are of no age.
func (r rule) expired(maxTimestamp int64) bool { return maxTimestamp >= 0 && maxTimestamp < r.before }

// cut is how much of a partition's front goes. It is shown the runs in their order from the log start on.
type cut struct {
	rule
	stable int64 // last stable offset
	excess int64 // bytes above those that are to stay, from start on; negative once no more goes by size
	start  int64 // the new log start, as far as runs were shown
	first  int64 // bytes of the run at start, 0 = it was not shown
	oldest int64 // of the first run from start on that has timestamps the largest, -1 = none was shown
}

func newCut(r rule, p *state.Partition, live int64) cut {
	c := cut{rule: r, stable: p.LSO(), start: p.LogStart, excess: -1, oldest: -1}
	if r.bytes >= 0 {
		c.excess = live - r.bytes
	}
	return c
}

// take takes the next run; false: it stays, and all behind it with it.
func (c *cut) take(r state.Run) bool {
	if r.Last >= c.stable {
		c.keep(r)
		return false
	}
	if n := int64(r.Length); c.excess >= n {
		c.excess -= n
		c.start = r.Last + 1
		return true
	}
	c.excess = -1
	if c.expired(r.MaxTimestamp) {
		c.start, c.first = r.Last+1, 0
		return true
	}
	c.keep(r)
	return r.MaxTimestamp < 0 // goes with the next one that has timestamps, or stays with it
}

// keep notes what stays, so far.
func (c *cut) keep(r state.Run) {
	if c.first == 0 {
		c.first = int64(r.Length)
	}
	if c.oldest < 0 {
		c.oldest = r.MaxTimestamp
	}
}

// runs takes those that State has from an offset on.
func (c *cut) runs(p *state.Partition, from int64) {
	var buf [32]state.Run
	for {
		list := p.RunsFrom(from, len(buf), math.MaxInt64, buf[:0])
		for _, r := range list {
			if !c.take(r) {
				return
			}
			from = r.Last + 1
		}
		if len(list) < len(buf) {
			return
		}
	}
}

// live is how many bytes a partition has from the log start on; what a manifest holds counts in full.
func live(p *state.Partition) int64 {
	n := p.Bytes()
	if p.Manifest != nil {
		return n // what State has follows it, and is live
	}
	from := int64(0)
	var buf [32]state.Run
	for {
		list := p.RunsFrom(from, len(buf), math.MaxInt64, buf[:0])
		for _, r := range list {
			if r.Last >= p.LogStart {
				return n
			}
			n -= int64(r.Length)
			from = r.Last + 1
		}
		if len(list) < len(buf) {
			return n
		}
	}
}
