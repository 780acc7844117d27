package gc

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"wadi/metadata/kv"
	"wadi/metadata/state"
	"wadi/objstore"
	"wadi/objstore/mem"
)

var errBurnt = errors.New("the fuse burnt down")

// fuse lets one of gc's calls fail, before its effect or after it: the left-th of those moments from now on. With last all
// that follow fail, too: the process is dead.
type fuse struct {
	left  int // 0 = not lit
	last  bool
	burnt bool
}

func (f *fuse) burns() bool {
	if f.burnt && f.last {
		return true
	}
	if f.left > 0 {
		if f.left--; f.left == 0 {
			f.burnt = true
			return true
		}
	}
	return false
}

// dated is gc's way to the store: with a clock that can be moved, and a fuse.
type dated struct {
	objstore.Store
	w *world
}

func (d dated) Date(ctx context.Context) (time.Time, error) {
	now, err := d.Store.Date(ctx)
	return now.Add(d.w.ahead), err
}

func (d dated) Get(ctx context.Context, key string, off, length int64) ([]byte, error) {
	if d.w.fuse.burns() {
		return nil, errBurnt
	}
	return d.Store.Get(ctx, key, off, length)
}

func (d dated) List(ctx context.Context, prefix, after string, limit int) ([]objstore.Info, error) {
	if d.w.fuse.burns() {
		return nil, errBurnt
	}
	return d.Store.List(ctx, prefix, after, limit)
}

func (d dated) Delete(ctx context.Context, keys []string) error {
	if d.w.fuse.burns() {
		return errBurnt
	}
	err := d.Store.Delete(ctx, keys)
	if err == nil && d.w.fuse.burns() {
		err = errBurnt
	}
	return err
}

// asked is gc's way to etcd.
type asked struct {
	kv.KV
	w *world
}

func (a asked) Range(ctx context.Context, r kv.RangeRequest) (kv.RangeResult, error) {
	if a.w.fuse.burns() {
		return kv.RangeResult{}, errBurnt
	}
	return a.KV.Range(ctx, r)
}

// guarded is a bucket that knows what must not be deleted.
type guarded struct {
	*mem.Store
	w *world
}

// Delete fails the test when somebody needs an object, may come to need it, or may be reading it.
func (g guarded) Delete(ctx context.Context, keys []string) error {
	w := g.w
	w.t.Helper()
	named := map[string]string{} // who names it
	for key := range w.needs(w.s) {
		named[key] = "State"
	}
	for _, r := range append(slices.Clip(w.roots), w.making) {
		if r == nil {
			continue
		}
		for key := range r.needs {
			named[key] = fmt.Sprintf("State at the root at %d", r.position)
		}
		for _, a := range r.archives {
			named[a.ref.Object.Key] = fmt.Sprintf("the root at %d", r.position)
		}
	}
	lost := map[string]int64{}
	w.s.EachObject(func(_ uint64, o state.Object) { lost[o.Key(objectKeys)] = o.LostMs })
	for _, key := range keys {
		at, known := lost[key]
		x, numbered := parse(objectKeys, key)
		switch {
		case named[key] != "":
			w.t.Fatalf("%s is deleted, %s names it", key, named[key])
		case known && w.ms-at < grace.Milliseconds() && !w.skewed:
			w.t.Fatalf("%s is deleted %d ms after it was lost", key, w.ms-at)
		case known:
		case numbered:
			w.mayBeAnOrphan(x)
		default:
			w.t.Fatalf("%s is deleted, which State does not know and no session numbers", key)
		}
	}
	return g.Store.Delete(ctx, keys)
}

func (w *world) mayBeAnOrphan(x name) {
	w.t.Helper()
	v, ok := w.s.Session(x.session)
	switch {
	case !ok:
		w.t.Fatalf("%v is deleted, of a session that State does not know", x)
	case x.n <= introduced(v, x.kind):
	case v.Closed == 0:
		w.t.Fatalf("%v is deleted, it may be introduced yet", x)
	case w.ms-w.closed[x.session] < grace.Milliseconds():
		w.t.Fatalf("%v is deleted, its session was closed %d ms ago", x, w.ms-w.closed[x.session])
	}
}
