package etcdkv_test

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"wadi/metadata/kv"
	"wadi/metadata/kv/memkv"
)

var twinSeed = flag.Uint64("twin.seed", 0, "seed of TestMemkvIsItsTwin; 0 = random")

// TestMemkvIsItsTwin runs one random sequence of requests on an embedded etcd and on memkv: both start empty, so that
// revisions must be equal as well as answers, errors and the whole history.
func TestMemkvIsItsTwin(t *testing.T) {
	seed := *twinSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("-twin.seed=%d plays this again", seed)
	p := &pair{
		etcd: embedded(t, t.TempDir()), mem: memkv.New(memkv.Config{}),
		rnd: rand.New(rand.NewPCG(seed, 1)), toEtcd: map[int64]int64{0: 0},
	}
	defer p.mem.Close()
	p.watchFrom(t, 2)
	for range 800 {
		switch n := p.rnd.IntN(100); {
		case n < 70:
			p.txn(t)
		case n < 85:
			p.list(t)
		case n < 91:
			p.grant(t)
		case n < 95:
			p.revoke(t)
		case n < 97:
			p.compact(t)
		case p.rnd.IntN(2) == 0:
			p.drain(t)
		default:
			p.watchFrom(t, max(p.compacted+p.rnd.Int64N(5)-2, 1))
		}
	}
	require.Greater(t, p.rev, int64(100))
	p.drain(t)
}

type pair struct {
	etcd, mem kv.KV
	rnd       *rand.Rand
	rev       int64
	compacted int64
	leases    []int64                    // memkv's live ids and some dead ones
	toEtcd    map[int64]int64            // memkv's ids to etcd's
	watches   [2]<-chan kv.WatchResponse // memkv's and etcd's
}

func (p *pair) key() string { return fmt.Sprintf("k%d", p.rnd.IntN(6)) }

func (p *pair) end() string { return []string{"", "", "k3", "k5", "\x00"}[p.rnd.IntN(5)] }

// ops makes a branch, for memkv and for etcd, that is now and then invalid or names a dead lease.
func (p *pair) ops() (mem, etcd []kv.Op) {
	for range p.rnd.IntN(4) {
		op := kv.Op{Kind: kv.OpKind(1 + p.rnd.IntN(3)), Key: p.key()}
		switch op.Kind {
		case kv.OpPut:
			op.Value = fmt.Append(nil, p.rnd.IntN(1000))
			if len(p.leases) > 0 && p.rnd.IntN(3) == 0 {
				op.Lease = p.leases[p.rnd.IntN(len(p.leases))]
			}
		case kv.OpGet:
			op.End, op.Limit = p.end(), p.rnd.Int64N(4)
		case kv.OpDelete:
			if op.End = p.end(); op.End == "\x00" {
				op.End = "k9" // memkv is stricter there
			}
		}
		mem = append(mem, op)
		op.Lease = p.toEtcd[op.Lease]
		etcd = append(etcd, op)
	}
	return mem, etcd
}

func (p *pair) txn(t *testing.T) {
	var mem, etcd kv.Txn
	for range p.rnd.IntN(3) {
		mem.If = append(mem.If, kv.Compare{Key: p.key(), Target: kv.Target(1 + p.rnd.IntN(3)), Want: p.rnd.Int64N(4)})
	}
	etcd.If = mem.If
	mem.Then, etcd.Then = p.ops()
	mem.Else, etcd.Else = p.ops()
	want, wantErr := p.mem.Txn(t.Context(), mem)
	got, gotErr := p.etcd.Txn(t.Context(), etcd)
	p.same(t, wantErr, gotErr)
	if gotErr != nil {
		return
	}
	p.rev = want.Header.Revision
	got.Header.ClusterID = want.Header.ClusterID
	for i := range want.Gets {
		want.Gets[i] = p.leasesOfEtcd(want.Gets[i])
	}
	require.Equal(t, want, got)
}

// leasesOfEtcd is kvs as etcd would have them.
func (p *pair) leasesOfEtcd(kvs []kv.KeyValue) []kv.KeyValue {
	kvs = slices.Clone(kvs)
	for i := range kvs {
		kvs[i].Lease = p.toEtcd[kvs[i].Lease]
	}
	return kvs
}

func (p *pair) same(t *testing.T, want, got error) {
	t.Helper()
	require.Equal(t, want == nil, got == nil, "memkv: %v; etcd: %v", want, got)
	for _, s := range []error{
		kv.ErrCompacted, kv.ErrFuture, kv.ErrTooLarge, kv.ErrDenied, kv.ErrNoSpace, kv.ErrUnavailable, kv.ErrLeaseNotFound,
	} {
		require.Equal(t, errors.Is(want, s), errors.Is(got, s), "memkv: %v; etcd: %v", want, got)
	}
}

