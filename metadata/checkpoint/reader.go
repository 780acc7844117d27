package checkpoint

import (
	"container/list"
	"context"
	"fmt"
	"sync"

	"google.golang.org/protobuf/proto"

	"wadi/internal/layout"
	"wadi/metadata/journal"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/state"
	"wadi/objstore"
)

// Reader loads checkpoints and reads inline data out of archives.
type Reader struct {
	store objstore.Store
	keys  layout.Objects
	ahead int
	mu    struct {
		sync.Mutex
		known   []*pb.ArchiveRef // of the root loaded last: State may not have them yet
		indexes lru[string, *archiveIndex]
		chunks  lru[chunkKey, map[int64][]byte]
	}
}

type chunkKey struct {
	archive string
	first   int
}

// An index of a 16 MiB archive takes about 1 MiB, a chunk about as much.
const (
	keptIndexes = 16
	keptChunks  = 32
)

// ReadsAhead of about a MiB keep a stream of 80 MB/s busy against a first byte after 100 ms.
const ReadsAhead = 8

// NewReader reads from a cluster's prefix. A load has up to `ahead` reads under way, usually ReadsAhead; with 1 it
// stays on its caller's goroutine.
func NewReader(store objstore.Store, keys layout.Objects, ahead int) *Reader {
	r := &Reader{store: store, keys: keys, ahead: ahead}
	r.mu.indexes = newLRU[string, *archiveIndex](keptIndexes)
	r.mu.chunks = newLRU[chunkKey, map[int64][]byte](keptChunks)
	return r
}

// Load implements view.Checkpoints: base, then archives, up to exactly the pointer's position and digest.
func (r *Reader) Load(ctx context.Context, p *pb.Pointer) (*state.State, error) {
	root, err := ReadRoot(ctx, r.store, p.Root)
	if err != nil {
		return nil, err
	}
	if root.Position != p.Position || root.Head != p.Head || string(root.Digest) != string(p.Digest) {
		return nil, fmt.Errorf("root %s is not the one that the pointer names: %w: %w", p.Root, ErrFormat, journal.ErrRolledBack)
	}
	s, err := loadRoot(ctx, r.store, root, r.ahead)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	r.mu.known = root.Archives
	r.mu.Unlock()
	return s, nil
}

// LoadRoot rebuilds the state at a root's mark.
func LoadRoot(ctx context.Context, store objstore.Store, root *pb.Root) (*state.State, error) {
	return loadRoot(ctx, store, root, ReadsAhead)
}

func loadRoot(ctx context.Context, store objstore.Store, root *pb.Root, window int) (*state.State, error) {
	s, err := loadBase(ctx, store, root.Base, min(window, partsAhead))
	if err != nil {
		return nil, err
	}
	var archives []*pb.ArchiveRef
	at := s.Position()
	for _, a := range root.Archives {
		if a.To <= root.Base.Position {
			continue
		}
		if a.From != at {
			return nil, fmt.Errorf("archive %s starts behind position %d instead of %d: %w", a.Object.Key, a.From, at, ErrFormat)
		}
		at = a.To
		archives = append(archives, a)
	}
	if err := replay(ctx, store, archives, s, window); err != nil {
		return nil, err
	}
	digest := s.Digest()
	if s.Position() != root.Position || string(digest[:]) != string(root.Digest) {
		return nil, fmt.Errorf("the root is at position %d with digest %x, its base and archives lead to %d with %x: %w",
			root.Position, root.Digest, s.Position(), digest, state.ErrBase)
	}
	return s, nil
}

