package sim

import "time"

// missed judges the records of an entry that are not there any more, in a log that was compacted up to `to` (I16): what a
// transaction that was aborted wrote, and markers, may go; a record goes only when a later one of its key is there, or is
// a tombstone that has been there for long enough.
func (o *oracle) missed(who string, log int32, x *logged, there []bool, to int64) {
	for i, ok := range there {
		if ok || x.base+int64(i) < o.starts[log] || x.attempt == nil || x.txn != nil && x.txn.fate == aborted {
			continue
		}
		offset := x.base + int64(i)
		switch r := x.attempt.records[i]; {
		case o.w.wall().UnixMilli()-r.ms < o.youngest.Milliseconds():
			o.w.violated("%s: offset %d of log %d is missing, and not %v old", who, offset, log, o.youngest)
		case offset >= to:
			o.w.violated("%s: offset %d of log %d is missing, the log is compacted up to %d", who, offset, log, to)
		case x.txn != nil && x.txn.fate != committed:
			o.w.violated("%s: offset %d of log %d is missing, its transaction is open", who, offset, log)
		case o.superseded(log, r.key, offset, o.txns.lso(log)):
		case r.tombstone && o.w.now >= o.w.sinceEpoch(r.ms)+o.tombstones:
			o.w.stats.Expired++
		default:
			o.w.violated("%s: offset %d of log %d is missing, it is the last of key %s below %d (tombstone %t)", who, offset, log, r.key, to, r.tombstone)
		}
	}
}

// returned checks that what a compaction took does not come back: what it replaced, or deleted, would be there again.
func (o *compactions) returned(log int32, x *logged, there []bool) {
	for i, ok := range there {
		at := place{log, x.base + int64(i)}
		if ok && o.taken[at] {
			o.w.violated("offset %d of log %d is there again", at.offset, log)
		}
		o.taken[at] = !ok
	}
}

// replaceable tells that a compaction may have taken all of an entry.
func (o *oracle) replaceable(log int32, x *logged) bool {
	if x.attempt == nil || x.txn != nil && x.txn.fate == aborted {
		return true
	}
	for i, r := range x.attempt.records {
		if !r.tombstone && !o.superseded(log, r.key, x.base+int64(i), o.txns.lso(log)) {
			return false
		}
	}
	return true
}

// superseded tells that a record of a key that counts comes behind an offset, below another.
func (o *oracle) superseded(log int32, key string, offset, to int64) bool {
	list := o.logs[log]
	i := find(list, offset)
	for i = max(i-1, 0); i < len(list) && list[i].base < to; i++ {
		x := &list[i]
		if x.attempt == nil || x.txn != nil && x.txn.fate != committed {
			continue
		}
		for k, r := range x.attempt.records {
			if at := x.base + int64(k); at > offset && at < to && r.key == key {
				return true
			}
		}
	}
	return false
}

func (w *World) sinceEpoch(ms int64) time.Duration {
	return time.Duration(ms-epochMs) * time.Millisecond
}
