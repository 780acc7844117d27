package fetch

import (
	"context"
	"errors"
	"fmt"

	"wadi/internal/layout"
	"wadi/metadata/state"
	"wadi/objstore"
)

// Archives reads inline bytes that left memory.
type Archives interface {
	// Inline returns the inline bytes of the entry at position out of the archive object. With key "" State names no
	// archive yet, and those of the checkpoint that was loaded are asked. The caller owns the bytes.
	Inline(ctx context.Context, key string, size uint64, position int64) ([]byte, error)
}

// wholeObject is the largest object that is loaded whole when a second range of it is asked for.
const wholeObject = 16 << 20

// maxGets bounds the reads from the object store that run at a time.
const maxGets = 64

// place is where a run's bytes lie, resolved against State, and the bytes once they are there. Those of a transaction's
// marker lie nowhere.
type place struct {
	run    state.Run
	object state.Object // that holds them, or the archive of an inline run; Kind 0 = none is known
	bytes  *patched
	err    error // of the load
}

// placeError says which range could not be read.
type placeError struct {
	key    string
	offset int64
	err    error
}

func (e *placeError) Error() string { return fmt.Sprintf("read offset %d: %v", e.offset, e.err) }
func (e *placeError) Unwrap() error { return e.err }

// source brings runs' bytes.
type source struct {
	view      View
	store     objstore.Store
	archives  Archives
	keys      func() layout.Objects
	cache     *cache
	manifests *manifests
	unsettled *unsettled
	gets      chan struct{}
}

func newSource(o Options) *source {
	s := &source{
		view: o.View, store: o.Store, archives: o.Archives, keys: o.Objects, cache: newCache(o.CacheBytes),
		unsettled: newUnsettled(o.CacheBytes / 4), gets: make(chan struct{}, maxGets),
	}
	s.manifests = newManifests(s, o.CacheBytes)
	return s
}

// resolve finds out where a run lies. It is called under the view's read lock. Keys are made when they are needed:
// most runs are in memory.
func resolve(s *state.State, r state.Run) place {
	p := place{run: r}
	switch {
	case r.Marker():
	case r.Inline():
		p.object, _, _ = s.Archive(int64(r.Place))
	default:
		p.object, _ = s.Object(r.Place)
	}
	return p
}

func (s *source) key(p *place) string {
	if p.object.Kind == 0 {
		return ""
	}
	return p.object.Key(s.keys())
}

// cached reports whether the place's bytes are there without I/O, and fills them in; a marker needs none.
func (s *source) cached(p *place) bool {
	if p.bytes != nil || p.run.Marker() {
		return true
	}
	r := p.run
	if r.Inline() {
		k := blockKey{Offset: int64(r.Place)}
		b := s.cache.lookup(k)
		if b == nil {
			data := s.view.Inline(int64(r.Place))
			if data == nil {
				return false
			}
			// The view's bytes are shared: the patched ones are a copy of their own.
			b = s.cache.insert(k, &block{data: append([]byte(nil), data...)})
		}
		return s.patch(p, k, b, int64(r.Offset))
	}
	k := blockKey{Object: r.Place}
	if b := s.cache.lookup(k); b != nil {
		return s.patch(p, k, b, int64(r.Offset))
	}
	if k := rangeOf(r); s.patch(p, k, s.cache.lookup(k), 0) {
		return true
	}
	if s.unsettled.empty() {
		return false
	}
	// Readers hear of an entry before ingest does, which tells the number of its object.
	if b := s.unsettled.get(s.key(p)); b != nil {
		return s.patch(p, k, s.cache.insert(k, b), int64(r.Offset))
	}
	return false
}

// patch takes the place's bytes out of a block. A block that is not what State says is forgotten.
func (s *source) patch(p *place, k blockKey, b *block, at int64) bool {
	if b == nil {
		return false
	}
	x, err := b.run(p.run, at)
	if err != nil {
		s.cache.drop(k, b)
		p.err = err
		return false
	}
	p.bytes, p.err = x, nil
	return true
}

func rangeOf(r state.Run) blockKey {
	return blockKey{Object: r.Place, Offset: int64(r.Offset), Length: int64(r.Length)}
}

// load returns the bytes of a place that is no marker, reading what is not in memory. An error stays with the place. What arrives corrupt is
// read a second time: the bytes in the store may be right.
func (s *source) load(ctx context.Context, p *place) (*patched, error) {
	if s.cached(p) {
		return p.bytes, nil
	}
	var failed *placeError
	if errors.As(p.err, &failed) {
		return nil, p.err
	}
	for range 2 {
		k, at, fill := s.plan(p)
		b, err := s.cache.get(ctx, k, func(ctx context.Context) (*block, error) {
			if err := s.begin(ctx); err != nil {
				return nil, err
			}
			defer s.end()
			data, err := fill(ctx)
			if err != nil {
				return nil, err
			}
			return &block{data: data}, nil
		})
		if err != nil {
			p.err = err
			break
		}
		if s.patch(p, k, b, at) {
			return p.bytes, nil
		}
	}
	p.err = &placeError{key: s.key(p), offset: p.run.Base, err: p.err}
	return nil, p.err
}

// begin waits for a turn to read from the store; end gives it up.
func (s *source) begin(ctx context.Context) error {
	select {
	case s.gets <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *source) end() { <-s.gets }

// plan says what to read for a place: under which key it is cached, where in it the run lies, and how to get it.
func (s *source) plan(p *place) (k blockKey, at int64, fill func(context.Context) ([]byte, error)) {
	r, key, size := p.run, s.key(p), p.object.Size
	switch {
	case r.Inline():
		return blockKey{Offset: int64(r.Place)}, int64(r.Offset), func(ctx context.Context) ([]byte, error) {
			return s.archives.Inline(ctx, key, size, int64(r.Place))
		}
	case key == "":
		return rangeOf(r), 0, func(context.Context) ([]byte, error) {
			return nil, fmt.Errorf("object %d is not in State: %w", r.Place, objstore.ErrNotFound)
		}
	case size <= wholeObject && s.cache.second(r.Place, r.Offset):
		return blockKey{Object: r.Place}, int64(r.Offset), func(ctx context.Context) ([]byte, error) {
			return s.store.Get(ctx, key, 0, int64(size))
		}
	default:
		return rangeOf(r), 0, func(ctx context.Context) ([]byte, error) {
			return s.store.Get(ctx, key, int64(r.Offset), int64(r.Length))
		}
	}
}

func isContext(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}
