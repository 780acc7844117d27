package faultkv_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"wadi/metadata/kv"
	"wadi/metadata/kv/faultkv"
	"wadi/metadata/kv/kvtest"
	"wadi/metadata/kv/memkv"
)

func TestContractWithoutRules(t *testing.T) {
	for _, c := range kvtest.Cases() {
		t.Run(c.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := faultkv.New(memkv.New(memkv.Config{}))
				defer k.Close()
				c.Run(t, k)
			})
		})
	}
}

// bubble runs f in virtual time on a fresh KV.
func bubble(t *testing.T, f func(t *testing.T, k *faultkv.KV)) {
	synctest.Test(t, func(t *testing.T) {
		k := faultkv.New(memkv.New(memkv.Config{}))
		defer k.Close()
		f(t, k)
	})
}

func put(ctx context.Context, k kv.KV, key string) error {
	_, err := k.Txn(ctx, kv.Txn{Then: []kv.Op{kv.Put(key, nil, 0)}})
	return err
}

func version(t *testing.T, k kv.KV, key string) int64 {
	t.Helper()
	r, err := k.Range(t.Context(), kv.RangeRequest{Key: key})
	require.NoError(t, err)
	if len(r.KVs) == 0 {
		return 0
	}
	return r.KVs[0].Version
}

func TestFailBeforeAndLoseAnswerDifferInTheirEffect(t *testing.T) {
	bubble(t, func(t *testing.T, k *faultkv.KV) {
		before := k.Add(faultkv.Rule{Op: faultkv.Txn, Nth: 2, Action: faultkv.FailBefore})
		lose := k.Add(faultkv.Rule{Op: faultkv.Txn, Nth: 3, Times: 2, Action: faultkv.LoseAnswer, Err: kv.ErrNoSpace})
		require.NoError(t, put(t.Context(), k, "a"))
		require.ErrorIs(t, put(t.Context(), k, "a"), kv.ErrUnavailable)
		require.Equal(t, int64(1), version(t, k, "a"))
		require.ErrorIs(t, put(t.Context(), k, "a"), kv.ErrNoSpace)
		require.ErrorIs(t, put(t.Context(), k, "a"), kv.ErrNoSpace)
		require.Equal(t, int64(3), version(t, k, "a"))
		require.NoError(t, put(t.Context(), k, "a"))
		require.Equal(t, []int{1, 2}, []int{before.Hits(), lose.Hits()})
	})
}

func TestMatchPicksRequests(t *testing.T) {
	bubble(t, func(t *testing.T, k *faultkv.KV) {
		h := k.Add(faultkv.Rule{
			Op: faultkv.Txn, Times: -1, Action: faultkv.FailBefore, Err: kv.ErrDenied,
			Match: func(c faultkv.Call) bool { return c.Txn.Then[0].Key == "b" },
		})
		require.NoError(t, put(t.Context(), k, "a"))
		for range 3 {
			require.ErrorIs(t, put(t.Context(), k, "b"), kv.ErrDenied)
		}
		h.Remove()
		require.NoError(t, put(t.Context(), k, "b"))
	})
}

func TestSlowCalls(t *testing.T) {
	bubble(t, func(t *testing.T, k *faultkv.KV) {
		k.Add(faultkv.Rule{Op: faultkv.Txn, Times: 2, Action: faultkv.Delay, Delay: time.Minute})
		start := time.Now()
		require.NoError(t, put(t.Context(), k, "a"))
		require.Equal(t, time.Minute, time.Since(start))
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, put(short, k, "a"), context.DeadlineExceeded)
		require.Equal(t, int64(1), version(t, k, "a"), "not sent any more")
		k.Clear()

		for action, applied := range map[faultkv.Action]int64{faultkv.Hang: 0, faultkv.HangAfter: 1} {
			h := k.Add(faultkv.Rule{Op: faultkv.Txn, Action: action})
			before := version(t, k, "a")
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			start = time.Now()
			err := put(ctx, k, "a")
			cancel()
			require.ErrorIs(t, err, kv.ErrUnavailable)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.Equal(t, time.Hour, time.Since(start))
			require.Equal(t, applied, version(t, k, "a")-before)
			h.Remove()
		}
	})
}

func TestCloseEndsWhatHangs(t *testing.T) {
	bubble(t, func(t *testing.T, k *faultkv.KV) {
		k.Add(faultkv.Rule{Op: faultkv.Txn, Action: faultkv.Hang})
		k.Add(faultkv.Rule{Op: faultkv.Watch, Action: faultkv.Hang})
		done := make(chan error)
		go func() { done <- put(context.Background(), k, "a") }()
		w := k.Watch(context.Background(), kv.WatchRequest{Key: "a", From: 2})
		synctest.Wait()
		require.NoError(t, k.Close())
		require.ErrorIs(t, <-done, kv.ErrUnavailable)
		require.ErrorIs(t, (<-w).Err, kv.ErrUnavailable)
		_, open := <-w
		require.False(t, open)
	})
}

// versions watches key a from the start, with n puts made one at a time, and returns what arrives in a minute.
func versions(t *testing.T, k *faultkv.KV, n int) (got []int64, last error) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	w := k.Watch(ctx, kv.WatchRequest{Key: "a", From: 2})
	var puts sync.WaitGroup
	defer puts.Wait()
	puts.Go(func() {
		for range n {
			time.Sleep(time.Millisecond) // a response each
			if put(ctx, k, "a") != nil {
				return
			}
		}
	})
	for r := range w {
		if r.Err != nil {
			last = r.Err
		}
		for _, e := range r.Events {
			got = append(got, e.KV.Version)
		}
	}
	return got, last
}

