package fsck

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"wadi/internal/layout"
	"wadi/metadata/state"
	"wadi/objstore"
)

// oldUpload is the age from which on an unfinished upload is reported: no write takes that long.
const oldUpload = 24 * time.Hour

// orphans are the objects of the bucket that nothing names, until it is known which of them are overdue.
type orphans struct {
	cut     time.Time // what is from before is older than the grace
	recent  int64     // the lowest position of the journal known to be younger than the grace
	dead    []orphan  // of closed sessions, or below a number that was introduced
	unknown []orphan  // of sessions that State does not have
}

type orphan struct {
	name
	objstore.Info
}

func (c *checker) newOrphans(now time.Time) orphans {
	w := orphans{cut: now.Add(-c.o.Grace), recent: math.MaxInt64}
	cut := w.cut.UnixMilli()
	for _, r := range c.roots {
		if r.root.AtMs > cut {
			w.recent = min(w.recent, r.root.Position)
		}
	}
	for i, e := range c.tail {
		if i < len(c.tailMs) && c.tailMs[i] > cut {
			w.recent = min(w.recent, e.Position)
		}
	}
	return w
}

// age of an object by the store's clock.
func (w *bucket) age(o objstore.Info) time.Duration { return w.now.Sub(o.Modified).Round(time.Second) }

// young notes when a position was at the earliest: an object is written before the entry that introduces it.
func (w *orphans) young(introduced int64, o objstore.Info) {
	if o.Modified.After(w.cut) {
		w.recent = min(w.recent, introduced)
	}
}

// introduced is the highest number of that kind of object that a session has introduced.
func (n name) introduced(s state.Session) uint64 {
	if n.flushed() {
		return s.LastFlush
	}
	return s.LastMerge
}

func (n name) flushed() bool { return n.kind == state.FlushObject || n.kind == state.FlushHedgeObject }

// stray judges a numbered object that nothing names.
func (c *checker) stray(w *bucket, n name, o objstore.Info) {
	s, ok := c.state.Session(n.session)
	age := w.age(o)
	switch {
	case !ok:
		c.keep(&w.unknown, orphan{n, o})
	case s.Closed != 0 || n.n <= n.introduced(s):
		c.keep(&w.dead, orphan{n, o})
	case age <= c.o.Young:
		c.leftover(Uncommitted, o.Key, o.Size, age, "it may be on its way")
	default:
		c.leftover(Uncommitted, o.Key, o.Size, age, "it was given up, its session lives")
	}
}

