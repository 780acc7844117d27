package fsck

import (
	"context"
	"fmt"
	"time"

	"wadi/internal/layout"
	"wadi/metadata/state"
	"wadi/objstore"
)

// list compares the bucket with State in both directions. The listing is looked at a page at a time.
func (c *checker) list(ctx context.Context) error {
	now, err := c.o.Store.Date(ctx)
	if err != nil {
		return fmt.Errorf("read the store's clock: %w", err)
	}
	w := c.newBucket(now)
	for after := ""; ; {
		page, err := c.o.Store.List(ctx, layout.ClusterPrefix(c.o.Cluster), after, objstore.MaxBatch)
		if err != nil {
			return fmt.Errorf("list the bucket: %w", err)
		}
		for _, o := range page {
			c.object(w, o)
			after = o.Key
		}
		if len(page) < objstore.MaxBatch {
			break
		}
	}
	c.missing(w)
	if err := c.uploads(ctx, w); err != nil {
		return err
	}
	return c.judgeOrphans(ctx, w)
}

// bucket is what the listing is compared with.
type bucket struct {
	now    time.Time       // the store's clock
	byName map[name]uint64 // State's objects, by number
	parts  map[string]int64
	orphans
}

func (c *checker) newBucket(now time.Time) *bucket {
	w := &bucket{now: now, byName: map[name]uint64{}, parts: map[string]int64{}}
	c.state.EachObject(func(number uint64, o state.Object) { w.byName[nameOf(o)] = number })
	c.wants.sort()
	c.listed = make(map[uint64]bool, len(w.byName))
	// Checkpoint objects of the kept roots, with sizes; -1 = any.
	for _, r := range c.roots {
		for _, p := range r.root.Base.Parts {
			w.parts[p.Key] = int64(p.Size)
		}
		for _, a := range r.root.Archives {
			w.parts[a.Object.Key] = int64(a.Object.Size)
		}
	}
	if p := c.anchor.Pointer; p != nil {
		for _, k := range p.Kept {
			w.parts[k.Key] = -1
		}
	}
	w.orphans = c.newOrphans(now)
	c.twiceOwned(w)
	return w
}

// twiceOwned reports objects that two would delete, each when it has no more need of them.
func (c *checker) twiceOwned(w *bucket) {
	for i, x := range c.wants {
		if x.root != 0 {
			continue
		}
		if number, ok := w.byName[x.name]; ok {
			c.finding(BadState, x.key(c.objects), "State lists it as number %d and the manifest %s owns it", number, x.owner)
		}
		if i > 0 && c.wants[i-1].name == x.name && c.wants[i-1].root == 0 {
			c.finding(BadState, x.key(c.objects), "the manifests %s and %s own it", c.wants[i-1].owner, x.owner)
		}
	}
}

// object judges one object of the bucket.
func (c *checker) object(w *bucket, o objstore.Info) {
	c.count(func(n *Counts) { n.Objects++; n.Bytes += o.Size })
	if o.Key == layout.ClusterFile(c.o.Cluster) {
		return
	}
	if n, ok := c.written(o.Key); ok {
		if !c.known(w, n, o) {
			c.stray(w, n, o)
		}
		return
	}
	k, err := c.objects.ParseCheckpoint(o.Key)
	if err != nil {
		c.finding(ForeignObject, o.Key, "%d bytes; nothing in Wadi writes such a key", o.Size)
		return
	}
	known := k.Kind == layout.Archive && c.known(w, name{k.Session, uint64(k.Head), state.ArchiveObject}, o)
	if size, kept := w.parts[o.Key]; kept {
		if size >= 0 && size != o.Size && !known {
			c.finding(WrongSize, o.Key, "%d bytes instead of %d", o.Size, size)
		}
		return
	}
	if !known {
		c.strayCheckpoint(w, k, o)
	}
}

// written tells which object of a session's, counted upwards, has a key.
func (c *checker) written(key string) (name, bool) {
	if f, err := c.objects.ParseFlush(key); err == nil && f.Hedge {
		return name{f.Session, f.N, state.FlushHedgeObject}, true
	} else if err == nil {
		return name{f.Session, f.N, state.FlushObject}, true
	}
	if m, err := c.objects.ParseMerged(key); err == nil {
		return name{m.Session, m.N, state.MergedObject}, true
	}
	if m, err := c.objects.ParseManifest(key); err == nil {
		return name{m.Session, m.N, state.ManifestObject}, true
	}
	return name{}, false
}

// known deals with an object that State names, or a manifest, or the State of a kept root.
func (c *checker) known(w *bucket, n name, o objstore.Info) bool {
	size := uint64(0)
	wanted := c.wants.find(n)
	for i := range wanted {
		wanted[i].found, size = true, wanted[i].size
	}
	number, named := w.byName[n]
	if named {
		x, _ := c.state.Object(number)
		size = x.Size
		c.listed[number] = int64(x.Size) == o.Size
		w.young(x.Introduced, o)
		if x.Refs == 0 && len(wanted) == 0 {
			c.leftover(Garbage, o.Key, o.Size, w.now.Sub(time.UnixMilli(x.LostMs)), "unreferenced since position %d", x.Lost)
		}
	}
	if !named && len(wanted) == 0 {
		return false
	}
	if uint64(o.Size) != size {
		c.finding(WrongSize, o.Key, "%d bytes instead of %d", o.Size, size)
	}
	return true
}

// missing reports what the bucket should hold and does not. Garbage may be gone, once no kept root names it: it is deleted
// first and forgotten afterwards.
func (c *checker) missing(w *bucket) {
	c.state.EachObject(func(number uint64, o state.Object) {
		if _, seen := c.listed[number]; seen {
			return
		}
		if o.Refs > 0 {
			c.finding(MissingObject, o.Key(c.objects), "State refers to it %d times", o.Refs)
			return
		}
		for _, r := range c.roots {
			if p := r.root.Position; o.Introduced <= p && p < o.Lost {
				c.finding(MissingObject, o.Key(c.objects), "the kept root at position %d refers to it: the cluster could not be recovered from there", p)
				return
			}
		}
	})
	for i, x := range c.wants {
		_, named := w.byName[x.name]
		if x.found || named || i > 0 && c.wants[i-1].name == x.name {
			continue
		}
		why := fmt.Sprintf("the manifest %s owns it", x.owner)
		if x.owner == "" {
			why = "it is named"
		}
		if x.root != 0 {
			why += fmt.Sprintf(" at the kept root at position %d: the cluster could not be recovered from there", x.root)
		}
		c.finding(MissingObject, x.key(c.objects), "%s", why)
	}
}