// replay applies archives that follow each other.
func replay(ctx context.Context, store objstore.Store, archives []*pb.ArchiveRef, s *state.State, window int) error {
	type chunk struct {
		key  string
		x    *archiveIndex
		i, j int
	}
	var chunks []chunk
	next := 0
	err := ahead(ctx, len(archives), window, func(ctx context.Context, i int) (*archiveIndex, error) {
		return readIndex(ctx, store, archives[i].Object.Key, archives[i].Object.Size)
	}, func(x *archiveIndex) error {
		for i := 0; i < len(x.entries); {
			_, j := x.chunk(i)
			chunks = append(chunks, chunk{archives[next].Object.Key, x, i, j})
			i = j
		}
		next++
		return nil
	})
	if err != nil {
		return fmt.Errorf("read archives: %w", err)
	}
	return ahead(ctx, len(chunks), window, func(ctx context.Context, i int) ([]journal.Entry, error) {
		c := chunks[i]
		return c.x.read(ctx, store, c.key, c.i, c.j)
	}, func(entries []journal.Entry) error {
		for _, e := range entries {
			d, err := state.Decode(e.Position, e.Session, e.Seq, e.Value)
			if err != nil {
				return fmt.Errorf("replay archives: %w", err)
			}
			s.Apply(d)
		}
		return nil
	})
}

// Inline returns the inline bytes of the entry at a position. key and size name the archive that State gives; with
// key "" State has none yet, and the root loaded last is asked.
func (r *Reader) Inline(ctx context.Context, key string, size uint64, position int64) ([]byte, error) {
	if key == "" {
		r.mu.Lock()
		for _, a := range r.mu.known {
			if a.From < position && position <= a.To {
				key, size = a.Object.Key, a.Object.Size
			}
		}
		r.mu.Unlock()
		if key == "" {
			return nil, fmt.Errorf("inline data of position %d: %w", position, objstore.ErrNotFound)
		}
	}
	x, err := r.index(ctx, key, size)
	if err != nil {
		return nil, err
	}
	k, ok := x.find(position)
	if !ok {
		return nil, fmt.Errorf("archive %s has no entry at position %d: %w", key, position, ErrFormat)
	}
	i, j := x.chunk(k)
	id := chunkKey{key, i}
	r.mu.Lock()
	inline, ok := r.mu.chunks.get(id)
	r.mu.Unlock()
	if !ok {
		entries, err := x.read(ctx, r.store, key, i, j)
		if err != nil {
			return nil, err
		}
		inline = make(map[int64][]byte, len(entries))
		for _, e := range entries {
			m := &pb.Entry{}
			if err := proto.Unmarshal(e.Value, m); err != nil {
				return nil, fmt.Errorf("archive %s: entry at position %d: %w: %w", key, e.Position, ErrFormat, err)
			}
			inline[e.Position] = m.Inline
		}
		r.mu.Lock()
		r.mu.chunks.put(id, inline)
		r.mu.Unlock()
	}
	return append([]byte(nil), inline[position]...), nil
}

func (r *Reader) index(ctx context.Context, key string, size uint64) (*archiveIndex, error) {
	r.mu.Lock()
	x, ok := r.mu.indexes.get(key)
	r.mu.Unlock()
	if ok {
		return x, nil
	}
	x, err := readIndex(ctx, r.store, key, size)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	r.mu.indexes.put(key, x)
	r.mu.Unlock()
	return x, nil
}

// lru keeps the values used last. Two readers may both load what neither found: harmless.
type lru[K comparable, V any] struct {
	limit int
	order *list.List // front = newest, of pair
	byKey map[K]*list.Element
}

type pair[K comparable, V any] struct {
	key   K
	value V
}

func newLRU[K comparable, V any](limit int) lru[K, V] {
	return lru[K, V]{limit: limit, order: list.New(), byKey: map[K]*list.Element{}}
}

func (l *lru[K, V]) get(k K) (v V, ok bool) {
	e, ok := l.byKey[k]
	if !ok {
		return v, false
	}
	l.order.MoveToFront(e)
	return e.Value.(pair[K, V]).value, true
}

func (l *lru[K, V]) put(k K, v V) {
	if e, ok := l.byKey[k]; ok {
		l.order.Remove(e)
	}
	l.byKey[k] = l.order.PushFront(pair[K, V]{k, v})
	if l.order.Len() > l.limit {
		last := l.order.Back()
		l.order.Remove(last)
		delete(l.byKey, last.Value.(pair[K, V]).key)
	}
}