func (p *pair) list(t *testing.T) {
	r := kv.RangeRequest{Key: p.key(), End: p.end(), Limit: p.rnd.Int64N(4), Revision: max(0, p.rev+2-p.rnd.Int64N(30))}
	r.KeysOnly, r.CountOnly = p.rnd.IntN(4) == 0, p.rnd.IntN(6) == 0
	want, wantErr := p.mem.Range(t.Context(), r)
	got, gotErr := p.etcd.Range(t.Context(), r)
	p.same(t, wantErr, gotErr)
	got.Header.ClusterID = want.Header.ClusterID
	want.KVs = p.leasesOfEtcd(want.KVs)
	for i := range got.KVs {
		if len(got.KVs[i].Value) == 0 {
			got.KVs[i].Value = want.KVs[i].Value[:0]
		}
	}
	require.Equal(t, want, got, "%+v", r)
}

func (p *pair) grant(t *testing.T) {
	mem, err := p.mem.Grant(t.Context(), 600)
	require.NoError(t, err)
	etcd, err := p.etcd.Grant(t.Context(), 600)
	require.NoError(t, err)
	p.leases, p.toEtcd[mem] = append(p.leases, mem), etcd
}

func (p *pair) revoke(t *testing.T) {
	if len(p.leases) == 0 {
		return
	}
	id := p.leases[p.rnd.IntN(len(p.leases))]
	p.same(t, p.mem.Revoke(t.Context(), id), p.etcd.Revoke(t.Context(), p.toEtcd[id]))
	_, wantErr := p.mem.KeepAlive(t.Context(), id)
	_, gotErr := p.etcd.KeepAlive(t.Context(), p.toEtcd[id])
	p.same(t, wantErr, gotErr)
}

func (p *pair) compact(t *testing.T) {
	p.drain(t) // else the compaction might overtake one of the watches
	rev := p.rev + 2 - p.rnd.Int64N(40)
	if rev == 0 {
		rev = 1 // 0 is no revision; etcd takes it once all the same, and forgets nothing
	}
	wantErr := p.mem.Compact(t.Context(), rev)
	p.same(t, wantErr, p.etcd.Compact(t.Context(), rev))
	if wantErr == nil {
		p.compacted = rev
	}
}

// watchFrom ends the present watches and starts others. From below the compact revision both are refused.
func (p *pair) watchFrom(t *testing.T, from int64) {
	p.drain(t)
	if from > p.rev+1 {
		from = p.rev + 1
	}
	w := kv.WatchRequest{Key: "k0", End: "k4", From: from, NoDelete: p.rnd.IntN(2) == 0}
	p.watches = [2]<-chan kv.WatchResponse{p.mem.Watch(t.Context(), w), p.etcd.Watch(t.Context(), w)}
	if from >= p.compacted {
		return
	}
	for _, w := range p.watches {
		r := <-w
		require.ErrorIs(t, r.Err, kv.ErrCompacted)
		require.Equal(t, p.compacted, r.CompactRevision)
	}
	p.watches = [2]<-chan kv.WatchResponse{}
	p.watchFrom(t, p.compacted)
}

// drain puts a marker into the watched range and compares everything up to it.
func (p *pair) drain(t *testing.T) {
	marker := kv.Txn{Then: []kv.Op{kv.Put("k0marker", nil, 0)}}
	want, err := p.mem.Txn(t.Context(), marker)
	require.NoError(t, err)
	got, err := p.etcd.Txn(t.Context(), marker)
	require.NoError(t, err)
	require.Equal(t, want.Header.Revision, got.Header.Revision)
	p.rev = want.Header.Revision
	if p.watches[0] == nil {
		return
	}
	wantEvs, gotEvs := p.read(t, p.watches[0]), p.read(t, p.watches[1])
	require.Equal(t, len(wantEvs), len(gotEvs))
	for i := range wantEvs {
		wantEvs[i].KV.Lease = p.toEtcd[wantEvs[i].KV.Lease]
		if len(gotEvs[i].KV.Value) == 0 {
			gotEvs[i].KV.Value = wantEvs[i].KV.Value
		}
	}
	require.Equal(t, wantEvs, gotEvs)
}

func (p *pair) read(t *testing.T, w <-chan kv.WatchResponse) (evs []kv.Event) {
	for len(evs) == 0 || evs[len(evs)-1].KV.ModRevision < p.rev {
		r, open := <-w
		require.True(t, open)
		require.NoError(t, r.Err)
		evs = append(evs, r.Events...)
	}
	return evs
}
