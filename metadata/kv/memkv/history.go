package memkv

import (
	"sort"

	"k8s.io/utils/third_party/forked/golang/btree"

	"wadi/metadata/kv"
)

// change is one key's change at one revision, immutable once made. It is reachable from its key's history and from the
// log, as in etcd, where the one is the key index and the other the backend's revision bucket.
type change struct {
	kv  kv.KeyValue // for a delete: Key and ModRevision alone
	del bool
}

func (c *change) bytes() int64 {
	const perChange = 64 // etcd's revision key, protobuf framing, bbolt's element header
	return perChange + int64(len(c.kv.Key)+len(c.kv.Value))
}

// keyHistory holds a key's changes in revision order. A transaction changes a key at most once.
type keyHistory struct {
	key     string
	changes []*change
}

func newKeys() *btree.BTree[*keyHistory] {
	return btree.New(32, func(a, b *keyHistory) bool { return a.key < b.key })
}

func (h *keyHistory) clone() *keyHistory {
	return &keyHistory{key: h.key, changes: append([]*change(nil), h.changes...)}
}

// newest is the live value, nil when the key does not exist.
func (h *keyHistory) newest() *change {
	if n := len(h.changes); n > 0 && !h.changes[n-1].del {
		return h.changes[n-1]
	}
	return nil
}

// at is the value as of rev, nil when the key did not exist.
func (h *keyHistory) at(rev int64) *change {
	if n := len(h.changes); n > 0 && h.changes[n-1].kv.ModRevision <= rev {
		return h.newest()
	}
	i := sort.Search(len(h.changes), func(i int) bool { return h.changes[i].kv.ModRevision > rev })
	if i == 0 || h.changes[i-1].del {
		return nil
	}
	return h.changes[i-1]
}

// prune forgets what no read at or above rev can see and returns the forgotten changes' size. A tombstone at rev itself
// goes too: a watch from rev on finds it in the log.
func (h *keyHistory) prune(rev int64) (freed int64) {
	i := sort.Search(len(h.changes), func(i int) bool { return h.changes[i].kv.ModRevision > rev })
	if i == 0 {
		return 0
	}
	keep := i - 1 // the newest change at or below rev
	if h.changes[keep].del {
		keep = i
	}
	for _, c := range h.changes[:keep] {
		freed += c.bytes()
	}
	if keep > 0 {
		h.changes = append([]*change(nil), h.changes[keep:]...)
	}
	return freed
}

// history is all changes in revision order; those of one revision in the order of their ops.
type history struct {
	changes []*change
	dead    int // leading entries dropped by compaction, removed when they are half of it
}

func (l *history) live() []*change { return l.changes[l.dead:] }

func (l *history) add(c *change) { l.changes = append(l.changes, c) }

// from is the live tail that starts at rev.
func (l *history) from(rev int64) []*change {
	live := l.live()
	// Watches read near the end: try the tail before searching it all.
	lo := 0
	if n := len(live); n > 64 && live[n-64].kv.ModRevision < rev {
		lo = n - 64
	}
	i := lo + sort.Search(len(live)-lo, func(i int) bool { return live[lo+i].kv.ModRevision >= rev })
	return live[i:]
}

// drop removes everything below rev.
func (l *history) drop(rev int64) {
	live := l.live()
	n := sort.Search(len(live), func(i int) bool { return live[i].kv.ModRevision >= rev })
	clear(live[:n])
	l.dead += n
	if l.dead*2 >= len(l.changes) {
		l.changes = append([]*change(nil), l.changes[l.dead:]...)
		l.dead = 0
	}
}

// inRange tells whether key is in [from, end), with etcd's two special ends: "" is from alone, "\x00" is everything
// from from on.
func inRange(key, from, end string) bool {
	switch end {
	case "":
		return key == from
	case "\x00":
		return key >= from
	}
	return key >= from && key < end
}

// ascend calls f for the histories in [from, end) in key order until it returns false.
func (s *Store) ascend(from, end string, f func(*keyHistory) bool) {
	pivot := &keyHistory{key: from}
	switch end {
	case "":
		if h, ok := s.keys.Get(pivot); ok {
			f(h)
		}
	case "\x00":
		s.keys.AscendGreaterOrEqual(pivot, f)
	default:
		s.keys.AscendRange(pivot, &keyHistory{key: end}, f)
	}
}
