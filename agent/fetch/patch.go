package fetch

import (
	"fmt"
	"sort"

	"wadi/internal/batch"
	"wadi/metadata/state"
	"wadi/objstore"
)

// patched is a run whose batches carry their offsets, with an index to start reading from the middle.
type patched struct {
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
// leader epoch 0, neither of which the batch's CRC covers. Nobody sees the range before.
func (b *block) run(r state.Run, at int64) (*patched, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if p, ok := b.runs[at]; ok {
		return p, p.err
	}
	end := at + int64(r.Length)
	if at < 0 || end > int64(len(b.data)) {
		return nil, fmt.Errorf("run of %d bytes at %d in %d: %w", r.Length, at, len(b.data), objstore.ErrCorrupt)
	}
	p := &patched{data: b.data[at:end:end]}
	p.err = p.patch(r)
	if b.runs == nil {
		b.runs = map[int64]*patched{}
	}
	b.runs[at] = p
	return p, p.err
}

func (p *patched) patch(r state.Run) error {
	next, pos, indexed := r.Base, 0, 0
	for rest := p.data; len(rest) > 0; {
		b, tail, err := batch.Split(rest)
		if err != nil {
			return fmt.Errorf("batch at offset %d: %w: %w", next, objstore.ErrCorrupt, err)
		}
		if pos == 0 || pos-indexed >= indexStep {
			p.index = append(p.index, mark{next, pos})
			indexed = pos
		}
		b.SetBaseOffset(next)
		b.SetPartitionLeaderEpoch(0)
		next += int64(b.LastOffsetDelta()) + 1
		pos += len(b)
		rest = tail
	}
	if next != r.Last+1 {
		return fmt.Errorf("run from offset %d ends at %d instead of %d: %w", r.Base, next-1, r.Last, objstore.ErrCorrupt)
	}
	return nil
}

// from returns the batches from the one that holds offset on, at most maxBytes of them but at least one when force.
func (p *patched) from(offset int64, maxBytes int, force bool) []byte {
	i := sort.Search(len(p.index), func(i int) bool { return p.index[i].offset > offset })
	start := p.index[max(i-1, 0)].at
	rest := p.data[start:]
	for {
		b, tail, err := batch.Split(rest)
		if err != nil {
			return nil // behind the last batch
		}
		if b.LastOffset() >= offset {
			break
		}
		rest = tail
	}
	n := 0
	for n < len(rest) {
		b, _, err := batch.Split(rest[n:])
		if err != nil || n+len(b) > maxBytes && !(force && n == 0) {
			break
		}
		n += len(b)
	}
	return rest[:n:n]
}
