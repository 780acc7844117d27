package fetch

import (
	"fmt"
	"sort"
	"sync"

	"wadi/internal/batch"
	"wadi/metadata/state"
	"wadi/objstore"
)

// block is cached bytes. Ranges of it are patched when they are first read.
type block struct {
	data    []byte
	trusted bool // a copy of what this agent validated itself: no bit of it went through a store
	mu      sync.Mutex
	runs    map[int64]*patched // by offset in data
}

// patched is a run whose batches carry their offsets, with an index to start reading from the middle.
type patched struct {
	once  sync.Once
	run   state.Run
	data  []byte
	index []mark // every indexStep bytes or so, rising
	err   error
}

type mark struct {
	offset int64 // base offset of the batch at
	at     int   // this position
}

const indexStep = 32 << 10

// run returns the run's bytes at `at` in the block with offsets patched in. The first reader patches: base offset and
// leader epoch 0, neither of which the batch's CRC covers. Nobody sees the range before, and nobody writes to it
// afterwards.
func (b *block) run(r state.Run, at int64) (*patched, error) {
	end := at + int64(r.Length)
	if at < 0 || end > int64(len(b.data)) {
		return nil, fmt.Errorf("run of %d bytes at %d in %d: %w", r.Length, at, len(b.data), objstore.ErrCorrupt)
	}
	b.mu.Lock()
	p := b.runs[at]
	if p == nil {
		p = &patched{run: r, data: b.data[at:end:end]}
		if b.runs == nil {
			b.runs = map[int64]*patched{}
		}
		b.runs[at] = p
	}
	b.mu.Unlock()
	if p.run.Base != r.Base || p.run.Last != r.Last || p.run.Length != r.Length {
		return nil, fmt.Errorf("run at offset %d was offset %d before: %w", r.Base, p.run.Base, objstore.ErrCorrupt)
	}
	p.once.Do(func() { p.err = p.patch(!b.trusted) })
	return p, p.err
}

// patch checks and patches every batch; those that a merge wrote carry their offsets, some of which may be missing
// between them and behind the last (compaction), and are only checked. The CRC is checked here, once per stay in the cache: it costs about 0.2 ns
// a byte with the processor's CRC-32C, little beside a read from a store and the way to a client, and bits that rotted in a store,
// on a disk or on a wire without checksums must not reach a consumer under the offset of a good record.
func (p *patched) patch(check bool) error {
	next, pos, indexed := p.run.Base, 0, 0
	for rest := p.data; len(rest) > 0; {
		b, tail, err := batch.Split(rest)
		switch {
		case err != nil:
			return fmt.Errorf("batch at offset %d: %w: %w", next, objstore.ErrCorrupt, err)
		case check && b.CRC() != b.ComputeCRC():
			return fmt.Errorf("batch at offset %d: %w: CRC is %08x, not %08x", next, objstore.ErrCorrupt, b.ComputeCRC(), b.CRC())
		case b.LastOffsetDelta() < 0:
			return fmt.Errorf("batch at offset %d: %w: last offset delta %d", next, objstore.ErrCorrupt, b.LastOffsetDelta())
		}
		if p.run.Placed() {
			if b.BaseOffset() < next {
				return fmt.Errorf("batch at offset %d where one from %d on is due: %w", b.BaseOffset(), next, objstore.ErrCorrupt)
			}
			next = b.BaseOffset()
		} else {
			b.SetBaseOffset(next)
			b.SetPartitionLeaderEpoch(0)
		}
		if pos == 0 || pos-indexed >= indexStep {
			p.index = append(p.index, mark{next, pos})
			indexed = pos
		}
		next += int64(b.LastOffsetDelta()) + 1
		pos += len(b)
		rest = tail
	}
	if next != p.run.Last+1 && !(p.run.Placed() && next <= p.run.Last) {
		return fmt.Errorf("run from offset %d ends at %d instead of %d: %w", p.run.Base, next-1, p.run.Last, objstore.ErrCorrupt)
	}
	return nil
}

// from returns the batches from the one that holds offset on (Semantics line 32), or the next one where it is missing,
// and below end, at most maxBytes of them but at least one when force. over tells that the run holds nothing from offset
// on, so that what follows the run comes next.
func (p *patched) from(offset, end int64, maxBytes int, force bool) (batches []byte, over bool) {
	i := sort.Search(len(p.index), func(i int) bool { return p.index[i].offset > offset })
	rest := p.data[p.index[max(i-1, 0)].at:]
	for {
		b, tail, err := batch.Split(rest)
		if err != nil {
			return nil, true // behind the last batch
		}
		if b.LastOffset() >= offset {
			break
		}
		rest = tail
	}
	if len(rest) <= maxBytes && p.run.Last < end {
		return rest, false // all of it, which is the common case
	}
	n := 0
	for n < len(rest) {
		b, _, err := batch.Split(rest[n:])
		if err != nil || b.BaseOffset() >= end || n+len(b) > maxBytes && !(force && n == 0) {
			break
		}
		n += len(b)
	}
	return rest[:n:n], false
}
