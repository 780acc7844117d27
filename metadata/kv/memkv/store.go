package memkv

import (
	"errors"
	"time"

	"k8s.io/utils/third_party/forked/golang/btree"

	"wadi/metadata/kv"
)

// ErrInvalid marks requests that no etcd would accept (an empty key, a key written twice in one transaction): a defect
// of the caller, not a state of the store.
var ErrInvalid = errors.New("invalid request")

// Defaults of Options, etcd's own where it has one.
const (
	DefaultQuotaBytes      = 2 << 30
	DefaultMaxRequestBytes = 3 << 19 // 1.5 MiB
	DefaultMaxTxnOps       = 128
	DefaultMinLeaseTTL     = 1 // seconds
	DefaultClusterID       = 0x7761_6469
)

// Options shape a Store. The zero value of a field means its default.
type Options struct {
	ClusterID       uint64
	QuotaBytes      int64 // puts are refused past this file size
	MaxRequestBytes int64 // of one transaction
	MaxTxnOps       int   // compares, or ops of one branch
	MinLeaseTTL     int64 // seconds; shorter grants are raised to it
	FirstLease      int64 // the first lease id given out; later ones count up
}

func (o Options) withDefaults() Options {
	if o.ClusterID == 0 {
		o.ClusterID = DefaultClusterID
	}
	if o.QuotaBytes == 0 {
		o.QuotaBytes = DefaultQuotaBytes
	}
	if o.MaxRequestBytes == 0 {
		o.MaxRequestBytes = DefaultMaxRequestBytes
	}
	if o.MaxTxnOps == 0 {
		o.MaxTxnOps = DefaultMaxTxnOps
	}
	if o.MinLeaseTTL == 0 {
		o.MinLeaseTTL = DefaultMinLeaseTTL
	}
	if o.FirstLease == 0 {
		// As wide as etcd's ids, so that whatever prints or parses them meets sixteen hex digits.
		o.FirstLease = 0x694d_0000_0000_0001
	}
	return o
}

// Store is one etcd's state. It is not safe for concurrent use. Values handed in are copied; values handed out belong
// to the store and must not be modified.
type Store struct {
	opts      Options
	rev       int64 // the newest revision; an empty store is at 1, as etcd's is
	compacted int64 // the compact revision; 0 = never compacted
	keys      *btree.BTree[*keyHistory]
	log       history
	leases    leaseTable
	size      sizes
}

// NewStore makes an empty store at revision 1.
func NewStore(o Options) *Store {
	o = o.withDefaults()
	return &Store{
		opts:   o,
		rev:    1,
		keys:   newKeys(),
		leases: newLeaseTable(o.FirstLease),
	}
}

// Header is what comes with every answer.
func (s *Store) Header() kv.Header { return kv.Header{ClusterID: s.opts.ClusterID, Revision: s.rev} }

// Revision is the newest revision.
func (s *Store) Revision() int64 { return s.rev }

// CompactRevision is the lowest revision that can still be read and watched; 0 when nothing was compacted.
func (s *Store) CompactRevision() int64 { return s.compacted }

// Status describes the store. DBInUse counts what is stored, DBSize the high-water mark of that since the last Defrag.
func (s *Store) Status() kv.Status {
	return kv.Status{
		Header: s.Header(), DBSize: s.size.file, DBInUse: s.size.inUse,
		QuotaBytes: s.opts.QuotaBytes, NoSpace: s.size.alarm, Members: 1,
	}
}

// SetClusterID changes the id in the headers, as a rebuilt etcd would.
func (s *Store) SetClusterID(id uint64) { s.opts.ClusterID = id }

// Snapshot is a frozen copy of a Store, for Restore. It shares nothing that later writes change.
type Snapshot struct {
	rev, compacted int64
	keys           []*keyHistory
	log            []*change
	leases         []lease
	size           sizes
}

// Snapshot copies the store in time linear in its keys and history.
func (s *Store) Snapshot() *Snapshot {
	snap := &Snapshot{rev: s.rev, compacted: s.compacted, size: s.size}
	s.keys.Ascend(func(h *keyHistory) bool {
		snap.keys = append(snap.keys, h.clone())
		return true
	})
	snap.log = append(snap.log, s.log.live()...)
	snap.leases = s.leases.copyOut()
	return snap
}

// Restore puts the store back to what it was at snap: etcd rolled back to a backup. Lease ids given out since stay
// used, as etcd's ids carry the time. Leases run for their full ttl from now, as after any leader change.
func (s *Store) Restore(now time.Time, snap *Snapshot) {
	s.rev, s.compacted, s.size = snap.rev, snap.compacted, snap.size
	s.keys = newKeys()
	for _, h := range snap.keys {
		s.keys.ReplaceOrInsert(h.clone())
	}
	s.log = history{changes: append([]*change(nil), snap.log...)}
	s.leases.copyIn(snap.leases)
	s.RefreshLeases(now)
}

// Keys returns all live keys in order, for assertions.
func (s *Store) Keys() []string {
	var out []string
	s.keys.Ascend(func(h *keyHistory) bool {
		if h.newest() != nil {
			out = append(out, h.key)
		}
		return true
	})
	return out
}