func TestWatchFaults(t *testing.T) {
	for _, c := range []struct {
		name string
		rule faultkv.Rule
		want []int64
		err  error
	}{
		{"drop", faultkv.Rule{Nth: 2, Action: faultkv.Drop}, []int64{1, 3, 4, 5}, nil},
		{"repeat", faultkv.Rule{Nth: 2, Action: faultkv.Repeat}, []int64{1, 2, 2, 3, 4, 5}, nil},
		{"swap", faultkv.Rule{Nth: 2, Action: faultkv.Swap}, []int64{1, 3, 2, 4, 5}, nil},
		{"swap last", faultkv.Rule{Nth: 5, Action: faultkv.Swap}, []int64{1, 2, 3, 4}, nil},
		{"freeze", faultkv.Rule{Nth: 3, Action: faultkv.Hang}, []int64{1, 2}, nil},
		{"late", faultkv.Rule{Nth: 3, Action: faultkv.Delay, Delay: time.Second}, []int64{1, 2, 3, 4, 5}, nil},
		{"cut", faultkv.Rule{Nth: 3, Action: faultkv.Cut}, []int64{1, 2}, kv.ErrUnavailable},
		{"compacted", faultkv.Rule{Nth: 3, Action: faultkv.Cut, Err: kv.ErrCompacted}, []int64{1, 2}, kv.ErrCompacted},
		{"never opens", faultkv.Rule{Op: faultkv.Watch, Action: faultkv.FailBefore}, nil, kv.ErrUnavailable},
		{"opens into silence", faultkv.Rule{Op: faultkv.Watch, Action: faultkv.Hang}, nil, nil},
		{"opens late", faultkv.Rule{Op: faultkv.Watch, Action: faultkv.Delay, Delay: time.Second}, []int64{1, 2, 3, 4, 5}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, k *faultkv.KV) {
				if c.rule.Op == 0 {
					c.rule.Op = faultkv.Response
				}
				h := k.Add(c.rule)
				got, err := versions(t, k, 5)
				require.Equal(t, c.want, got)
				require.Equal(t, 1, h.Hits())
				if c.err == nil {
					require.NoError(t, err)
				} else {
					require.ErrorIs(t, err, c.err)
				}
			})
		})
	}
}

func TestTranscript(t *testing.T) {
	bubble(t, func(t *testing.T, k *faultkv.KV) {
		ctx := t.Context()
		lease, err := k.Grant(ctx, 5)
		require.NoError(t, err)
		require.Equal(t, []string{"grant ttl 5 -> lease 694d000000000001"}, k.Transcript())
		k.Reset()
		watchCtx, cancel := context.WithCancel(ctx)
		w := k.Watch(watchCtx, kv.WatchRequest{Key: "j/", End: kv.PrefixEnd("j/"), From: 2, NoDelete: true})
		_, err = k.Txn(ctx, kv.Txn{
			If:   []kv.Compare{{Key: "s", Target: kv.CreateRevision}},
			Then: []kv.Op{kv.Put("j/1", make([]byte, 12), 0), kv.Put("j/~head", nil, lease), kv.Get("j/~head")},
		})
		require.NoError(t, err)
		<-w
		cancel()
		k.Add(faultkv.Rule{Op: faultkv.Txn, Action: faultkv.LoseAnswer})
		_, err = k.Txn(ctx, kv.Txn{
			If:   []kv.Compare{{Key: "j/1", Target: kv.ModRevision, Want: 9}},
			Else: []kv.Op{{Kind: kv.OpDelete, Key: "j/1", End: "j/2"}},
		})
		require.Error(t, err)
		_, err = k.Range(ctx, kv.RangeRequest{Key: "j", End: "\x00", Revision: 2, Limit: 1, KeysOnly: true})
		require.NoError(t, err)
		_, err = k.Range(ctx, kv.RangeRequest{Key: "a key", Revision: 99})
		require.Error(t, err)
		require.NoError(t, k.Revoke(ctx, lease))
		_, err = k.KeepAlive(ctx, lease)
		require.Error(t, err)
		require.NoError(t, k.Compact(ctx, 2))
		want := []string{
			`watch#1 [j/,j0) from 2 nodelete`,
			`txn if create(s)=0 then put(j/1,12B) put(j/~head,0B,lease 694d000000000001) get(j/~head) -> ok rev 2 gets [1]`,
			`watch#1 rev 2: put(j/1,12B) put(j/~head,0B)`,
			`txn if mod(j/1)=9 then else delete([j/1,j/2)) -> lose answer (else rev 3 deleted 1): unavailable`,
			`range [j,) at 2 limit 1 keys -> 1 of 2 rev 3`,
			`range "a key" at 99 -> future`,
			`revoke 694d000000000001 -> ok`,
			`keepalive 694d000000000001 -> lease not found`,
			`compact 2 -> ok`,
		}
		got := k.Transcript()
		require.Equal(t, slices.Sorted(slices.Values(want)), slices.Sorted(slices.Values(got)), "txn and response may pass each other")
		require.Equal(t, want[3:], got[3:])
	})
}

func TestRulesThatCannotFireAsMeantAreRefused(t *testing.T) {
	k := faultkv.New(memkv.New(memkv.Config{}))
	defer k.Close()
	for _, r := range []faultkv.Rule{
		{}, {Op: faultkv.Txn}, {Op: faultkv.Txn, Action: faultkv.Drop}, {Op: faultkv.Response, Action: faultkv.LoseAnswer},
		{Op: faultkv.Response, Action: faultkv.FailBefore}, {Op: faultkv.Txn, Action: faultkv.Hang, Nth: -1},
	} {
		require.Panics(t, func() { k.Add(r) }, "%+v", r)
	}
}
