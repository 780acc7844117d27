package manifest

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
	"sort"

	"wadi/internal/layout"
	"wadi/objstore"
)

const (
	// tailBytes is how much of a manifest's end Open asks for: all of one of some 9,000 runs, and the footer of any of less
	// than ten million.
	tailBytes = 128 << 10
	// spanBytes is about how much is read at a time by who goes through all of a manifest.
	spanBytes = 1 << 20
)

// Reader reads one manifest. It holds the footer and the end of the object, and no block: whoever comes again for one keeps
// it. It never changes and may be used concurrently.
type Reader struct {
	store  objstore.Store
	key    string
	size   uint64
	footer *footer
	tail   []byte // the last bytes of the object
}

// Open reads the footer of a manifest of size bytes: with one GET, or two when it is longer than tailBytes. Errors are the
// store's, ErrCorrupt or ErrVersion, as those of all methods that read. What ErrCorrupt is about may be right in the store.
func Open(ctx context.Context, store objstore.Store, key string, size uint64) (*Reader, error) {
	if size < headerSize+footerFixed+trailerSize || size > math.MaxInt64 {
		return nil, fmt.Errorf("manifest %s: %w", key, corrupt("%d bytes", size))
	}
	r := &Reader{store: store, key: key, size: size}
	for need := min(size, tailBytes); ; {
		tail, err := store.Get(ctx, key, int64(size-need), int64(need))
		if err != nil {
			return nil, fmt.Errorf("read footer of manifest %s: %w", key, err)
		}
		f, more, err := parseFooter(tail, size)
		switch {
		case err != nil:
			return nil, fmt.Errorf("manifest %s: %w", key, err)
		case f == nil && more <= need:
			return nil, fmt.Errorf("manifest %s: %w", key, corrupt("short footer"))
		case f == nil:
			need = more
			continue
		}
		r.footer, r.tail = f, tail
		if err := r.checkTail(); err != nil {
			return nil, fmt.Errorf("manifest %s: %w", key, err)
		}
		return r, nil
	}
}

// checkTail checks what was read with the footer and stays: a Reader whose tail arrived damaged would be of no use for good.
func (r *Reader) checkTail() error {
	start := r.size - uint64(len(r.tail))
	for _, blocks := range [][]Block{r.footer.runs, r.footer.objects, r.footer.aborted} {
		for _, b := range blocks {
			if b.Position < start {
				continue
			}
			if _, err := opened(b, r.tail[b.Position-start:][:b.Length]); err != nil {
				return err
			}
		}
	}
	if start > 0 {
		return nil // nobody needs the header: the trailer says the same
	}
	h := r.tail[:headerSize]
	switch {
	case string(h[:8]) != headerMagic || binary.BigEndian.Uint32(h[12:]) != crc32.Checksum(h[:12], castagnoli):
		return corrupt("no header")
	case binary.BigEndian.Uint16(h[8:]) != Version1:
		return unknownVersion(binary.BigEndian.Uint16(h[8:]))
	}
	return nil
}

func unknownVersion(v uint16) error {
	return fmt.Errorf("%w: %d, this program reads %d", ErrVersion, v, Version1)
}

// Info says what the manifest holds.
func (r *Reader) Info() Info { return r.footer.info }

// Cost is about how many bytes the Reader takes in memory.
func (r *Reader) Cost() int64 {
	return int64(len(r.tail)) + 8*int64(len(r.footer.sessions)) + indexSize*int64(len(r.footer.runs)+len(r.footer.objects)+len(r.footer.aborted))
}

// Sessions are those that own objects of the manifest, each once, in rising order of their names. The slice is the
// Reader's.
func (r *Reader) Sessions() []layout.Session { return r.footer.sessions }

// RunBlocks are the blocks of runs, in the order of their offsets. The slice is the Reader's.
func (r *Reader) RunBlocks() []Block { return r.footer.runs }

// AbortedBlocks are the blocks of aborted transactions, in the order of their markers. The slice is the Reader's.
func (r *Reader) AbortedBlocks() []Block { return r.footer.aborted }

// BlockOf is the index of the block of runs that holds an offset: the first one for a lower offset, -1 when there is none
// that reaches so far.
func (r *Reader) BlockOf(offset int64) int {
	i := sort.Search(len(r.footer.runs), func(i int) bool { return r.footer.runs[i].Last >= offset })
	if i == len(r.footer.runs) {
		return -1
	}
	return i
}

// read brings adjacent blocks with one GET at most.
func (r *Reader) read(ctx context.Context, blocks []Block) ([][]byte, error) {
	first, last := blocks[0], blocks[len(blocks)-1]
	from, to := first.Position, last.Position+uint64(last.Length)
	var data []byte
	if start := r.size - uint64(len(r.tail)); from >= start {
		data = r.tail[from-start : to-start]
	} else {
		var err error
		if data, err = r.store.Get(ctx, r.key, int64(from), int64(to-from)); err != nil {
			return nil, fmt.Errorf("read manifest %s: %w", r.key, err)
		}
		if uint64(len(data)) != to-from {
			return nil, fmt.Errorf("manifest %s: %w", r.key, corrupt("%d bytes came of %d", len(data), to-from))
		}
	}
	parts := make([][]byte, len(blocks))
	for i, b := range blocks {
		parts[i] = data[b.Position-from : b.Position-from+uint64(b.Length)]
	}
	return parts, nil
}

// spans cuts blocks into stretches that are read together.
func spans(blocks []Block, visit func(first int, some []Block) error) error {
	for from := 0; from < len(blocks); {
		to, bytes := from, uint64(0)
		for to < len(blocks) && (to == from || bytes+uint64(blocks[to].Length) <= spanBytes) {
			bytes += uint64(blocks[to].Length)
			to++
		}
		if err := visit(from, blocks[from:to]); err != nil {
			return err
		}
		from = to
	}
	return nil
}
