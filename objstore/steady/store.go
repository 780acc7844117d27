package steady

import (
	"context"
	"sync/atomic"
	"time"

	"wadi/objstore"
)

// Store is a steady objstore.Store and objstore.EitherPutter. Make it with New.
type Store struct {
	inner   objstore.Store
	cfg     Config
	writes  *lane
	reads   *lane
	tickets atomic.Uint64
}

var (
	_ objstore.Store        = (*Store)(nil)
	_ objstore.EitherPutter = (*Store)(nil)
)

// New decorates inner, which makes one attempt per call.
func New(inner objstore.Store, cfg Config) *Store {
	s := &Store{inner: inner, cfg: cfg.withDefaults()}
	s.writes, s.reads = newLane(&s.cfg, Write), newLane(&s.cfg, Read)
	return s
}

// nothing is the value of calls that return none.
type nothing struct{}

// call is one call through a lane.
func call[T any](ctx context.Context, s *Store, l *lane, r request[T]) (T, error) {
	ticket := s.tickets.Add(1)
	return repeat(ctx, l, r.name, func(ctx context.Context, n int) (T, error) { return send(ctx, l, ticket, n, r) })
}

// Put is repeated and never hedged: it has one name.
func (s *Store) Put(ctx context.Context, key string, body objstore.Body) error {
	_, err := call(ctx, s, s.writes, request[nothing]{
		name: name{"put", key}, bytes: body.Size(), sent: body.Size(),
		first: func(ctx context.Context) (nothing, error) { return nothing{}, s.inner.Put(ctx, key, body) },
	})
	return err
}

// PutEither implements objstore.EitherPutter: second is the name of the hedge.
func (s *Store) PutEither(ctx context.Context, first, second string, body objstore.Body) (string, error) {
	under := func(key string) func(context.Context) (string, error) {
		return func(ctx context.Context) (string, error) { return key, s.inner.Put(ctx, key, body) }
	}
	return call(ctx, s, s.writes, request[string]{
		name: name{"put", first}, bytes: body.Size(), sent: body.Size(), first: under(first), second: under(second),
	})
}

// Get is repeated and hedged. Its time is that of an answer's first byte: a store that has more to read asks for more
// (objstore.Attempt), for a length may lie far beyond the object's end.
func (s *Store) Get(ctx context.Context, key string, off, length int64) ([]byte, error) {
	get := func(ctx context.Context) ([]byte, error) { return s.inner.Get(ctx, key, off, length) }
	return call(ctx, s, s.reads, request[[]byte]{name: name{"get", key}, bytes: length, first: get, second: get})
}

// List is repeated.
func (s *Store) List(ctx context.Context, prefix, after string, limit int) ([]objstore.Info, error) {
	return call(ctx, s, s.reads, request[[]objstore.Info]{
		name:  name{"list", prefix},
		first: func(ctx context.Context) ([]objstore.Info, error) { return s.inner.List(ctx, prefix, after, limit) },
	})
}

// Delete is repeated as a whole: a missing object counts as removed.
func (s *Store) Delete(ctx context.Context, keys []string) error {
	first := "no objects"
	if len(keys) > 0 {
		first = keys[0]
	}
	_, err := call(ctx, s, s.writes, request[nothing]{
		name:  name{"delete", first},
		first: func(ctx context.Context) (nothing, error) { return nothing{}, s.inner.Delete(ctx, keys) },
	})
	return err
}

// Date is repeated.
func (s *Store) Date(ctx context.Context) (time.Time, error) {
	return call(ctx, s, s.reads, request[time.Time]{name: name{"date of", "the store"}, first: s.inner.Date})
}

// Close closes the inner store. Calls in progress must have ended.
func (s *Store) Close() error { return objstore.Close(s.inner) }
