// Package kv is the contract between Wadi's metadata and etcd: revisioned keys, guarded transactions, leases, watches.
// Package etcdkv keeps it with a real etcd (remote or embedded), package memkv in memory for tests and the simulator.
// Both pass the suite in package kvtest. Everything above (journal, sessions, jobs, checkpoint pointer) is written once,
// against this interface, and fault decorators wrap it.
package kv

import (
	"context"
	"errors"
)

// Sentinels. Any error that is none of the definite ones leaves the outcome of a write unknown.
var (
	// ErrCompacted: the revision asked for is compacted away (range or watch).
	ErrCompacted = errors.New("revision compacted")
	// ErrFuture: the revision asked for is above the store's: it was rolled back.
	ErrFuture = errors.New("revision in the future")
	// ErrTooLarge: the request was refused for its size. Definite: nothing was written.
	ErrTooLarge = errors.New("request too large")
	// ErrDenied: the credentials do not allow it. Definite: nothing was written.
	ErrDenied = errors.New("permission denied")
	// ErrNoSpace: the quota is exhausted. The outcome is unknown, as etcd may answer it after proposing.
	ErrNoSpace = errors.New("database space exceeded")
	// ErrUnavailable: no answer, no leader, a lost connection, a deadline. The outcome is unknown.
	ErrUnavailable = errors.New("etcd unavailable")
	// ErrLeaseNotFound: the lease has expired or was revoked.
	ErrLeaseNotFound = errors.New("lease not found")
)

// Definite reports whether err proves that a write did nothing.
func Definite(err error) bool {
	return errors.Is(err, ErrTooLarge) || errors.Is(err, ErrDenied) || errors.Is(err, ErrLeaseNotFound)
}

// KeyValue is one stored key. Version counts the puts since the key was last created; it is 1 after creation.
type KeyValue struct {
	Key            string
	Value          []byte
	CreateRevision int64
	ModRevision    int64
	Version        int64
	Lease          int64
}

// Target is what a Compare looks at.
type Target uint8

const (
	CreateRevision Target = iota + 1 // 0 = the key does not exist
	ModRevision                      // 0 = the key does not exist
	Version                          // 0 = the key does not exist
)

// Compare is true when the key's target equals Want.
type Compare struct {
	Key    string
	Target Target
	Want   int64
}

// Op is one step of a transaction: exactly one of the fields' groups is used, by Kind.
type Op struct {
	Kind  OpKind
	Key   string
	End   string // Get, Delete: range end (exclusive); "" = the key alone
	Value []byte // Put
	Lease int64  // Put: 0 = none
	Limit int64  // Get: 0 = all
}

type OpKind uint8

const (
	OpPut OpKind = iota + 1
	OpGet
	OpDelete
)

func Put(key string, value []byte, lease int64) Op {
	return Op{Kind: OpPut, Key: key, Value: value, Lease: lease}
}
func Get(key string) Op    { return Op{Kind: OpGet, Key: key} }
func Delete(key string) Op { return Op{Kind: OpDelete, Key: key} }

// Txn applies Then when every compare holds, else Else, atomically, at one revision.
type Txn struct {
	If   []Compare
	Then []Op
	Else []Op
}

// Header comes with every answer.
type Header struct {
	ClusterID uint64 // the etcd cluster's id
	Revision  int64  // the store's revision at the answer
}

// TxnResult is a transaction's answer. Gets holds one entry for each Get of the branch taken, in order.
type TxnResult struct {
	Header    Header
	Succeeded bool
	Gets      [][]KeyValue
	Deleted   int64 // keys removed by the branch's deletes
}

// RangeRequest reads keys in [Key, End), in key order, or Key alone when End is "".
type RangeRequest struct {
	Key, End     string
	Revision     int64 // 0 = the newest, linearizable; else as of that revision
	Limit        int64 // 0 = no limit
	KeysOnly     bool
	CountOnly    bool
	Serializable bool // may be answered by a lagging member
}

// RangeResult is a range's answer. More tells that Limit cut it. Count is the number of keys in the range.
type RangeResult struct {
	Header Header
	KVs    []KeyValue
	More   bool
	Count  int64
}

// Event is one change of a key. For a delete only Key and ModRevision are set.
type Event struct {
	Delete bool
	KV     KeyValue
}

// WatchRequest asks for the changes of [Key, End) from revision From on.
type WatchRequest struct {
	Key, End string
	From     int64
	NoDelete bool // filter delete events out at the server
	Progress bool // ask for progress notifications now and then
}

// WatchResponse carries the events of one or more whole revisions, in order: the events of one revision are never
// split over two responses. An empty Events with Err nil is a progress notification for Header.Revision.
// After a response with Err the channel is closed.
type WatchResponse struct {
	Header Header
	Events []Event
	Err    error // ErrCompacted (CompactRevision is set), ErrFuture, ErrUnavailable
	// CompactRevision is the lowest revision that can still be watched when Err is ErrCompacted.
	CompactRevision int64
}

// Status describes the store's size, for quota stages.
type Status struct {
	Header     Header
	DBSize     int64 // bytes of the database file
	DBInUse    int64 // bytes in use in it
	QuotaBytes int64 // 0 = unknown
	NoSpace    bool  // the NOSPACE alarm is raised
	Members    int
}

// KV is one etcd. All methods may be called concurrently. Every method obeys ctx; the implementation adds no retries
// of writes: a failed Txn, Grant or Compact was sent at most once.
type KV interface {
	Txn(ctx context.Context, t Txn) (TxnResult, error)
	Range(ctx context.Context, r RangeRequest) (RangeResult, error)
	// Watch starts a watch on its own stream, leader required. The channel is closed after ctx ends or after a
	// response with Err. It holds at most a few responses; a slow reader slows the stream, never loses events.
	Watch(ctx context.Context, w WatchRequest) <-chan WatchResponse
	// Grant creates a lease. ttl is in seconds; the lease ends no earlier than ttl after the last renewal.
	Grant(ctx context.Context, ttlSeconds int64) (lease int64, err error)
	// KeepAlive renews a lease once, on a path that no Txn can delay. ErrLeaseNotFound is definite.
	KeepAlive(ctx context.Context, lease int64) (ttlSeconds int64, err error)
	Revoke(ctx context.Context, lease int64) error
	// Compact discards history below revision.
	Compact(ctx context.Context, revision int64) error
	Status(ctx context.Context) (Status, error)
	Close() error
}

// PrefixEnd is the End that makes [prefix, End) all keys that start with prefix.
func PrefixEnd(prefix string) string {
	b := []byte(prefix)
	for i := len(b) - 1; i >= 0; i-- {
		if b[i] < 0xff {
			b[i]++
			return string(b[:i+1])
		}
	}
	return "\x00"
}
