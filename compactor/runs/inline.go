package runs

import (
	"cmp"
	"slices"

	"wadi/metadata/state"
)

// inline is the bytes of a stretch of runs that lie in the journal, or in archives of it. They are brought in the order
// of the entries, as an archive holds them, so that each part of one is read once for a stretch.
type inline struct {
	limit    int64 // bytes of a stretch; one run may pass it
	from, to int   // runs
	bytes    []byte
	at       []int64 // per run of the stretch: where its bytes begin
	errs     map[int]error
}

func (r *Reader) beginInline(x *state.Run) error {
	in := &r.inline
	if r.at >= in.to {
		if err := r.loadInline(); err != nil {
			return err
		}
	}
	if err := in.errs[r.at]; err != nil {
		return err
	}
	r.pos = in.at[r.at-in.from]
	r.end = r.pos + int64(x.Length)
	return nil
}

// loadInline brings the stretch that begins with this run.
func (r *Reader) loadInline() error {
	in := &r.inline
	type want struct {
		run      int
		position int64
	}
	var wants []want
	size := int64(0)
	to := r.at
	for ; to < len(r.runs); to++ {
		x := &r.runs[to]
		if !x.Inline() {
			continue
		}
		if size > 0 && size+int64(x.Length) > in.limit {
			break
		}
		size += int64(x.Length)
		wants = append(wants, want{to, int64(x.Place)})
	}
	r.held -= int64(cap(in.bytes))
	r.hold(size)
	*in = inline{limit: in.limit, from: r.at, to: to, bytes: make([]byte, 0, size), at: make([]int64, to-r.at)}
	slices.SortFunc(wants, func(a, b want) int { return cmp.Compare(a.position, b.position) })
	var entry []byte
	var failed error
	for i, w := range wants {
		if i == 0 || w.position != wants[i-1].position {
			if entry, failed = r.entry(w.position); failed != nil && !bad(failed) {
				in.to = in.from // to be loaded again
				return failed
			}
		}
		x := &r.runs[w.run]
		err := failed
		if end := uint64(x.Offset) + uint64(x.Length); err == nil && end > uint64(len(entry)) {
			err = corrupt("entry at position %d holds %d bytes, not %d", w.position, len(entry), end)
		}
		if err != nil {
			if in.errs == nil {
				in.errs = map[int]error{}
			}
			in.errs[w.run] = err
			continue
		}
		in.at[w.run-in.from] = int64(len(in.bytes))
		in.bytes = append(in.bytes, entry[x.Offset:x.Offset+x.Length]...)
	}
	r.stats.Bytes += int64(len(in.bytes))
	return nil
}

// entry is the inline bytes of the entry at a position: the journal's while it has them, else the archive's. They may be
// shared.
func (r *Reader) entry(position int64) ([]byte, error) {
	if r.env.Inline != nil {
		if data := r.env.Inline(position); data != nil {
			return data, nil
		}
	}
	o, _, ok := r.s.Archive(position)
	key := ""
	if ok {
		key = o.Key(r.env.Objects)
	}
	return r.env.Archives.Inline(r.ctx, key, o.Size, position)
}
