package retention

import (
	"context"
	"log/slog"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	miniogo "github.com/minio/minio-go/v7"
	"github.com/stretchr/testify/require"

	"wadi/agent"
	"wadi/compactor"
	"wadi/integration/minio"
	"wadi/integration/s3server"
	"wadi/internal/config"
	"wadi/internal/listen"
	"wadi/internal/metrics"
	"wadi/metadata/fsck"
	"wadi/metadata/kv/memkv"
	"wadi/metadata/member"
	"wadi/objstore"
	"wadi/objstore/open"
)

const (
	clusterName = "retention"
	patience    = 3 * time.Minute
)

// node is an agent and its compactor, and what lies behind them.
type node struct {
	addr   string
	kv     *memkv.KV
	store  objstore.Store
	server *s3server.Server
	bucket string
}

// start runs everything until the test ends. Checkpoints follow each other quickly, each with a base; the last three are
// kept.
func start(t *testing.T) *node {
	t.Helper()
	n := &node{kv: memkv.New(memkv.Config{}), server: minio.Start(t)}
	n.bucket = n.server.NewBucket(t)
	for _, env := range n.server.Env() {
		name, value, _ := strings.Cut(env, "=")
		t.Setenv(name, value)
	}
	url := n.server.URL(n.bucket + "/streams")
	loaded, err := config.Load(config.Input{OwnEtcd: true, Defaults: []config.Given{
		{Key: "cluster", Value: clusterName}, {Key: "etcd.endpoints", Value: ""}, {Key: "store", Value: url},
		{Key: "listeners", Value: "PLAINTEXT://127.0.0.1:9092"}, {Key: "inline.max.bytes", Value: "1KiB"},
		{Key: "flush.interval", Value: "5ms"}, {Key: "flush.puts.per.second", Value: "0"},
		{Key: "compactor.interval", Value: "1s"}, {Key: "gc.grace", Value: "1s"},
		{Key: "recover.roots", Value: "3"}, {Key: "recover.hourly", Value: "0s"}, {Key: "session.ttl", Value: "60s"},
	}})
	require.NoError(t, err)
	n.store, err = open.Open(t.Context(), url, open.Options{Bare: true})
	require.NoError(t, err)
	registry, err := metrics.NewRegistry()
	require.NoError(t, err)
	set, err := metrics.New(registry)
	require.NoError(t, err)
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	n.addr = socket.Addr().String()
	limits := member.Limits(loaded.Config.Recover)
	limits.Interval, limits.JournalBytes, limits.BaseBytes, limits.Retry = 200*time.Millisecond, 64<<10, 1, 50*time.Millisecond
	a, err := agent.New(agent.Options{
		Config: loaded.Config, KV: n.kv.Client(), Store: n.store, Metrics: set, Checkpoint: limits,
		Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})),
		Endpoints: []listen.Endpoint{{
			Sockets: []net.Listener{socket}, Advertised: config.Listener{Host: "127.0.0.1", Port: uint16(socket.Addr().(*net.TCPAddr).Port)},
		}},
		Companion: func(m *member.Member) func(context.Context) error {
			return compactor.New(compactor.For(m, loaded.Config.Compactor)).Run
		},
	})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the agent ended: %v", err)
		}
		n.kv.Close()
	})
	select {
	case <-a.Ready():
	case <-time.After(patience):
		_, why := a.Health()
		t.Fatalf("the agent is not ready: %s", why)
	}
	return n
}

// held is what the bucket holds of one kind of objects.
type held struct {
	objects int
	bytes   int64
}

// look lists the bucket with another client than the product's: objects by kind, flush and merge taken together as data.
func (n *node) look(t *testing.T) map[string]held {
	t.Helper()
	found := map[string]held{}
	for o := range n.server.Client(t).ListObjects(t.Context(), n.bucket, miniogo.ListObjectsOptions{Recursive: true}) {
		require.NoError(t, o.Err)
		kind := "other"
		for part, of := range map[string]string{
			"/flush/": "data", "/merge/": "data", "/manifest/": "manifest", "/root/": "root", "/base/": "base", "/archive/": "archive",
		} {
			if strings.Contains(o.Key, part) {
				kind = of
			}
		}
		h := found[kind]
		found[kind] = held{h.objects + 1, h.bytes + o.Size}
	}
	return found
}

// fsck checks everything, every byte of it.
func (n *node) fsck(t *testing.T) {
	t.Helper()
	report, err := fsck.Run(t.Context(), fsck.Options{KV: n.kv.Client(), Store: n.store, Cluster: clusterName, Grace: 5 * time.Second})
	require.NoError(t, err)
	require.True(t, report.Clean(), "%v", report.Findings)
}
