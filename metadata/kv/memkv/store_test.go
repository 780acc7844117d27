package memkv

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"wadi/metadata/kv"
)

func put(t *testing.T, s *Store, key, value string) int64 {
	t.Helper()
	r, err := s.Txn(kv.Txn{Then: []kv.Op{kv.Put(key, []byte(value), 0)}})
	require.NoError(t, err)
	return r.Header.Revision
}

func TestTxnIsOneRevisionAndGetsSeeItsWrites(t *testing.T) {
	s := NewStore(Options{})
	r, err := s.Txn(kv.Txn{Then: []kv.Op{
		kv.Get("a"), kv.Put("a", []byte("1"), 0), kv.Put("b", []byte("2"), 0), kv.Get("a"),
	}})
	require.NoError(t, err)
	require.Equal(t, int64(2), r.Header.Revision)
	require.Empty(t, r.Gets[0])
	require.Equal(t, "1", string(r.Gets[1][0].Value))
	require.Equal(t, int64(2), r.Gets[1][0].ModRevision)

	r, err = s.Txn(kv.Txn{Then: []kv.Op{kv.Delete("none"), kv.Get("b")}})
	require.NoError(t, err)
	require.Equal(t, int64(2), r.Header.Revision, "a transaction that changes nothing takes no revision")
	require.Equal(t, int64(1), r.Gets[0][0].Version)
}

func TestLeasesEndInOrderOneRevisionEach(t *testing.T) {
	s, t0 := NewStore(Options{}), time.Unix(100, 0)
	a, err := s.Grant(t0, 5)
	require.NoError(t, err)
	b, err := s.Grant(t0, 5)
	require.NoError(t, err)
	for _, p := range []struct {
		key   string
		lease int64
	}{{"a2", a}, {"a1", a}, {"b", b}} {
		_, err := s.Txn(kv.Txn{Then: []kv.Op{kv.Put(p.key, nil, p.lease)}})
		require.NoError(t, err)
	}
	put(t, s, "a2", "moved off its lease")
	before := s.Revision()

	require.Empty(t, s.Expire(t0.Add(5*time.Second-1)))
	require.Equal(t, []int64{a, b}, s.Expire(t0.Add(5*time.Second)))
	require.Equal(t, []string{"a2"}, s.Keys())
	evs, next, err := s.EventsSince("a", "\x00", before+1, false, 0)
	require.NoError(t, err)
	require.Equal(t, before+3, next)
	require.Equal(t, []kv.Event{
		{Delete: true, KV: kv.KeyValue{Key: "a1", ModRevision: before + 1}},
		{Delete: true, KV: kv.KeyValue{Key: "b", ModRevision: before + 2}},
	}, evs)
	_, err = s.KeepAlive(t0, a)
	require.ErrorIs(t, err, kv.ErrLeaseNotFound)
}

func TestFullStoreTakesDeletesOnly(t *testing.T) {
	s := NewStore(Options{QuotaBytes: 4096})
	var err error
	n := 0
	for ; err == nil; n++ {
		_, err = s.Txn(kv.Txn{Then: []kv.Op{kv.Put("k"+string(rune('a'+n)), make([]byte, 500), 0)}})
		require.Less(t, n, 20)
	}
	require.ErrorIs(t, err, kv.ErrNoSpace)
	require.True(t, s.Status().NoSpace)
	_, err = s.Txn(kv.Txn{Then: []kv.Op{{Kind: kv.OpDelete, Key: "k", End: "l"}}})
	require.NoError(t, err)
	require.NoError(t, s.Compact(s.Revision()))
	require.Less(t, s.Status().DBInUse, int64(2000))
	s.Disarm()
	_, err = s.Txn(kv.Txn{Then: []kv.Op{kv.Put("x", make([]byte, 500), 0)}})
	require.ErrorIs(t, err, kv.ErrNoSpace, "the file is as big as before")
	s.Defrag()
	s.Disarm()
	put(t, s, "x", "y")
}

func TestRestoreIsARollback(t *testing.T) {
	s, t0 := NewStore(Options{}), time.Unix(100, 0)
	put(t, s, "a", "1")
	snap := s.Snapshot()
	used, err := s.Grant(t0, 5)
	require.NoError(t, err)
	rev := put(t, s, "a", "2")
	put(t, s, "b", "3")

	s.Restore(t0, snap)
	require.Equal(t, []string{"a"}, s.Keys())
	_, _, err = s.EventsSince("a", "", rev+1, false, 0)
	require.ErrorIs(t, err, kv.ErrFuture)
	require.Equal(t, rev, put(t, s, "a", "other"), "revisions are given twice")
	fresh, err := s.Grant(t0, 5)
	require.NoError(t, err)
	require.NotEqual(t, used, fresh)
	s.Restore(t0, snap)
	r, err := s.Range(kv.RangeRequest{Key: "a"})
	require.NoError(t, err)
	require.Equal(t, "1", string(r.KVs[0].Value), "a snapshot can be restored twice")
}
