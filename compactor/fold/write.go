package fold

import (
	"context"
	"errors"
	"fmt"
	"math"

	"wadi/metadata/manifest"
	"wadi/objstore"
	"wadi/objstore/parts"
)

// write writes the manifest of a plan under a key: what the old one holds and has not released, then the plan's runs.
func write(ctx context.Context, store objstore.Store, key string, old *manifest.Reader, p *plan) (info manifest.Info, size uint64, err error) {
	out, err := parts.New(ctx, store, key, parts.Config{PartSize: objstore.MinPart, Parallel: 1})
	if err != nil {
		return info, 0, err
	}
	defer out.Abort()
	w, err := manifest.NewWriter(out, p.id, int32(p.partition))
	if err != nil {
		return info, 0, err
	}
	objects, err := addRuns(ctx, w, old, p)
	if err != nil {
		return info, 0, err
	}
	for _, o := range objects {
		if err := w.Object(o); err != nil {
			return info, 0, err
		}
	}
	for _, o := range p.objects {
		err := w.Object(manifest.Object{Number: o.number, Session: o.Session, N: o.N, Size: o.Size, Introduced: o.Introduced})
		if err != nil {
			return info, 0, err
		}
	}
	if err := addAborted(ctx, w, old, p); err != nil {
		return info, 0, err
	}
	if info, err = w.Close(); err != nil {
		return info, 0, err
	}
	if info.First != p.first {
		return info, 0, &oldError{fmt.Errorf("%w: its runs begin at offset %d, State says %d", manifest.ErrCorrupt, info.First, p.first)}
	}
	if w.Size() > math.MaxUint32 {
		return info, 0, fmt.Errorf("manifest of %d bytes", w.Size())
	}
	return info, w.Size(), out.Close()
}

// addRuns writes the runs and returns the objects that go over from the old manifest.
func addRuns(ctx context.Context, w *manifest.Writer, old *manifest.Reader, p *plan) (objects []manifest.Object, err error) {
	if old != nil {
		if objects, err = old.ObjectsFrom(ctx, p.old.Released, math.MaxInt32); err != nil {
			return nil, &oldError{err}
		}
		var failed error // of the store that the new one goes to
		err = old.EachRun(ctx, func(r manifest.Run) error {
			if r.Base < p.first {
				return nil
			}
			err := w.Run(r.Base, r.Last, r.MaxTimestamp, r.Index-p.old.Released, r.Offset, r.Length)
			if !errors.Is(err, manifest.ErrInvalid) {
				failed = err
			}
			return err
		})
		switch {
		case failed != nil:
			return nil, failed
		case err != nil:
			return nil, &oldError{err}
		}
	}
	index := uint32(len(objects))
	for i, r := range p.runs {
		if i > 0 && p.runs[i-1].Place != r.Place {
			index++
		}
		if err := w.Run(r.Base, r.Last, r.MaxTimestamp, index, r.Offset, r.Length); err != nil {
			return nil, err
		}
	}
	return objects, nil
}

// addAborted writes the aborted transactions whose markers lie in the manifest.
func addAborted(ctx context.Context, w *manifest.Writer, old *manifest.Reader, p *plan) error {
	if old != nil {
		list, err := old.Aborted(ctx, p.first, p.old.Last)
		if err != nil {
			return &oldError{err}
		}
		for _, a := range list {
			if err := w.Aborted(a); err != nil {
				return err
			}
		}
	}
	for _, a := range p.aborted {
		if err := w.Aborted(a); err != nil {
			return err
		}
	}
	return nil
}
