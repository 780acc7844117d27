package keycompact

import (
	"context"
	"errors"
	"fmt"
	"math"

	"wadi/internal/batch"
	"wadi/metadata/state"
)

// split cuts the first dirty run of a section, which has more keys than the map takes, into smaller runs, for further passes
// to go through one by one; nothing is dropped yet. A run of one batch cannot be cut: it gets a map that takes all its
// keys. With some of them alone a tombstone could go, later, before what it deletes.
func (w *writing) split(ctx context.Context, s *section) error {
	run := s.runs[s.dirty]
	cuts, err := w.cuts(ctx, s, run)
	if err != nil {
		return err
	}
	if len(cuts) == 0 {
		defer func() {
			if w.task.rest == nil {
				w.task.keys = keyMap{} // it was larger than it should be
			}
		}()
		w.task.keys.reset(run.Last-run.Base+1, math.MaxInt64)
		if err := w.note(ctx, s, run); err != nil {
			return err
		}
		return w.write(ctx, s, 0, s.dirty+1)
	}
	if err := w.open(ctx); err != nil {
		return err
	}
	w.again = true
	w.out.begin(s, run.Base)
	err = w.read(ctx, []state.Run{run}, func(_ int, b batch.Batch) (bool, error) {
		if len(cuts) > 0 && b.BaseOffset() == cuts[0] {
			w.out.endRun(cuts[0] - 1)
			cuts = cuts[1:]
		}
		return true, w.out.add(b)
	})
	if err != nil {
		return err
	}
	w.out.end(run.Base, run.Last, false)
	return nil
}

// note notes the keys of a run in a map that has room for all of them.
func (w *writing) note(ctx context.Context, s *section, run state.Run) error {
	return w.read(ctx, []state.Run{run}, func(_ int, b batch.Batch) (bool, error) {
		fits, err := s.index(&w.task.keys, b)
		if err == nil && !fits {
			err = errors.New("more records than offsets")
		}
		if err != nil {
			return false, fmt.Errorf("%w: batch at offset %d: %w", errUnreadable, b.BaseOffset(), err)
		}
		return true, nil
	})
}

// cuts are the offsets at which a run is cut so that the map takes the keys of each piece.
func (w *writing) cuts(ctx context.Context, s *section, run state.Run) (cuts []int64, err error) {
	keys := w.task.keysFor([]state.Run{run})
	first := true
	err = w.read(ctx, []state.Run{run}, func(_ int, b batch.Batch) (bool, error) {
		fits, err := s.index(keys, b)
		if err == nil && !fits && !first {
			cuts = append(cuts, b.BaseOffset())
			w.task.keysFor([]state.Run{run})
			_, err = s.index(keys, b) // one that does not fit alone is a run of its own
		}
		first = false
		if err != nil {
			return false, fmt.Errorf("%w: batch at offset %d: %w", errUnreadable, b.BaseOffset(), err)
		}
		return true, nil
	})
	return cuts, err
}
