package fsck

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"

	"golang.org/x/sync/errgroup"

	"wadi/metadata/manifest"
	"wadi/metadata/state"
	"wadi/objstore"
)

// fold is a manifest that State has, or had at a kept root.
type fold struct {
	key  string
	size uint64
	now  *state.Manifest // as State has it, nil = no more
	of   *partition      // whose it is in State; nil: it is no live partition's
	from uint32          // the first of its objects that must be there
	root int64           // position of a kept root that it is needed for, if State has it no more or needs less of it
	rest uint32          // the first of its objects that State needs
}

// folds are the manifests by their objects' numbers.
type folds map[uint64]*fold

// add notes a manifest of s: State itself (root 0) or a kept root's.
func (f folds) add(c *checker, s *state.State, m state.Manifest, of *partition, root int64) {
	o, ok := s.Object(m.Object)
	if !ok {
		return // State.Check says so
	}
	x := f[m.Object]
	if x == nil {
		x = &fold{key: o.Key(c.objects), size: o.Size, from: m.Released, rest: math.MaxUint32}
		f[m.Object] = x
	}
	x.from = min(x.from, m.Released)
	if root == 0 {
		x.now, x.rest = &m, m.Released
		if of != nil {
			x.of = of
		}
	} else if x.root == 0 {
		x.root = root
	}
}

// numbers are in rising order: reports of the same bucket are the same.
func (f folds) numbers() []uint64 { return slices.Sorted(maps.Keys(f)) }

// readManifests compares manifests with State and notes what they own, a bounded number at a time.
func (c *checker) readManifests(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(c.o.Reads)
	for _, number := range c.folds.numbers() {
		f := c.folds[number]
		g.Go(func() error {
			r, err := manifest.Open(ctx, c.o.Store, f.key, f.size)
			if err == nil {
				err = c.readManifest(ctx, f, r)
			}
			if err == nil {
				return nil
			}
			if !damage(err) {
				return err
			}
			if !errors.Is(err, objstore.ErrNotFound) { // else the comparison with the bucket names it
				c.finding(BadManifest, f.key, "%v", err)
			}
			c.unreadable(f, err)
			f.of = nil
			return nil
		})
	}
	return g.Wait()
}

// unreadable reports the records that only a manifest knew where to find.
func (c *checker) unreadable(f *fold, err error) {
	if f.of != nil && f.now != nil {
		c.finding(LostRecords, f.of.String(), "offsets %d to %d: %v", f.now.First, f.now.Last, err)
	}
}

// readManifest looks at all but the runs.
func (c *checker) readManifest(ctx context.Context, f *fold, r *manifest.Reader) error {
	objects, err := r.Objects(ctx)
	if err != nil {
		return err
	}
	if f.now != nil {
		if err := sameManifest(f, r.Info(), objects); err != nil {
			c.finding(BadManifest, f.key, "%v", err)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, o := range objects {
		if uint32(i) < f.from {
			continue
		}
		w := want{name: nameOf(o.Stored()), size: o.Size, owner: f.key}
		if uint32(i) < f.rest {
			w.root = f.root
		}
		c.wants = append(c.wants, w)
	}
	return nil
}

// sameManifest compares what a manifest says of itself with what State says of it.
func sameManifest(f *fold, is manifest.Info, objects []manifest.Object) error {
	m := f.now
	if int64(m.Released) > int64(len(objects)) {
		return fmt.Errorf("%d of its objects are released, it has %d", m.Released, len(objects))
	}
	first, bytes := is.First, int64(0)
	if m.Released > 0 {
		first = objects[m.Released-1].Last + 1
	}
	for _, o := range objects[m.Released:] {
		bytes += o.Bytes
	}
	switch {
	case f.of != nil && (is.Topic != [16]byte(f.of.id) || is.Partition != f.of.index):
		return fmt.Errorf("it is of partition %d of topic %x, not of %s", is.Partition, is.Topic, f.of)
	case first != m.First || is.Last != m.Last:
		return fmt.Errorf("it goes from offset %d to %d, State says %d to %d", first, is.Last, m.First, m.Last)
	case is.Runs != m.Runs || is.Objects != m.Owned:
		return fmt.Errorf("it has %d runs in %d objects, State says %d in %d", is.Runs, is.Objects, m.Runs, m.Owned)
	case bytes != m.Bytes || is.MaxTimestamp != m.MaxTimestamp:
		return fmt.Errorf("it has %d bytes up to timestamp %d, State says %d up to %d", bytes, is.MaxTimestamp, m.Bytes, m.MaxTimestamp)
	}
	return nil
}

// readFolded reads the runs that a live partition's manifest lists, where they lie, object by object.
func (c *checker) readFolded(ctx context.Context, f *fold) error {
	r, err := manifest.Open(ctx, c.o.Store, f.key, f.size)
	if err != nil {
		return c.badManifest(f, err)
	}
	var runs []piece // those of one object
	var object manifest.Object
	flush := func() error {
		if len(runs) == 0 {
			return nil
		}
		bytes := int64(0)
		for _, r := range runs {
			bytes += int64(r.Length)
		}
		if bytes != object.Bytes {
			c.finding(BadManifest, f.key, "%s: runs of %d bytes, not %d", object.Key(c.objects), bytes, object.Bytes)
		}
		x := c.wants.find(nameOf(object.Stored()))
		err := c.readSegment(ctx, home{key: object.Key(c.objects), size: object.Size, there: len(x) > 0 && x[0].found}, runs)
		runs = runs[:0]
		return err
	}
	next, n := r.Info().First, 0
	err = r.EachRun(ctx, func(x manifest.Run) error {
		if x.Base != next || x.Last < x.Base {
			return fmt.Errorf("a run goes from offset %d to %d where one from %d is due: %w", x.Base, x.Last, next, manifest.ErrCorrupt)
		}
		next = x.Last + 1
		n++
		if x.Index < f.now.Released {
			return nil
		}
		if len(runs) > 0 && x.Object.Number != object.Number {
			if err := flush(); err != nil {
				return err
			}
		}
		object = x.Object
		runs = append(runs, piece{x.Run, f.of})
		return nil
	})
	if err == nil {
		err = flush()
	}
	c.count(func(all *Counts) { all.Runs += n })
	if err == nil && (next != r.Info().Last+1 || n != int(r.Info().Runs)) {
		err = fmt.Errorf("its %d runs end at offset %d: %w", n, next-1, manifest.ErrCorrupt)
	}
	if err != nil {
		return c.badManifest(f, err)
	}
	return nil
}

func (c *checker) badManifest(f *fold, err error) error {
	if errors.Is(err, objstore.ErrNotFound) {
		c.lost(piece{state.Run{Base: f.now.First, Last: f.now.Last}, f.of}, err) // it was there a while ago
		return nil
	}
	if !damage(err) {
		return err
	}
	c.finding(BadManifest, f.key, "%v", err)
	c.unreadable(f, err)
	return nil
}
