package unfold

import (
	"context"
	"errors"
	"math"

	"wadi/metadata/manifest"
)

// Part is what of a manifest goes over into another one. Its methods go by the order that a manifest.Writer takes things
// in. Errors of reading are an *Error; others are those of what is written.
type Part struct {
	Reader      *manifest.Reader
	Released    uint32 // so many of the first objects do not go over
	First, Last int64  // offsets of the runs that do; they begin and end with an object
}

// invalid makes an error of a Writer that did not like what a manifest holds an *Error.
func invalid(err error) error {
	if errors.Is(err, manifest.ErrInvalid) {
		return &Error{err}
	}
	return err
}

var errEnough = errors.New("enough")

// Runs writes the runs; the first object has index 0. It holds all objects of the manifest meanwhile.
func (x Part) Runs(ctx context.Context, w *manifest.Writer) error {
	var failed error // to write
	err := x.Reader.EachRun(ctx, func(r manifest.Run) error {
		switch {
		case r.Base < x.First:
			return nil
		case r.Base > x.Last:
			return errEnough
		}
		failed = w.Run(r.Base, r.Last, r.MaxTimestamp, r.Index-x.Released, r.Offset, r.Length)
		return failed
	})
	switch {
	case failed != nil:
		return invalid(failed)
	case err != nil && !errors.Is(err, errEnough):
		return &Error{err}
	}
	return nil
}

// Objects are those that the runs lie in.
func (x Part) Objects(ctx context.Context) ([]manifest.Object, error) {
	list, err := x.Reader.ObjectsFrom(ctx, x.Released, math.MaxInt32)
	if err != nil {
		return nil, &Error{err}
	}
	for i, o := range list {
		if o.Last > x.Last {
			return list[:i], nil
		}
	}
	return list, nil
}

// Aborted writes the aborted transactions whose markers lie in the runs, below an offset.
func (x Part) Aborted(ctx context.Context, w *manifest.Writer, below int64) error {
	below = min(below, x.Last+1)
	for i, b := range x.Reader.AbortedBlocks() {
		if b.Last < x.First {
			continue
		}
		if b.First >= below {
			break
		}
		list, err := x.Reader.AbortedBlock(ctx, i)
		if err != nil {
			return &Error{err}
		}
		for _, a := range list {
			if a.Last < x.First || a.Last >= below {
				continue
			}
			if err := w.Aborted(a); err != nil {
				return invalid(err)
			}
		}
	}
	return nil
}
