package memkv

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"wadi/metadata/kv"
)

// naive keeps the whole state of every revision. It is slow and has nothing to get wrong.
type naive struct {
	at        []map[string]kv.KeyValue // by revision
	events    [][]kv.Event             // by revision
	compacted int64
}

func newNaive() *naive {
	return &naive{at: []map[string]kv.KeyValue{{}, {}}, events: [][]kv.Event{nil, nil}}
}

func (n *naive) rev() int64 { return int64(len(n.at) - 1) }

func (n *naive) clone() *naive {
	return &naive{at: slices.Clone(n.at), events: slices.Clone(n.events), compacted: n.compacted}
}

func (n *naive) list(rev int64, key, end string) (out []kv.KeyValue) {
	for _, k := range slices.Sorted(maps.Keys(n.at[rev])) {
		if inRange(k, key, end) {
			out = append(out, n.at[rev][k])
		}
	}
	return out
}

// apply runs one branch; the compares were judged before.
func (n *naive) apply(ops []kv.Op) (gets [][]kv.KeyValue, deleted int64) {
	state, rev := maps.Clone(n.at[n.rev()]), n.rev()+1
	n.at, n.events = append(n.at, state), append(n.events, nil)
	for _, op := range ops {
		switch op.Kind {
		case kv.OpPut:
			e := kv.KeyValue{Key: op.Key, Value: op.Value, CreateRevision: rev, ModRevision: rev, Version: 1, Lease: op.Lease}
			if old, ok := state[op.Key]; ok {
				e.CreateRevision, e.Version = old.CreateRevision, old.Version+1
			}
			state[op.Key] = e
			n.events[rev] = append(n.events[rev], kv.Event{KV: e})
		case kv.OpDelete:
			for _, e := range n.list(rev, op.Key, op.End) {
				delete(state, e.Key)
				deleted++
				n.events[rev] = append(n.events[rev], kv.Event{Delete: true, KV: kv.KeyValue{Key: e.Key, ModRevision: rev}})
			}
		case kv.OpGet:
			found := n.list(rev, op.Key, op.End)
			if op.Limit > 0 && int64(len(found)) > op.Limit {
				found = found[:op.Limit]
			}
			gets = append(gets, found)
		}
	}
	if n.events[rev] == nil {
		n.at, n.events = n.at[:rev], n.events[:rev]
	}
	return gets, deleted
}

func (n *naive) deleteLeased(lease int64) {
	var ops []kv.Op
	for _, e := range n.list(n.rev(), "", "\x00") {
		if e.Lease == lease {
			ops = append(ops, kv.Delete(e.Key))
		}
	}
	n.apply(ops)
}

var twinKeys = rapid.SampledFrom([]string{"a", "aa", "b", "c", "d"})

func drawOps(t *rapid.T, leases []int64) (ops []kv.Op) {
	written := map[string]bool{}
	for i := range rapid.IntRange(0, 5).Draw(t, "ops") {
		key := twinKeys.Draw(t, "key")
		end := rapid.SampledFrom([]string{"", "c", "\x00"}).Draw(t, "end")
		switch rapid.IntRange(0, 2).Draw(t, "kind") {
		case 0:
			if written[key] {
				continue
			}
			lease := int64(0)
			if len(leases) > 0 && rapid.Bool().Draw(t, "leased") {
				lease = rapid.SampledFrom(leases).Draw(t, "lease")
			}
			written[key] = true
			ops = append(ops, kv.Put(key, []byte{byte(i)}, lease))
		case 1:
			if slices.ContainsFunc(slices.Collect(maps.Keys(written)), func(k string) bool { return inRange(k, key, end) }) {
				continue
			}
			for _, k := range []string{"a", "aa", "b", "c", "d"} {
				written[k] = written[k] || inRange(k, key, end)
			}
			ops = append(ops, kv.Op{Kind: kv.OpDelete, Key: key, End: end})
		case 2:
			ops = append(ops, kv.Op{Kind: kv.OpGet, Key: key, End: end, Limit: int64(rapid.IntRange(0, 2).Draw(t, "limit"))})
		}
	}
	return ops
}

