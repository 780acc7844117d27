package memkv

import (
	"fmt"
	"slices"
	"time"

	"k8s.io/utils/third_party/forked/golang/btree"

	"wadi/metadata/kv"
)

// lease is one lease and the keys on it.
type lease struct {
	id     int64
	ttl    int64 // seconds
	expiry time.Time
	keys   map[string]struct{}
}

// leaseTable finds leases by id and by expiry; of those that expire together the older id goes first.
type leaseTable struct {
	next     int64
	byID     map[int64]*lease
	byExpiry *btree.BTree[*lease]
}

func newLeaseTable(first int64) leaseTable {
	return leaseTable{next: first, byID: map[int64]*lease{}, byExpiry: newByExpiry()}
}

func newByExpiry() *btree.BTree[*lease] {
	return btree.New(16, func(a, b *lease) bool {
		if c := a.expiry.Compare(b.expiry); c != 0 {
			return c < 0
		}
		return a.id < b.id
	})
}

func (t *leaseTable) has(id int64) bool { return t.byID[id] != nil }

func (t *leaseTable) attach(id int64, key string) {
	if l := t.byID[id]; l != nil {
		l.keys[key] = struct{}{}
	}
}

func (t *leaseTable) detach(id int64, key string) {
	if l := t.byID[id]; l != nil {
		delete(l.keys, key)
	}
}

func (t *leaseTable) renew(l *lease, now time.Time) {
	t.byExpiry.Delete(l)
	l.expiry = now.Add(time.Duration(l.ttl) * time.Second)
	t.byExpiry.ReplaceOrInsert(l)
}

func (t *leaseTable) remove(l *lease) {
	t.byExpiry.Delete(l)
	delete(t.byID, l.id)
}

func (t *leaseTable) copyOut() (out []lease) {
	t.byExpiry.Ascend(func(l *lease) bool {
		c := *l
		c.keys = copyKeys(l.keys)
		out = append(out, c)
		return true
	})
	return out
}

func (t *leaseTable) copyIn(in []lease) {
	t.byID, t.byExpiry = map[int64]*lease{}, newByExpiry()
	for _, l := range in {
		l.keys = copyKeys(l.keys)
		t.byID[l.id] = &l
		t.byExpiry.ReplaceOrInsert(&l)
	}
}

func copyKeys(in map[string]struct{}) map[string]struct{} {
	out := make(map[string]struct{}, len(in))
	for k := range in {
		out[k] = struct{}{}
	}
	return out
}

// Grant creates a lease that expires ttl seconds after now unless it is renewed. It takes no revision.
func (s *Store) Grant(now time.Time, ttl int64) (id int64, err error) {
	if !s.size.admit(leaseBytes, s.opts.QuotaBytes) {
		return 0, fmt.Errorf("memkv: grant: %w", kv.ErrNoSpace)
	}
	l := &lease{id: s.leases.next, ttl: max(ttl, s.opts.MinLeaseTTL), keys: map[string]struct{}{}}
	s.leases.next++
	s.leases.byID[l.id] = l
	s.leases.renew(l, now)
	return l.id, nil
}

const leaseBytes = 64 // what etcd's quota reckons for a lease

// KeepAlive renews a lease to its full ttl from now. One whose time is over is gone even before Expire has run: etcd
// too makes a late renewal wait for the deletion.
func (s *Store) KeepAlive(now time.Time, id int64) (ttl int64, err error) {
	l := s.leases.byID[id]
	if l == nil || !l.expiry.After(now) {
		return 0, fmt.Errorf("memkv: keep alive %x: %w", id, kv.ErrLeaseNotFound)
	}
	s.leases.renew(l, now)
	return l.ttl, nil
}

// Revoke ends a lease and deletes its keys in one revision.
func (s *Store) Revoke(id int64) error {
	l := s.leases.byID[id]
	if l == nil {
		return fmt.Errorf("memkv: revoke %x: %w", id, kv.ErrLeaseNotFound)
	}
	s.end(l)
	return nil
}

// Expire ends every lease whose time is over at now, one revision for each that had keys, and returns their ids.
func (s *Store) Expire(now time.Time) (ended []int64) {
	for {
		l, ok := s.leases.byExpiry.Min()
		if !ok || l.expiry.After(now) {
			return ended
		}
		s.end(l)
		ended = append(ended, l.id)
	}
}

// NextExpiry is when Expire has something to do, if no lease is renewed before.
func (s *Store) NextExpiry() (at time.Time, ok bool) {
	l, ok := s.leases.byExpiry.Min()
	if !ok {
		return time.Time{}, false
	}
	return l.expiry, true
}

// RefreshLeases renews all leases, as etcd does when its leader changes.
func (s *Store) RefreshLeases(now time.Time) {
	for _, l := range s.leases.copyOut() {
		s.leases.renew(s.leases.byID[l.id], now)
	}
}

func (s *Store) end(l *lease) {
	s.leases.remove(l)
	keys := make([]string, 0, len(l.keys))
	for k := range l.keys {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	w := s.begin()
	for _, k := range keys {
		w.deleteRange(k, "")
	}
	w.commit()
}
