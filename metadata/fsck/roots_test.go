package fsck_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"wadi/internal/layout"
	"wadi/metadata/checkpoint"
	"wadi/metadata/fsck"
	"wadi/metadata/kv/memkv"
	"wadi/objstore/mem"
)

// A root that is kept for long has no archives that lead to the next one. What it names is looked for all the same.
func TestRootsFarApart(t *testing.T) {
	f := fixture{kv: memkv.New(memkv.Config{}), store: mem.New(), keys: layout.NewObjects(cluster, 1)}
	f.live(t, 4, 30)
	f.liveWith(t, func(l *checkpoint.Limits) { l.KeepRoots, l.KeepHourly, l.BaseBytes = 2, 24*time.Hour, 1 }, 4, 30)
	r := f.clean(t, 250)
	require.Equal(t, 3, r.Counts.Roots)
	roots := f.roots(t)
	require.Len(t, roots, 3)
	require.Greater(t, roots[1].Archives[0].From, roots[0].Position, "no archive goes on behind the oldest")

	// A flush whose only run lies in partition 0 becomes garbage, and its being deleted is a loss to the oldest root alone.
	f.merge(t, 1, 0, 1000, nil).land(t)
	f.clean(t, 250)
	key := ""
	for _, k := range f.keysOf(t, "/flush/") {
		if o, ok := f.garbageAt(t, k); ok && o.Introduced <= roots[0].Position {
			key = k
		}
	}
	require.NotEmpty(t, key)
	require.NoError(t, f.store.Delete(t.Context(), []string{key}))
	require.Contains(t, named(t, f.check(t), fsck.MissingObject, key), "the kept root at position")
	f.forget(t, key)
	require.Contains(t, named(t, f.check(t), fsck.MissingObject, key), "the kept root at position")
}