func TestStoreAgainstNaiveTwin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, n, now := NewStore(Options{}), newNaive(), time.Unix(0, 0)
		leases := map[int64]time.Time{} // expiry
		var snap *Snapshot
		var naiveSnap *naive
		var snapLeases map[int64]time.Time
		live := func() []int64 { return slices.Sorted(maps.Keys(leases)) }
		t.Repeat(map[string]func(*rapid.T){
			"txn": func(t *rapid.T) {
				txn := kv.Txn{Then: drawOps(t, live()), Else: drawOps(t, live())}
				want := true
				for range rapid.IntRange(0, 2).Draw(t, "compares") {
					c := kv.Compare{
						Key: twinKeys.Draw(t, "key"), Target: kv.Target(rapid.IntRange(1, 3).Draw(t, "target")),
						Want: rapid.Int64Range(0, n.rev()).Draw(t, "want"),
					}
					e := n.at[n.rev()][c.Key]
					have := []int64{0, e.CreateRevision, e.ModRevision, e.Version}[c.Target]
					if rapid.Bool().Draw(t, "right") {
						c.Want = have
					}
					want = want && have == c.Want
					txn.If = append(txn.If, c)
				}
				got, err := s.Txn(txn)
				require.NoError(t, err)
				ops := txn.Then
				if !want {
					ops = txn.Else
				}
				gets, deleted := n.apply(ops)
				require.Equal(t, want, got.Succeeded)
				require.Equal(t, gets, got.Gets)
				require.Equal(t, deleted, got.Deleted)
				require.Equal(t, n.rev(), got.Header.Revision)
			},
			"grant": func(t *rapid.T) {
				ttl := rapid.Int64Range(1, 5).Draw(t, "ttl")
				id, err := s.Grant(now, ttl)
				require.NoError(t, err)
				require.NotContains(t, leases, id)
				leases[id] = now.Add(time.Duration(ttl) * time.Second)
			},
			"tick": func(t *rapid.T) {
				now = now.Add(time.Duration(rapid.IntRange(0, 3).Draw(t, "seconds")) * time.Second)
				var want []int64
				for _, id := range live() {
					if !leases[id].After(now) {
						want = append(want, id)
					}
				}
				slices.SortStableFunc(want, func(a, b int64) int { return leases[a].Compare(leases[b]) })
				require.Equal(t, want, s.Expire(now))
				for _, id := range want {
					delete(leases, id)
					n.deleteLeased(id)
				}
			},
			"revoke": func(t *rapid.T) {
				if len(leases) == 0 {
					t.Skip("no lease")
				}
				id := rapid.SampledFrom(live()).Draw(t, "lease")
				require.NoError(t, s.Revoke(id))
				delete(leases, id)
				n.deleteLeased(id)
			},
			"compact": func(t *rapid.T) {
				rev := rapid.Int64Range(0, n.rev()+1).Draw(t, "rev")
				err := s.Compact(rev)
				switch {
				case rev <= n.compacted:
					require.ErrorIs(t, err, kv.ErrCompacted)
				case rev > n.rev():
					require.ErrorIs(t, err, kv.ErrFuture)
				default:
					require.NoError(t, err)
					n.compacted = rev
				}
			},
			"snapshot": func(t *rapid.T) { snap, naiveSnap, snapLeases = s.Snapshot(), n.clone(), maps.Clone(leases) },
			"restore": func(t *rapid.T) {
				if snap == nil {
					t.Skip("no snapshot")
				}
				s.Restore(now, snap)
				n, leases = naiveSnap.clone(), maps.Clone(snapLeases)
				for id := range leases {
					ttl, err := s.KeepAlive(now, id)
					require.NoError(t, err)
					leases[id] = now.Add(time.Duration(ttl) * time.Second)
				}
			},
			"": func(t *rapid.T) { requireTwins(t, s, n) },
		})
	})
}

// requireTwins compares every revision and the watch from every revision.
func requireTwins(t *rapid.T, s *Store, n *naive) {
	require.Equal(t, n.rev(), s.Revision())
	require.Equal(t, n.compacted, s.CompactRevision())
	for rev := int64(1); rev <= n.rev(); rev++ {
		got, err := s.Range(kv.RangeRequest{Key: "a", End: "\x00", Revision: rev})
		if rev < n.compacted {
			require.ErrorIs(t, err, kv.ErrCompacted)
			continue
		}
		require.NoError(t, err)
		require.Equal(t, n.list(rev, "a", "\x00"), got.KVs, "at %d", rev)
	}
	if n.compacted > 1 {
		_, _, err := s.EventsSince("a", "\x00", n.compacted-1, false, 0)
		require.ErrorIs(t, err, kv.ErrCompacted)
	}
	for _, batch := range []int{0, 1, 4} {
		var want, got []kv.Event
		from := max(n.compacted, 1)
		for rev := from; rev <= n.rev(); rev++ {
			want = append(want, n.events[rev]...)
		}
		for from <= n.rev() {
			evs, next, err := s.EventsSince("a", "\x00", from, false, batch)
			require.NoError(t, err)
			require.Greater(t, next, from)
			for _, e := range evs {
				require.True(t, e.KV.ModRevision >= from && e.KV.ModRevision < next, "a revision is never split")
			}
			got, from = append(got, evs...), next
		}
		require.Equal(t, want, got, fmt.Sprint("batches of ", batch))
	}
	var held int64
	s.keys.Ascend(func(h *keyHistory) bool {
		require.NotEmpty(t, h.changes)
		for _, c := range h.changes {
			held += c.bytes()
		}
		return true
	})
	require.Equal(t, held, s.size.inUse, "what compaction frees")
	require.GreaterOrEqual(t, s.size.file, s.size.inUse)
}
