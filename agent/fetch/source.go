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
	// Inline returns the inline bytes of the entry at position out of the archive object. The caller owns them.
	Inline(ctx context.Context, key string, size uint64, position int64) ([]byte, error)
}

// wholeObject is the largest object that is loaded whole when a second range of it is asked for.
const wholeObject = 16 << 20

// maxGets bounds the reads from the object store that run at a time.
const maxGets = 64

// place is where a run's bytes lie, resolved against State.
type place struct {
	run    state.Run
	key    string // of the object, or of the archive that holds an inline run; "" = only in memory
	object uint64 // number
	size   uint64 // of that object
}

// source brings runs' bytes.
type source struct {
	view     View
	store    objstore.Store
	archives Archives
	cache    *cache
	gets     chan struct{}
}

// resolve finds out where a run lies. It is called under the view's read lock.
func resolve(s *state.State, keys layout.Objects, r state.Run) place {
	p := place{run: r}
	var o state.Object
	var ok bool
	if r.Inline() {
		o, p.object, ok = s.Archive(int64(r.Place))
	} else {
		p.object = r.Place
		o, ok = s.Object(r.Place)
	}
	if ok {
		p.key, p.size = o.Key(keys), o.Size
	}
	return p
}

// cached returns the run when no I/O is needed for it, else nil.
func (s *source) cached(p place) (*patched, error) {
	r := p.run
	if r.Inline() {
		k := blockKey{Offset: int64(r.Place)}
		b := s.cache.lookup(k)
		if b == nil {
			data := s.view.Inline(int64(r.Place))
			if data == nil {
				return nil, nil
			}
			// The view's bytes are shared: the patched ones are a copy of their own.
			b = &block{data: append([]byte(nil), data...)}
			s.cache.insert(k, b)
		}
		return b.run(r, int64(r.Offset))
	}
	if b := s.cache.lookup(blockKey{Object: r.Place}); b != nil {
		return b.run(r, int64(r.Offset))
	}
	if b := s.cache.lookup(rangeOf(r)); b != nil {
		return b.run(r, 0)
	}
	return nil, nil
}

func rangeOf(r state.Run) blockKey {
	return blockKey{Object: r.Place, Offset: int64(r.Offset), Length: int64(r.Length)}
}

// load returns the run, reading what is not in memory.
func (s *source) load(ctx context.Context, p place) (*patched, error) {
	if x, err := s.cached(p); x != nil || err != nil {
		return x, err
	}
	r := p.run
	if p.key == "" {
		return nil, fmt.Errorf("run at offset %d: %w", r.Base, objstore.ErrNotFound)
	}
	k, at := rangeOf(r), int64(0)
	fill := func(ctx context.Context) ([]byte, error) {
		return s.store.Get(ctx, p.key, int64(r.Offset), int64(r.Length))
	}
	switch {
	case r.Inline():
		k, at = blockKey{Offset: int64(r.Place)}, int64(r.Offset)
		fill = func(ctx context.Context) ([]byte, error) {
			return s.archives.Inline(ctx, p.key, p.size, int64(r.Place))
		}
	case p.size <= wholeObject && s.cache.second(r.Place):
		k, at = blockKey{Object: r.Place}, int64(r.Offset)
		fill = func(ctx context.Context) ([]byte, error) { return s.store.Get(ctx, p.key, 0, int64(p.size)) }
	}
	b, err := s.cache.get(ctx, k, func(ctx context.Context) ([]byte, error) {
		select {
		case s.gets <- struct{}{}:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		defer func() { <-s.gets }()
		return fill(ctx)
	})
	if err != nil {
		return nil, err
	}
	return b.run(r, at)
}

func isContext(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}
