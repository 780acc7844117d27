package runs

import (
	"fmt"

	"wadi/internal/batch"
	"wadi/objstore"
)

// peeked is what batch.PeekSize wants to see.
const peeked = 17

// batch takes the next batch of the run. It lies where it was read, or, when it goes over windows, in the scratch.
func (r *Reader) batch() (batch.Batch, error) {
	left := r.end - r.pos
	if left < batch.HeaderSize {
		return nil, corrupt("%d bytes behind the last batch", left)
	}
	bytes, err := r.available()
	if err != nil {
		return nil, err
	}
	head := bytes
	if len(bytes) < peeked {
		r.scratch = r.scratch[:0]
		if err := r.gather(peeked); err != nil {
			return nil, err
		}
		head, bytes = r.scratch, nil
	}
	size, err := batch.PeekSize(head)
	switch {
	case err != nil:
		return nil, fmt.Errorf("batch due at offset %d: %w: %w", r.next, objstore.ErrCorrupt, err)
	case int64(size) > left:
		return nil, corrupt("batch of %d bytes in the last %d", size, left)
	case size <= len(bytes):
		r.pos += int64(size)
		return batch.Batch(bytes[:size:size]), nil
	}
	if bytes != nil {
		r.scratch = r.scratch[:0]
	}
	if err := r.gather(size); err != nil {
		return nil, err
	}
	return batch.Batch(r.scratch), nil
}

// gather moves bytes into the scratch until there are n.
func (r *Reader) gather(n int) error {
	if cap(r.scratch) < n {
		r.hold(int64(n - cap(r.scratch)))
		r.scratch = append(make([]byte, 0, n), r.scratch...)
	}
	for len(r.scratch) < n {
		bytes, err := r.available()
		if err != nil {
			return err
		}
		bytes = bytes[:min(len(bytes), n-len(r.scratch))]
		r.scratch = append(r.scratch, bytes...)
		r.pos += int64(len(bytes))
	}
	return nil
}

// available is what lies side by side in memory from here on, of this run; at least a byte.
func (r *Reader) available() ([]byte, error) {
	if x := &r.runs[r.at]; x.Inline() {
		return r.inline.bytes[r.pos:r.end], nil
	}
	src := &r.sources[r.pieces[r.piece].source]
	w := src.windows[r.window]
	for r.pos >= w.end {
		r.release(w)
		r.window++
		w = src.windows[r.window]
	}
	data, err := r.need(src, w)
	if err != nil {
		return nil, err
	}
	return data[r.pos-w.off : min(w.end, r.end)-w.off], nil
}

func (r *Reader) hold(n int64) {
	r.held += n
	r.stats.Peak = max(r.stats.Peak, r.held)
}
