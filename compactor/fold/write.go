package fold

import (
	"context"
	"fmt"
	"math"

	"wadi/compactor/unfold"
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
	part := unfold.Part{Reader: old, Released: p.old.Released, First: p.first, Last: p.old.Last}
	objects, err := addRuns(ctx, w, part, p)
	if err != nil {
		return info, 0, err
	}
	for _, o := range objects {
		if err := w.Object(o); err != nil {
			return info, 0, err
		}
	}
	if old != nil {
		if err := part.Aborted(ctx, w, math.MaxInt64); err != nil {
			return info, 0, err
		}
	}
	for _, a := range p.aborted {
		if err := w.Aborted(a); err != nil {
			return info, 0, err
		}
	}
	if info, err = w.Close(); err != nil {
		return info, 0, err
	}
	if info.First != p.first {
		return info, 0, &unfold.Error{Err: fmt.Errorf("%w: its runs begin at offset %d, State says %d", manifest.ErrCorrupt, info.First, p.first)}
	}
	if w.Size() > math.MaxUint32 {
		return info, 0, fmt.Errorf("manifest of %d bytes", w.Size())
	}
	return info, w.Size(), out.Close()
}

// addRuns writes the runs and returns the objects that they lie in: those of the old manifest, then those of the plan.
func addRuns(ctx context.Context, w *manifest.Writer, old unfold.Part, p *plan) (objects []manifest.Object, err error) {
	if old.Reader != nil {
		if objects, err = old.Objects(ctx); err != nil {
			return nil, err
		}
		if err := old.Runs(ctx, w); err != nil {
			return nil, err
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
	for _, o := range p.objects {
		objects = append(objects, manifest.Object{Number: o.number, Session: o.Session, N: o.N, Size: o.Size, Introduced: o.Introduced})
	}
	return objects, nil
}
