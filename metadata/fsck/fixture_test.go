package fsck_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/proto"

	"wadi/agent"
	"wadi/internal/config"
	"wadi/internal/layout"
	"wadi/internal/listen"
	"wadi/internal/metrics"
	"wadi/metadata/checkpoint"
	"wadi/metadata/fsck"
	"wadi/metadata/journal"
	"wadi/metadata/kv"
	"wadi/metadata/kv/memkv"
	"wadi/metadata/member"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/state"
	"wadi/objstore"
	"wadi/objstore/mem"
)

// fixture is a cluster after work: its metadata and its objects, with no agent running.
type fixture struct {
	kv    *memkv.KV
	store *mem.Store
	keys  layout.Objects
}

const cluster = "test"

// worked is a cluster over whose memory etcd and store an agent ran under producers, until some checkpoints were made, and
// was drained. It is made once.
var worked struct {
	sync.Mutex
	fixture
}

// work is a copy of that cluster.
func work(t *testing.T) fixture {
	t.Helper()
	worked.Lock()
	defer worked.Unlock()
	if worked.kv == nil {
		f := fixture{kv: memkv.New(memkv.Config{}), store: mem.New(), keys: layout.NewObjects(cluster, 1)}
		f.live(t, 6, 30)
		worked.fixture = f
	}
	return worked.fork(t)
}

// live lets an agent make so many checkpoints, with so many records before each, and then takes in five more.
func (f fixture) live(t *testing.T, checkpoints, records int) {
	t.Helper()
	f.liveWith(t, nil, checkpoints, records)
}

func (f fixture) liveWith(t *testing.T, limits func(*checkpoint.Limits), checkpoints, records int) {
	t.Helper()
	produce, stop := f.agent(t, limits, nil, config.Given{Key: "roles", Value: "broker"})
	for range checkpoints {
		before := f.pointer(t)
		produce(records)
		require.Eventually(t, func() bool { return f.pointer(t) > before }, time.Minute, time.Millisecond)
	}
	produce(5)
	stop()
	f.open(t)
}

// agent starts one. produce sends it so many records, stop drains it.
func (f fixture) agent(
	t *testing.T, limits func(*checkpoint.Limits), companion func(config.Config) func(*member.Member) func(context.Context) error, flags ...config.Given,
) (produce func(n int), stop func()) {
	t.Helper()
	loaded, err := config.Load(config.Input{OwnEtcd: true, Flags: append([]config.Given{
		{Key: "cluster", Value: cluster}, {Key: "etcd.endpoints", Value: ""}, {Key: "store", Value: "mem://"},
		{Key: "inline.max.bytes", Value: "1KiB"}, {Key: "kafka.num.partitions", Value: "3"}, {Key: "session.ttl", Value: "60s"},
		{Key: "listeners", Value: "PLAINTEXT://127.0.0.1:9092"},
	}, flags...)})
	require.NoError(t, err)
	endpoint, err := listen.Loopback(t.Context(), 0)
	require.NoError(t, err)
	registry, err := metrics.NewRegistry()
	require.NoError(t, err)
	set, err := metrics.New(registry)
	require.NoError(t, err)
	o := agent.Options{
		Config: loaded.Config, Endpoints: []listen.Endpoint{endpoint}, KV: f.kv, Store: f.store,
		Log: slog.New(slog.DiscardHandler), Metrics: set,
		Checkpoint: checkpoint.Limits{
			JournalBytes: 1, Interval: 20 * time.Millisecond, BaseBytes: 8 << 10, KeepRoots: 3, Retry: 20 * time.Millisecond,
			TrimPause: 10 * time.Millisecond,
		},
	}
	if limits != nil {
		limits(&o.Checkpoint)
	}
	if companion != nil {
		o.Companion = companion(loaded.Config)
	}
	a, err := agent.New(o)
	require.NoError(t, err)
	ctx, end := context.WithTimeout(t.Context(), 5*time.Minute)
	t.Cleanup(end)
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	select {
	case <-a.Ready():
	case err := <-ended:
		t.Fatal(err)
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(endpoint.Advertised.Address()), kgo.AllowAutoTopicCreation())
	require.NoError(t, err)
	t.Cleanup(client.Close)
	random := rand.New(rand.NewPCG(1, 2))
	produce = func(n int) {
		for i := range n {
			size := 100
			if i%3 == 0 {
				size = 5000 // beyond the inline limit
			}
			value := make([]byte, size)
			for j := range value {
				value[j] = byte(random.Uint32())
			}
			r := &kgo.Record{Topic: "t", Key: fmt.Append(nil, i), Value: value}
			require.NoError(t, client.ProduceSync(ctx, r).FirstErr())
		}
	}
	return produce, func() {
		end()
		require.NoError(t, <-ended)
	}
}

