package keycompact

import (
	"context"
	"errors"
	"fmt"
	"io"

	"wadi/compactor/job"
	"wadi/compactor/runs"
	"wadi/internal/batch"
	"wadi/metadata/state"
)

// errUnreadable: something is wrong with what a partition holds, or it cannot be read now.
var errUnreadable = errors.New("partition unreadable")

// writing is the compaction of some partitions into the objects that they share.
type writing struct {
	task  *Task
	in    *job.View
	out   *output // nil: none is open
	buf   []byte
	stale bool // State has refused a range: what follows it in the partition is not tried
	again bool // a partition has more to do at once
}

// section compacts one partition.
func (w *writing) section(ctx context.Context, s *section) error {
	w.task.keysFor(s.runs[s.dirty:])
	return w.noteAndWrite(ctx, s, s.dirty)
}

// noteAndWrite notes the keys of a section from a run of its dirty part on, those before are in the map, and writes what the
// map has all keys of, or leaves that to the next pass.
func (w *writing) noteAndWrite(ctx context.Context, s *section, from int) error {
	n, err := w.index(ctx, s, from)
	if err != nil || w.task.rest != nil {
		return err
	}
	if w.again = w.again || n < len(s.runs); n == s.dirty {
		return w.split(ctx, s)
	}
	return w.write(ctx, s, 0, n)
}

// read visits the batches of some of a section's runs, in order, until visit says that it is enough.
func (w *writing) read(ctx context.Context, list []state.Run, visit func(i int, b batch.Batch) (bool, error)) error {
	r := runs.New(ctx, w.task.env, w.in.State, list, runs.Config{Parallel: w.task.cfg.Parallel})
	defer r.Close()
	for {
		i, b, err := r.Next()
		var bad *runs.Unreadable
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.As(err, &bad):
			return fmt.Errorf("%w: %w", errUnreadable, err)
		case err != nil:
			return err
		}
		if on, err := visit(i, b); err != nil || !on {
			return err
		}
	}
}

// index notes the keys of a section's runs from one on, and returns up to which run, not included, they are all in the map.
// When a pass has read enough the rest is for the next one.
func (w *writing) index(ctx context.Context, s *section, from int) (n int, err error) {
	n = len(s.runs)
	run, input := -1, int64(0)
	err = w.read(ctx, s.runs[from:], func(i int, b batch.Batch) (bool, error) {
		if i != run {
			if input >= w.task.cfg.MaxInput {
				w.task.rest = &rest{ref: ref{s.topic, s.partition}, noting: true, next: s.runs[from+i].Base, last: s.runs[n-1].Last}
				return false, nil
			}
			run, input = i, input+int64(s.runs[from+i].Length)
		}
		fits, err := s.index(&w.task.keys, b)
		switch {
		case err != nil:
			return false, fmt.Errorf("%w: batch at offset %d: %w", errUnreadable, b.BaseOffset(), err)
		case !fits:
			n = from + i
		}
		return fits, nil
	})
	return n, err
}