// keep bounds what waits for judgement as reports are.
func (c *checker) keep(list *[]orphan, o orphan) {
	if len(*list) < MaxItems {
		*list = append(*list, o)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.report.Omitted++
}

// strayCheckpoint judges a checkpoint's object that no kept root and no run needs.
func (c *checker) strayCheckpoint(w *bucket, k layout.CheckpointName, o objstore.Info) {
	s, ok := c.state.Session(k.Session)
	what := "dropped or given up"
	if p := c.anchor.Pointer; p == nil || k.Head > p.Head {
		what = "under way or given up"
	}
	switch {
	case !ok:
		c.keep(&w.unknown, orphan{name{session: k.Session}, o})
	case s.Closed != 0:
		c.leftover(CheckpointLeftover, o.Key, o.Size, w.age(o), "%s, its session was closed at position %d", what, s.Closed)
	default:
		c.leftover(CheckpointLeftover, o.Key, o.Size, w.age(o), "%s, its session lives", what)
	}
}

// judgeOrphans reports the dead ones and, except those of sessions that opened during the check, the unknown ones.
func (c *checker) judgeOrphans(ctx context.Context, w *bucket) error {
	passed := c.passed(w.dead)
	for _, x := range w.dead {
		s, _ := c.state.Session(x.session)
		age := w.age(x.Info)
		kind, since := OrphanClosed, s.Closed
		what := fmt.Sprintf("its session was closed at position %d", s.Closed)
		if s.Closed == 0 {
			kind, since = OrphanLive, passed(x.name)
			what = fmt.Sprintf("its session has introduced number %d", x.introduced(s))
		}
		if !x.Modified.Before(w.cut) || since >= w.recent {
			c.leftover(kind, x.Key, x.Size, age, "%s", what)
			continue
		}
		c.finding(kind, x.Key, "%d bytes, %v old; %s", x.Size, age, what)
		if kind == OrphanClosed {
			c.useless = append(c.useless, Item{kind, x.Key, fmt.Sprintf("%d bytes, %v old; %s", x.Size, age, what)})
		}
	}
	if len(w.unknown) == 0 {
		return nil
	}
	// A session opens before it writes: State as it is after the listing knows all that may be at work.
	fresh, err := c.fresh(ctx)
	if err != nil {
		return err
	}
	for _, x := range w.unknown {
		age := w.age(x.Info)
		if _, opened := fresh.Session(x.session); opened {
			c.leftover(Uncommitted, x.Key, x.Size, age, "its session opened during the check")
			continue
		}
		c.finding(UnknownSession, x.Key, "%d bytes, %v old; State has no session %s", x.Size, age, x.session)
		if age >= forgottenGrace {
			c.useless = append(c.useless, Item{UnknownSession, x.Key, fmt.Sprintf("%d bytes, %v old; session %s", x.Size, age, x.session)})
		}
	}
	return nil
}

// fresh is State now.
func (c *checker) fresh(ctx context.Context) (*state.State, error) {
	for range attempts {
		now := &checker{o: c.o, keys: c.keys, objects: c.objects, journal: c.journal}
		now.mu.report.ClusterID = c.mu.report.ClusterID
		if err := now.load(ctx); err != nil {
			return nil, err
		}
		if now.state != nil && now.mu.report.Clean() {
			return now.state, nil
		}
		if c.mu.report.damaged() {
			return c.state, nil // it could not be loaded whole before either, and nothing is repaired by it
		}
	}
	return nil, errors.New("the checkpoint moves faster than it can be loaded")
}

// passed makes a function that tells at which position a live session introduced a higher number than that of an orphan,
// which made it one: 0 when State does not tell.
func (c *checker) passed(dead []orphan) func(name) int64 {
	type counter struct {
		session layout.Session
		flushed bool
	}
	type step struct {
		n        uint64
		position int64
	}
	steps := map[counter][]step{}
	for _, x := range dead {
		if s, _ := c.state.Session(x.session); s.Closed == 0 {
			steps[counter{x.session, x.flushed()}] = nil
		}
	}
	if len(steps) > 0 {
		c.state.EachObject(func(_ uint64, o state.Object) {
			k := counter{o.Session, nameOf(o).flushed()}
			if list, ok := steps[k]; ok && o.Kind != state.ArchiveObject {
				steps[k] = append(list, step{o.N, o.Introduced})
			}
		})
	}
	for _, list := range steps {
		slices.SortFunc(list, func(a, b step) int { return cmp.Compare(a.n, b.n) })
	}
	return func(n name) int64 {
		list := steps[counter{n.session, n.flushed()}]
		i, _ := slices.BinarySearchFunc(list, n.n, func(s step, n uint64) int { return cmp.Compare(s.n, n) })
		if i == len(list) {
			return 0
		}
		return list[i].position
	}
}

// uploads reports unfinished uploads that nobody is at work on any more.
func (c *checker) uploads(ctx context.Context, w *bucket) error {
	for after := ""; ; {
		page, err := c.o.Store.Uploads(ctx, layout.ClusterPrefix(c.o.Cluster), after, objstore.MaxBatch)
		if err != nil {
			return fmt.Errorf("list unfinished uploads: %w", err)
		}
		for _, u := range page {
			if age := w.now.Sub(u.Started).Round(time.Second); age >= oldUpload {
				c.leftover(UnfinishedUpload, u.Key, 0, age, "upload %s", u.ID)
			}
			after = u.Key
		}
		if len(page) < objstore.MaxBatch {
			return nil
		}
	}
}
