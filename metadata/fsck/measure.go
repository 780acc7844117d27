package fsck

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"wadi/internal/layout"
	"wadi/metadata/journal"
	"wadi/metadata/manifest"
	"wadi/metadata/state"
	"wadi/objstore"
)

// Measure looks at State, at the manifests' lists of objects and at the bucket's listing; it reads no records and judges
// nothing. Options that are about checks are not looked at. An error means that State or a manifest cannot be loaded, or
// that a service does not answer.
func Measure(ctx context.Context, o Options) (*Usage, error) {
	c, err := loaded(ctx, o.withDefaults())
	if err != nil {
		return nil, err
	}
	r := &c.mu.report
	u := &Usage{Cluster: r.Cluster, ClusterID: r.ClusterID, Position: r.Position}
	if err := c.ownedObjects(ctx, u); err != nil {
		return nil, err
	}
	now, err := c.o.Store.Date(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the store's clock: %w", err)
	}
	c.measureState(u, now)
	if err := c.measureBucket(ctx, u, now); err != nil {
		return nil, err
	}
	written := uint64(0)
	for _, n := range u.Written {
		written += n
	}
	u.WriteAmplification = ratio(float64(written), float64(u.Appended))
	u.SpaceAmplification = ratio(float64(u.Total.Bytes), float64(u.Runs.Bytes))
	if s, err := c.o.KV.Status(ctx); err == nil {
		u.Etcd = &EtcdUsage{Bytes: s.DBSize, InUse: s.DBInUse, Quota: s.QuotaBytes}
	} else if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return u, nil
}

// loaded is a checker that has loaded State and the kept roots.
func loaded(ctx context.Context, o Options) (*checker, error) {
	if err := layout.ValidClusterName(o.Cluster); err != nil {
		return nil, err
	}
	keys := layout.NewEtcd(o.Cluster)
	for n := 1; ; n++ {
		c := &checker{o: o, keys: keys, journal: journal.New(o.KV, keys), folds: folds{}}
		for _, step := range []func(context.Context) error{c.identity, c.load} {
			if err := step(ctx); err != nil {
				return nil, err
			}
		}
		if c.state != nil && c.mu.report.Clean() {
			return c, nil
		}
		if n == attempts {
			return nil, fmt.Errorf("%w: %s", ErrDamaged, c.mu.report.Findings[0])
		}
	}
}

// ErrDamaged: State cannot be loaded whole. A check says more.
var ErrDamaged = errors.New("the cluster's metadata is damaged")

// ratio of two sizes, to three digits, 0 without the second.
func ratio(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return math.Round(1000*a/b) / 1000
}

// ownedObjects notes what the manifests own and have not released, a bounded number of manifests at a time.
func (c *checker) ownedObjects(ctx context.Context, u *Usage) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(c.o.Reads)
	c.state.EachManifest(func(m state.Manifest) {
		o, _ := c.state.Object(m.Object)
		g.Go(func() error {
			r, err := manifest.Open(ctx, c.o.Store, o.Key(c.objects), o.Size)
			if err != nil {
				return err
			}
			objects, err := r.ObjectsFrom(ctx, m.Released, math.MaxInt32)
			c.mu.Lock()
			defer c.mu.Unlock()
			for _, x := range objects {
				c.wants = append(c.wants, want{name: nameOf(x.Stored()), size: x.Size})
			}
			u.Manifests.Owned += len(objects)
			return err
		})
	})
	c.state.EachLoose(func(state.Manifest) { u.Manifests.Loose++ })
	return g.Wait()
}

func (c *checker) measureState(u *Usage, now time.Time) {
	s := c.state
	var counts []int
	s.EachTopic(func(t *state.Topic) {
		u.Topics++
		for i := range int32(t.Partitions()) {
			p := t.Partition(i)
			u.Partitions++
			u.Runs.State += p.Runs()
			u.Runs.Bytes += p.Bytes()
			if n := p.Runs(); n > 0 {
				counts = append(counts, n)
			}
			if p.Manifest != nil {
				u.Manifests.Partitions++
				u.Runs.Manifests += int(p.Manifest.Runs)
			}
		}
	})
	u.Runs.Max, u.Runs.Median = most(counts)
	u.Appended = s.Appended()
	u.Written = map[string]uint64{}
	for _, k := range []state.ObjectKind{
		state.FlushObject, state.FlushHedgeObject, state.MergedObject, state.ManifestObject, state.ArchiveObject,
	} {
		u.Written[kindOf(k)] += s.Written(k)
	}
	u.MergeDebt.Objects, u.MergeDebt.Bytes = s.Unmerged()
	u.Garbage.Objects, u.Garbage.Bytes = s.Garbage()
	s.EachGarbage(func(_ uint64, o state.Object) {
		u.Garbage.OldestMs = max(u.Garbage.OldestMs, now.UnixMilli()-o.LostMs)
	})
	u.State = s.Size()
	for _, n := range u.State {
		u.StateTotal += n
	}
}

// most is the largest and the median of some numbers, 0 of none.
func most(list []int) (largest, median int) {
	if len(list) == 0 {
		return 0, 0
	}
	slices.Sort(list)
	return list[len(list)-1], list[len(list)/2]
}

// measureBucket goes through the listing, a page at a time.
func (c *checker) measureBucket(ctx context.Context, u *Usage, now time.Time) error {
	kinds := map[string]*KindUsage{}
	for _, k := range usageKinds {
		kinds[k] = &KindUsage{Kind: k}
	}
	w := c.newBucket(now)
	for after := ""; ; {
		page, err := c.o.Store.List(ctx, layout.ClusterPrefix(c.o.Cluster), after, objstore.MaxBatch)
		if err != nil {
			return fmt.Errorf("list the bucket: %w", err)
		}
		for _, o := range page {
			kind, class := c.classify(w, o.Key)
			for _, x := range []*KindUsage{kinds[kind], &u.Total} {
				x.add(o.Size)
				x.class(class).add(o.Size)
			}
			after = o.Key
		}
		if len(page) < objstore.MaxBatch {
			break
		}
	}
	u.Total.Kind = "total"
	for _, k := range usageKinds {
		u.Objects = append(u.Objects, *kinds[k])
	}
	return nil
}

type class int

const (
	live class = iota
	garbage
	orphaned
)

func (k *KindUsage) class(c class) *Amount {
	switch c {
	case live:
		return &k.Live
	case garbage:
		return &k.Garbage
	default:
		return &k.Orphan
	}
}

// classify says what kind an object is of, and who needs it.
func (c *checker) classify(w *bucket, key string) (string, class) {
	named := func(n name) class {
		number, ok := w.byName[n]
		if o, _ := c.state.Object(number); ok && o.Refs > 0 || len(c.wants.find(n)) > 0 {
			return live
		}
		if ok {
			return garbage
		}
		return orphaned
	}
	if n, ok := c.written(key); ok {
		return kindOf(n.kind), named(n)
	}
	k, err := c.objects.ParseCheckpoint(key)
	switch {
	case key == layout.ClusterFile(c.o.Cluster):
		return "other", live
	case err != nil:
		return "other", orphaned
	}
	if _, kept := w.parts[key]; kept {
		return string(k.Kind), live
	}
	if k.Kind == layout.Archive {
		return string(k.Kind), named(name{k.Session, uint64(k.Head), state.ArchiveObject})
	}
	return string(k.Kind), orphaned
}