// write writes the first n of a section's runs anew, of which nothing stays before the one at index from. Objects end with a
// run, so that what a range replaces is whole runs.
func (w *writing) write(ctx context.Context, s *section, from, n int) error {
	if err := w.open(ctx); err != nil {
		return err
	}
	var (
		first = 0 // run of the range
		run   = -1
		cut   = false // the object ends with the run that is read, if there is anything in it
		ended = false // the section's last batch has come
		input int64   // bytes of the runs so far
		stop  = false // the rest is for the next pass
	)
	leave := func(i int) {
		stop = true
		w.task.rest = &rest{ref: ref{s.topic, s.partition}, first: s.runs[first].Base, next: s.runs[i].Base, last: s.runs[n-1].Last}
	}
	w.out.begin(s, s.runs[0].Base)
	err := w.read(ctx, s.runs[from:n], func(i int, b batch.Batch) (bool, error) {
		if i += from; i != run {
			enough := input >= w.task.cfg.MaxInput
			if cut && !w.out.empty() {
				if err := w.end(ctx, s, first, i-1); err != nil || w.stale {
					return false, err
				}
				if first = i; enough {
					leave(i)
					return false, nil
				}
				if err := w.open(ctx); err != nil {
					return false, err
				}
				w.out.begin(s, s.runs[i].Base)
			} else if enough {
				w.drop()
				leave(i)
				return false, nil
			}
			run = i
			input += int64(s.runs[i].Length)
			full := w.out.seg.Size()+int64(s.runs[i].Length) >= w.task.cfg.MaxOutput || i-first+1 >= maxRuns
			cut = i < n-1 && (full || input >= w.task.cfg.MaxInput)
		}
		end := within
		switch b.LastOffset() {
		case s.runs[n-1].Last:
			end, ended = endsRange, true
		case s.runs[i].Last:
			switch {
			case w.out.empty() && i-first+1 >= lonelyRuns:
				// Of no more runs than a range may have something must stay. It is this, and what replaces it stays as it is
				// until a later compaction: a tombstone could go there before what it deletes.
				end, ended, w.again, n = endsRange, true, true, i+1
			case cut:
				end = endsMarker
			}
		}
		var left int32
		var err error
		if w.buf, left, err = s.sieve(&w.task.keys, b, end, w.buf[:0]); err != nil {
			return false, fmt.Errorf("%w: batch at offset %d: %w", errUnreadable, b.BaseOffset(), err)
		}
		if left == 0 {
			return true, nil
		}
		return end != endsRange, w.out.add(w.buf)
	})
	switch {
	case err != nil:
		return err
	case w.stale:
		w.stale = false
		return nil
	case stop:
		return nil
	case !ended:
		return fmt.Errorf("%w: no batch ends at offset %d", errUnreadable, s.runs[n-1].Last)
	}
	w.out.end(s.runs[first].Base, s.runs[n-1].Last, true)
	return nil
}

// lonelyRuns is after how many runs of which nothing is left a range ends in any case: soon enough for the next one that ends
// with a batch, and those whose end was dropped before, to be among those that a range may have.
const lonelyRuns = maxRuns / 2

// end ends the range of some runs of a section and introduces the object; stale tells that State has refused it.
func (w *writing) end(ctx context.Context, s *section, first, last int) (err error) {
	w.out.end(s.runs[first].Base, s.runs[last].Last, true)
	w.stale, err = w.introduce(ctx)
	s.version++
	return err
}

// open begins an object unless one is open.
func (w *writing) open(ctx context.Context) (err error) {
	if w.out == nil {
		w.out, err = newOutput(ctx, w.task.env, w.task.cfg, w.in)
	}
	return err
}

// finish introduces the object that is open, if there is one and anything refers to it.
func (w *writing) finish(ctx context.Context) error {
	if w.out == nil || len(w.out.cmd.Topics) == 0 {
		return nil
	}
	_, err := w.introduce(ctx)
	return err
}

// introduce ends the object that is open, and tells whether State refused its last range: somebody else changed the
// partition, or it is gone. What of the other ranges was refused is looked at anew in the next pass.
func (w *writing) introduce(ctx context.Context) (refused bool, err error) {
	out := w.out
	w.out = nil
	codes, err := out.finish(ctx)
	if err != nil {
		return false, err
	}
	for i, code := range codes {
		if code != state.OK {
			w.task.env.Log.Debug("compaction not taken", "topic", out.cmd.Topics[i], "partition", out.cmd.Partitions[i], "code", code)
		}
	}
	return len(codes) == 0 || codes[len(codes)-1] != state.OK, nil
}

// drop gives the range up that is being written.
func (w *writing) drop() {
	if w.out != nil {
		w.out.drop()
	}
}

// abandon gives the object that is open up.
func (w *writing) abandon() {
	if w.out == nil {
		return
	}
	if err := w.out.up.Abort(); err != nil {
		w.task.env.Log.Warn("upload of a compaction not cleaned up", "error", err)
	}
	w.out = nil
}
