package manifest

import (
	"context"
	"fmt"
)

// Verify reads all of a manifest and compares its parts with each other: that each object's offsets and bytes are those of
// its runs, that runs of an object do not overlap in it, and that the totals are right. It holds all objects meanwhile.
func (r *Reader) Verify(ctx context.Context) error {
	objects, err := r.Objects(ctx)
	if err != nil {
		return err
	}
	found := make([]extent, len(objects))
	ends := make([]uint64, len(objects))
	total := int64(0)
	bad := func(format string, args ...any) error {
		return fmt.Errorf("manifest %s: %w", r.key, corrupt(format, args...))
	}
	err = r.EachRun(ctx, func(x Run) error {
		e := &found[x.Index]
		if e.bytes == 0 {
			e.first = x.Base
		}
		if uint64(x.Offset) < ends[x.Index] {
			return bad("the run at offset %d begins at byte %d of its object, the one before ends at %d", x.Base, x.Offset, ends[x.Index])
		}
		ends[x.Index] = uint64(x.Offset) + uint64(x.Length)
		e.last = x.Last
		e.bytes += int64(x.Length)
		total += int64(x.Length)
		return nil
	})
	if err != nil {
		return err
	}
	for i, o := range objects {
		if (extent{o.First, o.Last, o.Bytes}) != found[i] {
			return bad("object %d holds offsets %d to %d in %d bytes, its runs %+v", i, o.First, o.Last, o.Bytes, found[i])
		}
	}
	if total != r.footer.info.Bytes {
		return bad("runs of %d bytes, the total is %d", total, r.footer.info.Bytes)
	}
	for i := range r.footer.aborted {
		if _, err := r.AbortedBlock(ctx, i); err != nil {
			return err
		}
	}
	return nil
}
