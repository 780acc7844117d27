package fsck_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"wadi/metadata/fsck"
	"wadi/metadata/state"
)

func (f fixture) measure(t *testing.T) *fsck.Usage {
	t.Helper()
	u, err := fsck.Measure(t.Context(), fsck.Options{KV: f.kv, Store: f.store, Cluster: cluster})
	require.NoError(t, err)
	sum := fsck.KindUsage{Kind: "total"}
	for _, k := range u.Objects {
		require.Equal(t, k.Objects, k.Live.Objects+k.Garbage.Objects+k.Orphan.Objects, "%+v", k)
		require.Equal(t, k.Bytes, k.Live.Bytes+k.Garbage.Bytes+k.Orphan.Bytes, "%+v", k)
		for _, x := range [][2]*fsck.Amount{
			{&sum.Amount, &k.Amount}, {&sum.Live, &k.Live}, {&sum.Garbage, &k.Garbage}, {&sum.Orphan, &k.Orphan},
		} {
			x[0].Objects += x[1].Objects
			x[0].Bytes += x[1].Bytes
		}
	}
	require.Equal(t, sum, u.Total)
	list := f.list(t)
	bytes := int64(0)
	for _, o := range list {
		bytes += o.Size
	}
	require.Equal(t, fsck.Amount{Objects: len(list), Bytes: bytes}, u.Total.Amount)
	return u
}

func kind(t *testing.T, u *fsck.Usage, name string) fsck.KindUsage {
	t.Helper()
	for _, k := range u.Objects {
		if k.Kind == name {
			return k
		}
	}
	t.Fatalf("no %s in %+v", name, u.Objects)
	return fsck.KindUsage{}
}

// Every object is counted once, under its kind and by who needs it, as runs are merged, folded and released.
func TestMeasure(t *testing.T) {
	f := work(t)
	u := f.measure(t)
	s := f.state(t)
	require.Equal(t, 3, u.Partitions)
	require.Equal(t, s.RunCount(), u.Runs.State)
	require.Positive(t, u.Runs.Median)
	require.GreaterOrEqual(t, u.Runs.Max, u.Runs.Median)
	require.Equal(t, len(f.keysOf(t, "/flush/")), kind(t, u, "flush").Live.Objects)
	require.Equal(t, kind(t, u, "flush").Amount, u.MergeDebt)
	require.Equal(t, fsck.Amount{Objects: 3, Bytes: kind(t, u, "root").Bytes}, kind(t, u, "root").Live)
	require.Zero(t, u.Total.Garbage.Objects+u.Total.Orphan.Objects)
	require.Equal(t, int(s.Appended()), int(u.Runs.Bytes))
	require.InDelta(t, float64(u.Total.Bytes)/float64(u.Runs.Bytes), u.SpaceAmplification, 0.001)
	require.Positive(t, u.StateTotal)
	require.NotNil(t, u.Etcd)
	before := u.WriteAmplification

	f.merge(t, 1, 0, 8, nil).land(t)
	f.merge(t, 2, 1, 8, nil).land(t)
	x := f.fold(t, 3, 2)
	x.land(t)
	session, _ := f.last(t)
	f.put(t, f.keys.Root()+"notes.txt")
	f.put(t, f.keys.Manifest(session, 9))
	u = f.measure(t)
	require.Equal(t, fsck.ManifestUsage{Partitions: 1, Owned: 2}, u.Manifests)
	require.Equal(t, 2, u.Runs.Manifests)
	require.Equal(t, f.state(t).RunCount(), u.Runs.State)
	require.Equal(t, 2, kind(t, u, "merge").Live.Objects)
	require.Equal(t, 1, kind(t, u, "manifest").Live.Objects)
	require.Equal(t, 1, kind(t, u, "manifest").Orphan.Objects)
	require.Equal(t, 1, kind(t, u, "other").Orphan.Objects)
	require.Positive(t, kind(t, u, "flush").Garbage.Objects)
	objects, bytes := f.state(t).Garbage()
	require.Equal(t, fsck.Amount{Objects: objects, Bytes: bytes}, u.Garbage.Amount)
	require.Positive(t, u.Garbage.OldestMs)
	require.Equal(t, f.state(t).Written(state.MergedObject), u.Written["merge"])
	require.Greater(t, u.WriteAmplification, before)

	p, err := fsck.MeasureTopic(t.Context(), fsck.Options{KV: f.kv, Store: f.store, Cluster: cluster}, "t")
	require.NoError(t, err)
	require.Equal(t, u.Runs, p.Runs)
	total := int64(0)
	for _, n := range p.Bytes {
		total += n
	}
	require.Equal(t, u.Runs.Bytes, total)
	require.Equal(t, 2, p.Partitions[0].Manifest)
	require.Equal(t, 2, p.Partitions[0].Owned)
	require.Equal(t, f.partition(t).Manifest.Bytes, p.Bytes["manifest"])
	_, err = fsck.MeasureTopic(t.Context(), fsck.Options{KV: f.kv, Store: f.store, Cluster: cluster}, "none")
	require.ErrorIs(t, err, fsck.ErrNoTopic)

	f.change(t, x.key(t), flip)
	_, err = fsck.Measure(t.Context(), fsck.Options{KV: f.kv, Store: f.store, Cluster: cluster})
	require.Error(t, err)
	require.NoError(t, f.store.Delete(t.Context(), f.keysOf(t, "/root/")))
	_, err = fsck.Measure(t.Context(), fsck.Options{KV: f.kv, Store: f.store, Cluster: cluster})
	require.ErrorIs(t, err, fsck.ErrDamaged)
}
