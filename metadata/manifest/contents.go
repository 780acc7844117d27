package manifest

import (
	"context"
	"fmt"
	"slices"
	"sort"
)

// RunBlock decodes block i of the runs: one GET for the block, if it is not in memory, and one for each block of the
// objects that its runs lie in, which are one or two.
func (r *Reader) RunBlock(ctx context.Context, i int) ([]Run, error) {
	x := r.footer.runs[i]
	data, err := r.read(ctx, []Block{x})
	if err != nil {
		return nil, err
	}
	list, err := parseRuns(x, data[0], r.footer.info.Objects)
	if err != nil {
		return nil, fmt.Errorf("manifest %s: %w", r.key, err)
	}
	objects := map[uint32][]Object{}
	runs := make([]Run, len(list))
	for k, y := range list {
		n := y.object / BlockEntries
		if objects[n] == nil {
			if objects[n], err = r.objectBlock(ctx, int(n)); err != nil {
				return nil, err
			}
		}
		if runs[k], err = y.resolve(objects[n][y.object%BlockEntries]); err != nil {
			return nil, fmt.Errorf("manifest %s: %w", r.key, err)
		}
	}
	return runs, nil
}

func (r *Reader) objectBlock(ctx context.Context, i int) ([]Object, error) {
	x := r.footer.objects[i]
	data, err := r.read(ctx, []Block{x})
	if err != nil {
		return nil, err
	}
	return r.parseObjects(x, data[0])
}

func (r *Reader) parseObjects(x Block, data []byte) ([]Object, error) {
	list, err := parseObjects(x, data, r.footer.sessions)
	if err != nil {
		return nil, fmt.Errorf("manifest %s: %w", r.key, err)
	}
	return list, nil
}

// RunsFrom are up to limit runs from the one that holds offset on, or from the first one on when that begins behind it.
func (r *Reader) RunsFrom(ctx context.Context, offset int64, limit int) ([]Run, error) {
	var list []Run
	for i := r.BlockOf(offset); i >= 0 && i < len(r.footer.runs) && len(list) < limit; i++ {
		runs, err := r.RunBlock(ctx, i)
		if err != nil {
			return nil, err
		}
		at := sort.Search(len(runs), func(k int) bool { return runs[k].Last >= offset })
		list = append(list, runs[at:min(len(runs), at+limit-len(list))]...)
	}
	return list, nil
}

// EachRun visits all runs in the order of their offsets, until visit returns an error, which it returns. It reads about a
// mebibyte at a time, and holds all objects meanwhile.
func (r *Reader) EachRun(ctx context.Context, visit func(Run) error) error {
	objects, err := r.Objects(ctx)
	if err != nil {
		return err
	}
	return spans(r.footer.runs, func(_ int, some []Block) error {
		data, err := r.read(ctx, some)
		if err != nil {
			return err
		}
		for i, x := range some {
			list, err := parseRuns(x, data[i], r.footer.info.Objects)
			if err != nil {
				return fmt.Errorf("manifest %s: %w", r.key, err)
			}
			for _, y := range list {
				run, err := y.resolve(objects[y.object])
				if err != nil {
					return fmt.Errorf("manifest %s: %w", r.key, err)
				}
				if err := visit(run); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// Objects are all objects that the manifest owns, in the order of their last offsets.
func (r *Reader) Objects(ctx context.Context) ([]Object, error) {
	return r.ObjectsFrom(ctx, 0, int(r.footer.info.Objects))
}

// ObjectsFrom are up to limit objects from the one with index first on.
func (r *Reader) ObjectsFrom(ctx context.Context, first uint32, limit int) ([]Object, error) {
	if limit <= 0 || first >= r.footer.info.Objects {
		return nil, nil
	}
	limit = min(limit, int(r.footer.info.Objects-first))
	from, to := int(first/BlockEntries), (int(first)+limit-1)/BlockEntries
	var list []Object
	err := spans(r.footer.objects[from:to+1], func(_ int, some []Block) error {
		data, err := r.read(ctx, some)
		if err != nil {
			return err
		}
		for i, x := range some {
			objects, err := r.parseObjects(x, data[i])
			if err != nil {
				return err
			}
			list = append(list, objects...)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	skip := int(first) - from*BlockEntries
	return slices.Clip(list[skip : skip+limit]), nil
}

// AbortedBlock decodes block i of the aborted transactions.
func (r *Reader) AbortedBlock(ctx context.Context, i int) ([]Aborted, error) {
	x := r.footer.aborted[i]
	data, err := r.read(ctx, []Block{x})
	if err != nil {
		return nil, err
	}
	list, err := parseAborted(x, data[0])
	if err != nil {
		return nil, fmt.Errorf("manifest %s: %w", r.key, err)
	}
	return list, nil
}

// Aborted are the aborted transactions that overlap the offsets from `from` to `to`, both included, in the order of their
// markers.
func (r *Reader) Aborted(ctx context.Context, from, to int64) ([]Aborted, error) {
	var list []Aborted
	blocks := r.footer.aborted
	for i := sort.Search(len(blocks), func(i int) bool { return blocks[i].Last >= from }); i < len(blocks); i++ {
		some, err := r.AbortedBlock(ctx, i)
		if err != nil {
			return nil, err
		}
		var done bool
		if list, done = Overlapping(some, from, to, list); done {
			break
		}
	}
	return list, nil
}
