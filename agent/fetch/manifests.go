package fetch

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"unsafe"

	"wadi/metadata/manifest"
	"wadi/metadata/state"
	"wadi/objstore"
)

// manifests brings what manifest objects say. What was read of them is kept in pieces: a reader, which has the footer, and
// decoded blocks. A manifest never changes; one that was replaced falls out of the cache in its time.
type manifests struct {
	src    *source
	pieces lru[pieceKey, *piece]
}

// Of the memory of the cache for records, manifests get a share on top, and at least some: a piece takes up to half a
// mebibyte.
const (
	manifestShare = 16
	leastPieces   = 4 << 20
)

func newManifests(src *source, cacheBytes int64) *manifests {
	m := &manifests{src: src}
	m.pieces.init(max(cacheBytes/manifestShare, leastPieces))
	return m
}

type pieceKind uint8

const (
	readerPiece pieceKind = iota
	runsPiece
	abortedPiece
)

// pieceKey names a part of a manifest by its object's number in State.
type pieceKey struct {
	object uint64
	kind   pieceKind
	index  int32 // of the block
}

type piece struct {
	reader  *manifest.Reader
	runs    []manifest.Run
	aborted []manifest.Aborted
}

func (p *piece) cost() int64 {
	n := int64(blockOverhead) + int64(len(p.runs))*int64(unsafe.Sizeof(manifest.Run{})) + int64(len(p.aborted))*int64(unsafe.Sizeof(manifest.Aborted{}))
	if p.reader != nil {
		n += p.reader.Cost()
	}
	return n
}

// volume is a partition's manifest as State names it.
type volume struct {
	state.Manifest
	topic     state.TopicID
	partition int32
	object    state.Object // that holds it
	found     bool         // State has the object
}

// volumeOf is called under the view's read lock, for a partition that has a manifest.
func volumeOf(s *state.State, t *state.Topic, partition int32) volume {
	v := volume{Manifest: *t.Partition(partition).Manifest, topic: t.ID, partition: partition}
	v.object, v.found = s.Object(v.Object)
	return v
}

// errNotCached says that a piece would have to be read.
var errNotCached = errors.New("not in memory")

// piece returns a part of a manifest, reading it when it is not in memory; with cached it is errNotCached then. What
// arrives corrupt is read a second time: the bytes in the store may be right. Errors are a placeError.
func (m *manifests) piece(
	ctx context.Context, v *volume, kind pieceKind, index int, cached bool, fill func(context.Context, string) (*piece, error),
) (*piece, error) {
	k := pieceKey{object: v.Object, kind: kind, index: int32(index)}
	if cached {
		if p := m.pieces.lookup(k); p != nil {
			return p, nil
		}
		return nil, errNotCached
	}
	key := ""
	if v.found {
		key = v.object.Key(m.src.keys())
	}
	p, err := m.pieces.get(ctx, k, func(ctx context.Context) (p *piece, err error) {
		if !v.found {
			return nil, fmt.Errorf("object %d is not in State: %w", v.Object, objstore.ErrNotFound)
		}
		if err := m.src.begin(ctx); err != nil {
			return nil, err
		}
		defer m.src.end()
		for range 2 {
			if p, err = fill(ctx, key); !errors.Is(err, manifest.ErrCorrupt) && !errors.Is(err, objstore.ErrCorrupt) {
				break
			}
		}
		return p, err
	})
	if err != nil {
		return nil, &placeError{key: key, offset: v.First, err: err}
	}
	return p, nil
}

// reader is a manifest's. One that is not what State says of it is corrupt.
func (m *manifests) reader(ctx context.Context, v *volume, cached bool) (*manifest.Reader, error) {
	p, err := m.piece(ctx, v, readerPiece, 0, cached, func(ctx context.Context, key string) (*piece, error) {
		r, err := manifest.Open(ctx, m.src.store, key, v.object.Size)
		if err != nil {
			return nil, err
		}
		if i := r.Info(); i.Topic != [16]byte(v.topic) || i.Partition != v.partition || i.Last != v.Last || i.First > v.First || i.Runs != v.Runs || i.Objects != v.Owned {
			return nil, fmt.Errorf("%w: it holds %+v, the metadata says %+v of partition %d", manifest.ErrCorrupt, i, v.Manifest, v.partition)
		}
		return &piece{reader: r}, nil
	})
	if err != nil {
		return nil, err
	}
	return p.reader, nil
}

// runs are those of block i.
func (m *manifests) runs(ctx context.Context, v *volume, r *manifest.Reader, i int, cached bool) ([]manifest.Run, error) {
	p, err := m.piece(ctx, v, runsPiece, i, cached, func(ctx context.Context, _ string) (*piece, error) {
		list, err := r.RunBlock(ctx, i)
		return &piece{runs: list}, err
	})
	if err != nil {
		return nil, err
	}
	return p.runs, nil
}

// aborted appends to dst the aborted transactions that overlap the offsets from `from` to `to`.
func (m *manifests) aborted(
	ctx context.Context, v *volume, r *manifest.Reader, from, to int64, cached bool, dst []manifest.Aborted,
) ([]manifest.Aborted, error) {
	blocks := r.AbortedBlocks()
	for i := sort.Search(len(blocks), func(i int) bool { return blocks[i].Last >= from }); i < len(blocks); i++ {
		p, err := m.piece(ctx, v, abortedPiece, i, cached, func(ctx context.Context, _ string) (*piece, error) {
			list, err := r.AbortedBlock(ctx, i)
			return &piece{aborted: list}, err
		})
		if err != nil {
			return nil, err
		}
		var done bool
		if dst, done = manifest.Overlapping(p.aborted, from, to, dst); done {
			break
		}
	}
	return dst, nil
}

// firstAt is the index of the first run that reaches an offset.
func firstAt(runs []manifest.Run, offset int64) int {
	return sort.Search(len(runs), func(i int) bool { return runs[i].Last >= offset })
}

// placed is where a manifest's run lies.
func placed(r manifest.Run) place { return place{run: r.Run, object: r.Object.Stored()} }
