package fsck

import (
	"context"
	"errors"
	"fmt"
	"time"

	"wadi/internal/layout"
	"wadi/metadata/journal"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/state"
	"wadi/objstore"
)

// name is what makes an object's key, smaller than the key itself.
type name struct {
	session layout.Session
	n       uint64
	kind    state.ObjectKind
}

func nameOf(o state.Object) name { return name{o.Session, o.N, o.Kind} }

// wanted is what the bucket should hold.
type wanted struct {
	objects map[name]uint64  // State's, by number
	recover map[name]bool    // only the oldest kept root's State refers to it; true = found
	parts   map[string]int64 // of the kept roots, with sizes; -1 = any
	now     time.Time        // the store's clock
	unknown []objstore.Info  // of sessions that State does not have
}

// list compares the bucket with State in both directions.
func (c *checker) list(ctx context.Context) error {
	now, err := c.o.Store.Date(ctx)
	if err != nil {
		return fmt.Errorf("read the store's clock: %w", err)
	}
	w := c.wanted(now)
	c.listed = make(map[uint64]bool, len(w.objects))
	for after := ""; ; {
		page, err := c.o.Store.List(ctx, layout.ClusterPrefix(c.o.Cluster), after, 1000)
		if err != nil {
			return fmt.Errorf("list the bucket: %w", err)
		}
		for _, o := range page {
			c.object(w, o)
			after = o.Key
		}
		if len(page) < 1000 {
			break
		}
	}
	c.state.EachObject(func(number uint64, o state.Object) {
		if _, seen := c.listed[number]; !seen && o.Refs > 0 {
			c.finding(MissingObject, o.Key(c.objects), "%d runs lie in it", o.Refs)
		}
	})
	for n, found := range w.recover {
		if !found {
			c.finding(MissingObject, state.Object{Session: n.session, N: n.n, Kind: n.kind}.Key(c.objects),
				"the oldest kept root refers to it: the cluster could not be recovered from there")
		}
	}
	return c.judgeUnknown(ctx, w)
}

func (c *checker) wanted(now time.Time) *wanted {
	w := &wanted{objects: map[name]uint64{}, recover: map[name]bool{}, parts: map[string]int64{}, now: now}
	c.state.EachObject(func(number uint64, o state.Object) { w.objects[nameOf(o)] = number })
	if c.oldest != nil {
		c.oldest.EachObject(func(_ uint64, o state.Object) {
			if _, known := w.objects[nameOf(o)]; !known && o.Refs > 0 {
				w.recover[nameOf(o)] = false
			}
		})
	}
	ref := func(r *pb.ObjectRef) { w.parts[r.Key] = int64(r.Size) }
	for _, r := range c.roots {
		for _, p := range r.root.Base.Parts {
			ref(p)
		}
		for _, a := range r.root.Archives {
			ref(a.Object)
		}
	}
	if p := c.anchor.Pointer; p != nil {
		for _, k := range p.Kept {
			w.parts[k.Key] = -1
		}
	}
	return w
}

// object judges one object of the bucket.
func (c *checker) object(w *wanted, o objstore.Info) {
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

// known deals with an object that State names, now or at the oldest kept root.
func (c *checker) known(w *wanted, n name, o objstore.Info) bool {
	if _, ok := w.recover[n]; ok {
		w.recover[n] = true
		return true
	}
	number, ok := w.objects[n]
	if !ok {
		return false
	}
	x, _ := c.state.Object(number)
	c.listed[number] = int64(x.Size) == o.Size
	switch {
	case int64(x.Size) != o.Size:
		c.finding(WrongSize, o.Key, "%d bytes instead of %d", o.Size, x.Size)
	case x.Refs == 0:
		c.leftover(Garbage, o.Key, "%d bytes; unreferenced since position %d", o.Size, x.Lost)
	}
	return true
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
	return name{}, false
}

// introduced is the highest number of that kind of object that a session has introduced.
func (n name) introduced(s state.Session) uint64 {
	if n.kind == state.FlushObject || n.kind == state.FlushHedgeObject {
		return s.LastFlush
	}
	return s.LastMerge
}

// stray judges a numbered object that State does not name.
func (c *checker) stray(w *wanted, n name, o objstore.Info) {
	s, ok := c.state.Session(n.session)
	age := w.now.Sub(o.Modified).Round(time.Second)
	switch last := n.introduced(s); {
	case !ok:
		w.unknown = append(w.unknown, o)
	case s.Closed != 0:
		c.leftover(OrphanClosed, o.Key, "%d bytes; its session was closed at position %d", o.Size, s.Closed)
	case n.n <= last:
		c.leftover(OrphanLive, o.Key, "%d bytes; its session has introduced number %d", o.Size, last)
	case age <= c.o.Young:
		c.leftover(Uncommitted, o.Key, "%d bytes, %v old", o.Size, age)
	default:
		c.leftover(Uncommitted, o.Key, "%d bytes, %v old: it was given up, its session lives", o.Size, age)
	}
}

// strayCheckpoint judges a checkpoint's object that no kept root and no run needs.
func (c *checker) strayCheckpoint(w *wanted, k layout.CheckpointName, o objstore.Info) {
	s, ok := c.state.Session(k.Session)
	what := "dropped or given up"
	if p := c.anchor.Pointer; p == nil || k.Head > p.Head {
		what = "under way or given up"
	}
	switch {
	case !ok:
		w.unknown = append(w.unknown, o)
	case s.Closed != 0:
		c.leftover(CheckpointLeftover, o.Key, "%d bytes; %s, its session was closed at position %d", o.Size, what, s.Closed)
	default:
		c.leftover(CheckpointLeftover, o.Key, "%d bytes; %s, its session lives", o.Size, what)
	}
}

// judgeUnknown reports the objects of unknown sessions, except those of sessions that opened during the check.
func (c *checker) judgeUnknown(ctx context.Context, w *wanted) error {
	if len(w.unknown) == 0 {
		return nil
	}
	opened, err := c.sessionsSince(ctx)
	if err != nil {
		return err
	}
	for _, o := range w.unknown {
		var s layout.Session
		if n, ok := c.written(o.Key); ok {
			s = n.session
		} else if k, err := c.objects.ParseCheckpoint(o.Key); err == nil {
			s = k.Session
		}
		if opened[s] {
			c.leftover(Uncommitted, o.Key, "%d bytes; its session opened during the check", o.Size)
			continue
		}
		c.finding(UnknownSession, o.Key, "%d bytes; State has no session %s", o.Size, s)
	}
	return nil
}

// sessionsSince are those with entries behind what State was loaded to.
func (c *checker) sessionsSince(ctx context.Context) (map[layout.Session]bool, error) {
	a, err := c.journal.Anchor(ctx)
	if err != nil {
		return nil, err
	}
	entries, err := c.journal.Since(ctx, a, c.anchor.Head.Position, c.anchor.Head.Version)
	if err != nil && !errors.Is(err, journal.ErrGap) && !damage(err) {
		return nil, err // with a gap the checkpoint moved, and the check starts over
	}
	opened := map[layout.Session]bool{}
	for _, e := range entries {
		opened[e.Session] = true
	}
	return opened, nil
}
