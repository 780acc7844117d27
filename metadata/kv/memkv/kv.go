package memkv

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"wadi/metadata/kv"
)

var errClosed = errors.New("memkv: closed")

// Config shapes a KV. The zero value of a field means its default.
type Config struct {
	Options
	Now              func() time.Time // default time.Now
	ProgressInterval time.Duration    // between progress notifications of a quiet watch; default 10 min, as etcd
}

// KV is one client's handle on a store that all handles from Client share. It keeps the contract of kv.KV.
type KV struct {
	srv    *server
	closed context.Context
	close  context.CancelFunc
}

var _ kv.KV = (*KV)(nil)

// server is what the handles share. mu is never held while anything blocks.
type server struct {
	now      func() time.Time
	progress time.Duration
	mu       struct {
		sync.Mutex
		store *Store
		// moved is closed and replaced whenever a watch may have something new to read.
		moved chan struct{}
		// expiry fires at expiryAt, when the first lease may end; nil while there are no leases. armed numbers the timers.
		expiry   *time.Timer
		expiryAt time.Time
		armed    uint64
	}
}

// New makes a KV over an empty store.
func New(c Config) *KV {
	srv := &server{now: c.Now, progress: c.ProgressInterval}
	if srv.now == nil {
		srv.now = time.Now
	}
	if srv.progress == 0 {
		srv.progress = 10 * time.Minute
	}
	srv.mu.store = NewStore(c.Options)
	srv.mu.moved = make(chan struct{})
	return srv.client()
}

func (s *server) client() *KV {
	ctx, cancel := context.WithCancel(context.Background())
	return &KV{srv: s, closed: ctx, close: cancel}
}

// Client is another handle on the same store, as another process would have: its Close ends only what it started.
func (k *KV) Client() *KV { return k.srv.client() }

// Inspect runs f alone on the store, for tests that look inside or play etcd's operator (Snapshot, Restore, SetQuota).
// f must not block and must not keep the store.
func (k *KV) Inspect(f func(s *Store)) {
	_ = k.srv.do(func(s *Store, _ time.Time) error { f(s); return nil })
}

// do runs f on the store after expired leases have ended, then wakes the watches when f changed what they see.
func (s *server) do(f func(st *Store, now time.Time) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	st, now := s.mu.store, s.now()
	rev, compacted := st.rev, st.compacted
	st.Expire(now)
	err := f(st, now)
	if st.rev != rev || st.compacted != compacted {
		close(s.mu.moved)
		s.mu.moved = make(chan struct{})
	}
	s.armLocked(now)
	return err
}

// armLocked keeps one timer running while leases exist, set for no later than the first expiry. A renewal does not touch
// it: it fires at the old time, finds nothing to end, and is set again.
func (s *server) armLocked(now time.Time) {
	at, any := s.mu.store.NextExpiry()
	if s.mu.expiry != nil && any && !at.Before(s.mu.expiryAt) {
		return
	}
	if s.mu.expiry != nil {
		s.mu.expiry.Stop()
		s.mu.expiry = nil
	}
	if !any {
		return
	}
	s.mu.armed++
	armed := s.mu.armed
	s.mu.expiryAt = at
	s.mu.expiry = time.AfterFunc(max(at.Sub(now), time.Millisecond), func() {
		s.mu.Lock()
		if s.mu.armed == armed { // else Stop came too late and another timer runs
			s.mu.expiry = nil
		}
		s.mu.Unlock()
		_ = s.do(func(*Store, time.Time) error { return nil })
	})
}

func (k *KV) do(ctx context.Context, f func(st *Store, now time.Time) error) error {
	if err := k.alive(ctx); err != nil {
		return err
	}
	return k.srv.do(f)
}

func (k *KV) alive(ctx context.Context) error {
	if k.closed.Err() != nil {
		return fmt.Errorf("%w: %w", kv.ErrUnavailable, errClosed)
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("memkv: %w: %w", kv.ErrUnavailable, err)
	}
	return nil
}

// Txn implements kv.KV.
func (k *KV) Txn(ctx context.Context, t kv.Txn) (res kv.TxnResult, err error) {
	err = k.do(ctx, func(st *Store, _ time.Time) (err error) {
		res, err = st.Txn(t)
		return err
	})
	return res, err
}

// Range implements kv.KV.
func (k *KV) Range(ctx context.Context, r kv.RangeRequest) (res kv.RangeResult, err error) {
	err = k.do(ctx, func(st *Store, _ time.Time) (err error) {
		res, err = st.Range(r)
		return err
	})
	return res, err
}

// Grant implements kv.KV.
func (k *KV) Grant(ctx context.Context, ttlSeconds int64) (lease int64, err error) {
	err = k.do(ctx, func(st *Store, now time.Time) (err error) {
		lease, err = st.Grant(now, ttlSeconds)
		return err
	})
	return lease, err
}

// KeepAlive implements kv.KV.
func (k *KV) KeepAlive(ctx context.Context, lease int64) (ttlSeconds int64, err error) {
	err = k.do(ctx, func(st *Store, now time.Time) (err error) {
		ttlSeconds, err = st.KeepAlive(now, lease)
		return err
	})
	return ttlSeconds, err
}

// Revoke implements kv.KV.
func (k *KV) Revoke(ctx context.Context, lease int64) error {
	return k.do(ctx, func(st *Store, _ time.Time) error { return st.Revoke(lease) })
}

// Compact implements kv.KV.
func (k *KV) Compact(ctx context.Context, revision int64) error {
	return k.do(ctx, func(st *Store, _ time.Time) error { return st.Compact(revision) })
}

// Status implements kv.KV.
func (k *KV) Status(ctx context.Context) (res kv.Status, err error) {
	err = k.do(ctx, func(st *Store, _ time.Time) error {
		res = st.Status()
		return nil
	})
	return res, err
}

// Close ends this handle's watches and refuses its further calls. The store lives on in other handles.
func (k *KV) Close() error {
	k.close()
	return nil
}
