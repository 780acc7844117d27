package lease_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"wadi/internal/layout"
	"wadi/metadata/kv"
	"wadi/metadata/kv/memkv"
	"wadi/metadata/lease"
)

var keys = layout.NewEtcd("demo")

// A job is had by one session at a time, until it gives it up or ends. What was put is found again; who does not get a
// job writes nothing.
func TestOneHolder(t *testing.T) {
	ctx, m := t.Context(), memkv.New(memkv.Config{})
	grant := func() layout.Session {
		id, err := m.Grant(ctx, 60)
		require.NoError(t, err)
		return layout.Session(id)
	}
	one, two := grant(), grant()
	jobs := []string{"a", "b"}
	revision := func() int64 {
		res, err := m.Txn(ctx, kv.Txn{Then: []kv.Op{kv.Get(keys.Job("a"))}})
		require.NoError(t, err)
		return res.Header.Revision
	}
	mine, gets, err := lease.Take(ctx, m, keys, one, jobs, kv.Get(keys.Checkpoint()))
	require.NoError(t, err)
	require.Len(t, gets, 1)
	require.Empty(t, gets[0])
	require.NotZero(t, mine[0].Revision)
	require.NotZero(t, mine[1].Revision)

	before := revision()
	again, _, err := lease.Take(ctx, m, keys, one, jobs)
	require.NoError(t, err)
	require.Equal(t, mine, again)
	theirs, _, err := lease.Take(ctx, m, keys, two, jobs)
	require.NoError(t, err)
	require.Zero(t, theirs[0].Revision+theirs[1].Revision)
	require.Equal(t, before, revision())

	require.NoError(t, lease.GiveUp(ctx, m, mine[0]))
	theirs, _, err = lease.Take(ctx, m, keys, two, jobs)
	require.NoError(t, err)
	require.NotZero(t, theirs[0].Revision)
	require.Zero(t, theirs[1].Revision)
	require.NoError(t, lease.GiveUp(ctx, m, mine[0]), "it is over")
	seen, err := lease.Look(ctx, m, keys, two, jobs)
	require.NoError(t, err)
	require.Equal(t, theirs, seen, "another's hold was given up")
	_, err = m.Txn(ctx, kv.Txn{If: []kv.Compare{mine[1].Guard(), theirs[0].Guard()}, Then: []kv.Op{kv.Put("x", nil, 0)}})
	require.NoError(t, err)

	require.NoError(t, m.Revoke(ctx, int64(one)))
	theirs, _, err = lease.Take(ctx, m, keys, two, jobs)
	require.NoError(t, err)
	require.NotZero(t, theirs[1].Revision)
}
