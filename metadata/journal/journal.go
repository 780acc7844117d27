// Package journal is the ordered log of entries that etcd holds (DESIGN section 3): append, read back, watch. It knows
// keys and transactions; what an entry means is the state machine's business. The calls go through kv.KV, so the same
// code runs on etcd and in memory.
package journal

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"

	"wadi/internal/layout"
	"wadi/metadata/kv"
)

// Limits of an entry's value, in bytes. A proposer stops adding commands at Target; Max is never passed.
const (
	Target = 64 << 10
	Max    = 256 << 10
)

var (
	// ErrSessionLost: the session's key is gone or is not the one that was registered. Nothing was appended.
	ErrSessionLost = errors.New("session lost")
	// ErrForeign: the entry's key holds another value: two processes use one session. Nothing was appended.
	ErrForeign = errors.New("journal key holds a foreign entry")
	// ErrGap: a watch or a listing lacks entries that the head counts. The view must read again.
	ErrGap = errors.New("journal entries missing")
	// ErrRolledBack: etcd shows less than was seen before, or is another etcd.
	ErrRolledBack = errors.New("etcd was rolled back or replaced")
)

// Journal is one cluster's journal. It holds no state of its own.
type Journal struct {
	kv   kv.KV
	keys layout.Etcd
}

// New uses the cluster's keys in an etcd.
func New(store kv.KV, keys layout.Etcd) *Journal { return &Journal{kv: store, keys: keys} }

// Entry is one entry as the journal stores it.
type Entry struct {
	Position int64 // its revision
	Head     int64 // the head's Version with it: it is the Head-th entry of all
	Session  layout.Session
	Seq      uint64
	Value    []byte
}

// Checksum is the CRC-32C of an entry's value; results are matched to proposals by session, sequence and checksum.
func Checksum(value []byte) uint32 { return crc32.Checksum(value, castagnoli) }

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Append is one attempt to append an entry.
type Append struct {
	Session  layout.Session
	Revision int64 // create revision of the session's key
	Seq      uint64
	Value    []byte // not retained
}

// Append writes the entry in one txn that compares the session and the entry's key. It returns the position on success,
// also when the same entry is there already. ErrSessionLost, ErrForeign and what kv.Definite accepts mean that nothing
// was appended by this call; after any other error the outcome is unknown, and the identical call must be repeated.
func (j *Journal) Append(ctx context.Context, a Append) (position int64, err error) {
	session, entry := j.keys.SessionKey(a.Session), j.keys.Entry(a.Session, a.Seq)
	res, err := j.kv.Txn(ctx, kv.Txn{
		If: []kv.Compare{
			{Key: session, Target: kv.CreateRevision, Want: a.Revision},
			{Key: entry, Target: kv.CreateRevision, Want: 0},
		},
		Then: []kv.Op{kv.Put(entry, a.Value, 0), kv.Put(j.keys.Head(), nil, 0)},
		Else: []kv.Op{kv.Get(entry), kv.Get(session)},
	})
	switch {
	case err != nil:
		return 0, fmt.Errorf("append entry %s/%d: %w", a.Session, a.Seq, err)
	case res.Succeeded:
		return res.Header.Revision, nil
	}
	if stored := res.Gets[0]; len(stored) == 1 {
		if string(stored[0].Value) != string(a.Value) {
			return 0, fmt.Errorf("append entry %s/%d: %w", a.Session, a.Seq, ErrForeign)
		}
		return stored[0].ModRevision, nil
	}
	return 0, fmt.Errorf("append entry %s/%d: %w", a.Session, a.Seq, ErrSessionLost)
}

// Head is the newest entry's place.
type Head struct {
	EtcdCluster uint64
	Revision    int64 // etcd's, at the read
	Version     int64 // number of entries ever appended
	Position    int64 // of the newest entry, 0 = none
}

// Head reads the head linearizably.
func (j *Journal) Head(ctx context.Context) (Head, error) {
	res, err := j.kv.Range(ctx, kv.RangeRequest{Key: j.keys.Head()})
	if err != nil {
		return Head{}, fmt.Errorf("read journal head: %w", err)
	}
	return headOf(res.Header, res.KVs), nil
}

func headOf(h kv.Header, kvs []kv.KeyValue) Head {
	head := Head{EtcdCluster: h.ClusterID, Revision: h.Revision}
	if len(kvs) == 1 {
		head.Version, head.Position = kvs[0].Version, kvs[0].ModRevision
	}
	return head
}
