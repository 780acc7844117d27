package fetch

import (
	"context"

	"wadi/metadata/manifest"
)

// unfold adds the places of a manifest that count.
func (q *search) unfold(ctx context.Context, m *manifests) error {
	r, err := m.reader(ctx, q.volume, false)
	if err != nil {
		return err
	}
	if q.best {
		return q.newestIn(ctx, m, r)
	}
	return q.firstIn(ctx, m, r)
}

// firstIn is firstSince for a manifest: blocks whose maximum is too low are not read.
func (q *search) firstIn(ctx context.Context, m *manifests, r *manifest.Reader) error {
	var list []place
	blocks := r.RunBlocks()
	for i := r.BlockOf(q.from); i < len(blocks); i++ {
		if blocks[i].MaxTimestamp < q.ms {
			continue
		}
		runs, err := m.runs(ctx, q.volume, r, i, false)
		if err != nil {
			return err
		}
		for _, y := range runs[firstAt(runs, q.from):] {
			if y.Base >= q.end {
				break
			}
			if y.MaxTimestamp < q.ms {
				continue
			}
			list = append(list, placed(y))
			if y.Base >= q.from {
				q.places = list // it decides: nothing behind it counts
				return nil
			}
		}
	}
	q.places = append(list, q.places...)
	return nil
}

// newestIn is newest for a manifest: it reads the block that the log start lies in, and another one if the index says that
// it has the largest maximum of all.
func (q *search) newestIn(ctx context.Context, m *manifests, r *manifest.Reader) error {
	blocks := r.RunBlocks()
	first := r.BlockOf(q.from)
	var list []place
	var top *manifest.Run
	see := func(i int) error {
		runs, err := m.runs(ctx, q.volume, r, i, false)
		if err != nil {
			return err
		}
		for k := firstAt(runs, q.from); k < len(runs); k++ {
			switch y := &runs[k]; {
			case y.Base < q.from:
				list = append(list, placed(*y))
			case top == nil || y.MaxTimestamp > top.MaxTimestamp:
				top = y
			}
		}
		return nil
	}
	if err := see(first); err != nil {
		return err
	}
	best := first
	for i := first + 1; i < len(blocks); i++ {
		if best == first && (top == nil || blocks[i].MaxTimestamp > top.MaxTimestamp) || best != first && blocks[i].MaxTimestamp > blocks[best].MaxTimestamp {
			best = i
		}
	}
	if best != first && (q.top == nil || blocks[best].MaxTimestamp >= q.top.run.MaxTimestamp) {
		if err := see(best); err != nil {
			return err
		}
	}
	if top != nil && (q.top == nil || top.MaxTimestamp >= q.top.run.MaxTimestamp) {
		p := placed(*top)
		q.top = &p
	}
	q.places = append(list, q.places...)
	return nil
}
