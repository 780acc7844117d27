package memkv

import (
	"fmt"

	"wadi/metadata/kv"
)

// Range answers r from the newest revision or the one asked for.
func (s *Store) Range(r kv.RangeRequest) (kv.RangeResult, error) {
	if r.Key == "" {
		return kv.RangeResult{}, fmt.Errorf("memkv: range of an empty key: %w", ErrInvalid)
	}
	rev := r.Revision
	switch {
	case rev <= 0:
		rev = s.rev
	case rev > s.rev:
		return kv.RangeResult{}, fmt.Errorf("memkv: range at revision %d of %d: %w", rev, s.rev, kv.ErrFuture)
	case rev < s.compacted:
		return kv.RangeResult{}, fmt.Errorf("memkv: range at revision %d, compacted at %d: %w", rev, s.compacted, kv.ErrCompacted)
	}
	res := s.read(r.Key, r.End, rev, r.Limit, r.CountOnly)
	if r.KeysOnly {
		for i := range res.KVs {
			res.KVs[i].Value = nil
			res.KVs[i].Lease = 0 // etcd 3.7 answers from its index, which knows no leases
		}
	}
	res.Header = s.Header()
	return res, nil
}

// read lists [key, end) as of rev. As in etcd the count goes on past the limit.
func (s *Store) read(key, end string, rev, limit int64, countOnly bool) (res kv.RangeResult) {
	s.ascend(key, end, func(h *keyHistory) bool {
		c := h.at(rev)
		if c == nil {
			return true
		}
		res.Count++
		if countOnly {
			return true
		}
		if limit > 0 && int64(len(res.KVs)) == limit {
			res.More = true
			return true
		}
		res.KVs = append(res.KVs, c.kv)
		return true
	})
	return res
}

// EventsSince returns the changes of [key, end) from revision from on, in order and by whole revisions: it stops after
// the revision with which the events reach maxEvents (0 = no bound). next is the revision to go on from. An end as in
// Range. ErrCompacted: from is below CompactRevision. ErrFuture: from is more than one above Revision.
func (s *Store) EventsSince(key, end string, from int64, noDelete bool, maxEvents int) (evs []kv.Event, next int64, err error) {
	if from < s.compacted {
		return nil, 0, fmt.Errorf("memkv: watch from revision %d, compacted at %d: %w", from, s.compacted, kv.ErrCompacted)
	}
	if from > s.rev+1 {
		return nil, 0, fmt.Errorf("memkv: watch from revision %d of %d: %w", from, s.rev, kv.ErrFuture)
	}
	for _, c := range s.log.from(from) {
		if maxEvents > 0 && len(evs) >= maxEvents && c.kv.ModRevision != evs[len(evs)-1].KV.ModRevision {
			return evs, c.kv.ModRevision, nil
		}
		if c.del && noDelete || !inRange(c.kv.Key, key, end) {
			continue
		}
		evs = append(evs, kv.Event{Delete: c.del, KV: c.kv})
	}
	return evs, s.rev + 1, nil
}

// Compact forgets history below rev: reads and watches from rev on still work.
func (s *Store) Compact(rev int64) error {
	if rev <= s.compacted {
		return fmt.Errorf("memkv: compact at %d, compacted at %d: %w", rev, s.compacted, kv.ErrCompacted)
	}
	if rev > s.rev {
		return fmt.Errorf("memkv: compact at %d of %d: %w", rev, s.rev, kv.ErrFuture)
	}
	// Only a key that changed in the history being dropped, or at rev, can hold anything to forget.
	for _, c := range s.log.live() {
		if c.kv.ModRevision > rev {
			break
		}
		h, ok := s.keys.Get(&keyHistory{key: c.kv.Key})
		if !ok {
			continue
		}
		s.size.free(h.prune(rev))
		if len(h.changes) == 0 {
			s.keys.Delete(h)
		}
	}
	s.log.drop(rev)
	s.compacted = rev
	return nil
}
