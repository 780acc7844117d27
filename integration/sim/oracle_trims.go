package sim

import (
	"wadi/metadata/journal"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/state"
)

// place is a record's.
type place struct {
	log    int32
	offset int64
}

// cutOff checks State's verdict on each log start.
func (o *oracle) cutOff(e journal.Entry, base int64, c *pb.TrimPartitions, results []state.BatchResult) {
	for i, r := range results {
		p, ok := o.w.logOf(c.Topics[i], c.Partitions[i])
		offset, next := c.Offsets[i], o.end(p)
		if !ok {
			continue
		}
		o.w.note("trim partition=%d offset=%d: %s start=%d", p, offset, r.Code, r.Base)
		right := false
		switch r.Code {
		case state.OK:
			if offset > o.starts[p] && !o.compactions.asked[place{p, offset}] {
				o.compactions.retained(e, p, o.starts[p], offset)
			}
			o.starts[p] = max(o.starts[p], offset)
			right = offset <= next && r.Base == o.starts[p]
			o.w.stats.Trims++
		case state.OffsetOutOfRange:
			right = offset > next
		case state.Conflict:
			right = o.changed[o.w.place(p).Topic] > base
		}
		if !right {
			o.w.violated("position %d: a log start of partition %d moves to %d: %s %d; it is at %d, the next offset %d",
				e.Position, p, offset, r.Code, r.Base, o.starts[p], next)
		}
	}
}

// retained judges a log start that no client asked for: what goes is too old, or what follows it is as much as the topic
// keeps, and no reader of what is committed could have missed it.
func (o *compactions) retained(e journal.Entry, log int32, from, to int64) {
	w := o.w
	config := effective(w.oracle.st.TopicByNumber(w.place(log).Topic))
	if stable := w.oracle.txns.lso(log); to > stable || !config.Delete {
		w.violated("position %d: retention moves the start of log %d to %d, it is stable up to %d, deletes %t", e.Position, log, to, stable, config.Delete)
		return
	}
	w.stats.Retained++
	list := w.oracle.logs[log]
	stays := int64(0) // bytes behind an entry
	for i := len(list) - 1; i >= 0 && list[i].last >= from; i-- {
		x := &list[i]
		bySize := config.RetentionBytes >= 0 && stays >= config.RetentionBytes
		if isTable(log) && w.oracle.replaceable(log, x) {
			continue // it may be gone already
		}
		if x.base < to && !bySize && !x.olderThan(w.wall().UnixMilli()-config.RetentionMs, config.RetentionMs) {
			w.violated("position %d: retention moves the start of log %d to %d: offset %d is not %d ms old, %d bytes follow, of %d that stay",
				e.Position, log, to, x.base, config.RetentionMs, stays, config.RetentionBytes)
			return
		}
		stays += int64(len(x.wire()))
	}
}

// olderThan tells that all records of an entry are older than retention lets them become.
func (x *logged) olderThan(ms, retention int64) bool {
	if retention < 0 {
		return false
	}
	if x.attempt == nil {
		return x.ms < ms
	}
	return x.attempt.data.MaxTimestamp() < ms
}

// altered notes when a topic last changed, by whoever it was.
func (o *oracle) altered(topic uint64, position int64) { o.changed[topic] = position }
