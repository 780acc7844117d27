// Package mem keeps objects in memory: for tests, for simulations and for a cluster that may forget everything. Every
// method is a plain synchronous call without goroutines or waits, so a single-threaded event loop can use it too.
package mem

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"wadi/objstore"
)

// Store is an objstore.Store in memory. Make it with New.
type Store struct {
	clock func() time.Time
	mu    struct {
		sync.RWMutex
		objects map[string]object
		keys    []string // of objects, sorted
		uploads map[string]*upload
		begun   uint64 // uploads so far; the number of one is its id
	}
}

type object struct {
	data     []byte // never changed once stored
	modified time.Time
}

var _ objstore.Store = (*Store)(nil)

// Option changes a new Store.
type Option func(*Store)

// WithClock replaces time.Now as the source of Date and of modification times.
func WithClock(clock func() time.Time) Option { return func(s *Store) { s.clock = clock } }

// New is an empty store.
func New(opts ...Option) *Store {
	s := &Store{clock: time.Now}
	s.mu.objects = make(map[string]object)
	s.mu.uploads = make(map[string]*upload)
	for _, o := range opts {
		o(s)
	}
	return s
}

// Put copies the body.
func (s *Store) Put(ctx context.Context, key string, body objstore.Body) error {
	if err := objstore.CheckKey(key); err != nil {
		return fmt.Errorf("put: %w", err)
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("put %s: %w", key, err)
	}
	if err := body.Verify(); err != nil {
		return fmt.Errorf("put %s: %w", key, err)
	}
	data := body.Bytes() // outside the lock: it may be megabytes
	s.mu.Lock()
	defer s.mu.Unlock()
	if old, ok := s.mu.objects[key]; ok {
		if string(old.data) == string(data) {
			return nil
		}
		return fmt.Errorf("put %s: %w", key, objstore.ErrExists)
	}
	if err := s.createLocked(key, data); err != nil {
		return fmt.Errorf("put %s: %w", key, err)
	}
	return nil
}

// createLocked stores an object under a key that is free.
func (s *Store) createLocked(key string, data []byte) error {
	at, err := s.placeLocked(key)
	if err != nil {
		return err
	}
	s.mu.objects[key] = object{data: data, modified: s.clock()}
	s.mu.keys = slices.Insert(s.mu.keys, at, key)
	return nil
}

// placeLocked finds where a new key belongs and refuses one above or beneath an object's key.
func (s *Store) placeLocked(key string) (int, error) {
	for i := range len(key) {
		if key[i] == '/' {
			if _, ok := s.mu.objects[key[:i]]; ok {
				return 0, fmt.Errorf("%w: %s is an object", objstore.ErrKey, key[:i])
			}
		}
	}
	dir := key + "/"
	if i, _ := slices.BinarySearch(s.mu.keys, dir); i < len(s.mu.keys) && strings.HasPrefix(s.mu.keys[i], dir) {
		return 0, fmt.Errorf("%w: %s is an object", objstore.ErrKey, s.mu.keys[i])
	}
	at, _ := slices.BinarySearch(s.mu.keys, key)
	return at, nil
}

// Get copies the range.
func (s *Store) Get(ctx context.Context, key string, off, length int64) ([]byte, error) {
	if err := objstore.CheckKey(key); err != nil {
		return nil, fmt.Errorf("get: %w", err)
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("get %s: %w", key, err)
	}
	if err := objstore.CheckRange(key, off, length); err != nil {
		return nil, err
	}
	s.mu.RLock()
	o, ok := s.mu.objects[key]
	s.mu.RUnlock()
	if !ok {
		return nil, fmt.Errorf("get %s: %w", key, objstore.ErrNotFound)
	}
	n, err := objstore.ResolveRange(key, int64(len(o.data)), off, length)
	if err != nil {
		return nil, err
	}
	out := make([]byte, n)
	copy(out, o.data[off:])
	return out, nil
}

// List costs a binary search and the objects it returns.
func (s *Store) List(ctx context.Context, prefix, after string, limit int) ([]objstore.Info, error) {
	if err := objstore.CheckList(limit); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("list %s: %w", prefix, err)
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	i, found := slices.BinarySearch(s.mu.keys, max(prefix, after))
	if found && s.mu.keys[i] == after {
		i++
	}
	var out []objstore.Info
	for ; i < len(s.mu.keys) && len(out) < limit && strings.HasPrefix(s.mu.keys[i], prefix); i++ {
		o := s.mu.objects[s.mu.keys[i]]
		out = append(out, objstore.Info{Key: s.mu.keys[i], Size: int64(len(o.data)), Modified: o.modified})
	}
	return out, nil
}

// Delete removes all keys at one instant.
func (s *Store) Delete(ctx context.Context, keys []string) error {
	if err := objstore.CheckDelete(keys); err != nil {
		return fmt.Errorf("delete: %w", err)
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("delete: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range keys {
		if _, ok := s.mu.objects[k]; !ok {
			continue
		}
		delete(s.mu.objects, k)
		i, _ := slices.BinarySearch(s.mu.keys, k)
		s.mu.keys = slices.Delete(s.mu.keys, i, i+1)
	}
	return nil
}

// Date is the clock's time.
func (s *Store) Date(ctx context.Context) (time.Time, error) {
	if err := ctx.Err(); err != nil {
		return time.Time{}, fmt.Errorf("date: %w", err)
	}
	return s.clock(), nil
}