// open opens a session that lives, in which the tests propose: that of the agent is closed.
func (f fixture) open(t *testing.T) {
	t.Helper()
	last, _ := f.last(t)
	value, err := proto.Marshal(&pb.Entry{AtMs: 1, Commands: []*pb.Command{{Kind: &pb.Command_OpenSession{OpenSession: &pb.OpenSession{
		MinFeatureLevel: state.MinFeatureLevel, MaxFeatureLevel: state.MaxFeatureLevel,
	}}}}})
	require.NoError(t, err)
	keys := layout.NewEtcd(cluster)
	_, err = f.kv.Txn(t.Context(), kv.Txn{Then: []kv.Op{kv.Put(keys.Entry(last+1, 1), value, 0), kv.Put(keys.Head(), nil, 0)}})
	require.NoError(t, err)
}

// last is the newest entry's session and sequence.
func (f fixture) last(t *testing.T) (session layout.Session, seq uint64) {
	t.Helper()
	keys := layout.NewEtcd(cluster)
	res, err := f.kv.Range(t.Context(), kv.RangeRequest{Key: keys.JournalPrefix(), End: keys.Head()})
	require.NoError(t, err)
	session, seq, err = keys.ParseEntry(res.KVs[len(res.KVs)-1].Key)
	require.NoError(t, err)
	return session, seq
}

func (f fixture) pointer(t *testing.T) int64 {
	t.Helper()
	a, err := journal.New(f.kv, layout.NewEtcd(cluster)).Anchor(t.Context())
	require.NoError(t, err)
	return a.Pointer.GetPosition()
}

func (f fixture) check(t *testing.T) *fsck.Report {
	t.Helper()
	r, err := fsck.Run(t.Context(), fsck.Options{KV: f.kv, Store: f.store, Cluster: cluster})
	require.NoError(t, err)
	return r
}

// keyOf finds an object whose key holds part, the n-th from the end.
func (f fixture) keyOf(t *testing.T, part string, n int) string {
	t.Helper()
	keys := f.keysOf(t, part)
	require.Greater(t, len(keys), n, part)
	return keys[len(keys)-1-n]
}

func (f fixture) oldest(t *testing.T, part string) string {
	t.Helper()
	keys := f.keysOf(t, part)
	require.NotEmpty(t, keys)
	return keys[0]
}

func (f fixture) keysOf(t *testing.T, part string) []string {
	t.Helper()
	var keys []string
	for _, o := range f.list(t) {
		if strings.Contains(o.Key, part) {
			keys = append(keys, o.Key)
		}
	}
	return keys
}

// list is everything in the bucket.
func (f fixture) list(t *testing.T) (list []objstore.Info) {
	t.Helper()
	for after := ""; ; after = list[len(list)-1].Key {
		page, err := f.store.List(t.Context(), cluster+"/", after, objstore.MaxBatch)
		require.NoError(t, err)
		list = append(list, page...)
		if len(page) < objstore.MaxBatch {
			return list
		}
	}
}

// change replaces an object's bytes behind everybody's back.
func (f fixture) change(t *testing.T, key string, edit func([]byte) []byte) {
	t.Helper()
	data, err := f.store.Get(t.Context(), key, 0, -1)
	require.NoError(t, err)
	require.NoError(t, f.store.Delete(t.Context(), []string{key}))
	require.NoError(t, f.store.Put(t.Context(), key, objstore.NewBody(edit(data))))
}

func flip(b []byte) []byte { b[len(b)/2] ^= 1; return b }

func kinds(items []fsck.Item) map[fsck.Kind]int {
	m := map[fsck.Kind]int{}
	for _, i := range items {
		m[i.Kind]++
	}
	return m
}

// named asserts a finding of the kind on the subject, and returns what it says.
func named(t *testing.T, r *fsck.Report, k fsck.Kind, subject string) string {
	t.Helper()
	for _, i := range r.Findings {
		if i.Kind == k && i.Subject == subject {
			return i.Detail
		}
	}
	t.Errorf("no %s of %s among %v", k, subject, r.Findings)
	return ""
}

// clone copies the objects, and for the metadata everything under the cluster's keys is what it was: the damage to it
// comes last.
func (f fixture) clone(t *testing.T) fixture {
	t.Helper()
	store := mem.New()
	for _, o := range f.list(t) {
		data, err := f.store.Get(t.Context(), o.Key, 0, -1)
		require.NoError(t, err)
		require.NoError(t, store.Put(t.Context(), o.Key, objstore.NewBody(data)))
	}
	f.store = store
	return f
}

// fork copies objects and metadata.
func (f fixture) fork(t *testing.T) fixture {
	t.Helper()
	c := f.clone(t)
	last, _ := f.last(t)
	c.kv = memkv.New(memkv.Config{Options: memkv.Options{FirstLease: int64(last) + 1000}}) // no session's id comes again
	var snapshot *memkv.Snapshot
	f.kv.Inspect(func(s *memkv.Store) { snapshot = s.Snapshot() })
	c.kv.Inspect(func(s *memkv.Store) { s.Restore(time.Now(), snapshot) })
	return c
}
