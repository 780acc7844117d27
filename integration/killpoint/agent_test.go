package killpoint

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"wadi/agent"
	"wadi/internal/config"
	"wadi/internal/layout"
	"wadi/internal/listen"
	"wadi/internal/metrics"
	"wadi/metadata/checkpoint"
	"wadi/metadata/kv"
	"wadi/metadata/kv/etcdkv"
	"wadi/objstore/open"
)

var kills = flag.Int("kills", 1, "kills for each step and side")

// plan is what the agent's process is told.
type plan struct {
	Cluster string
	Port    uint16
	Etcd    string // URL; "" = embedded, under Dir
	Dir     string
	Store   string // URL; "" = files under Dir
	Inline  int    // inline.max.bytes

	Step  step // "" = live until SIGTERM
	After bool
	Nth   int // the first call of the step that is hit
}

func (p plan) String() string {
	side := "before"
	if p.After {
		side = "after"
	}
	return fmt.Sprintf("%s call %d of %s", side, p.Nth, p.Step)
}

func (p plan) storeURL() string {
	if p.Store != "" {
		return p.Store
	}
	return "file://" + filepath.Join(p.Dir, "objects")
}

const planVariable = "KILLPOINT_PLAN"

// started is printed when signals are heard.
const started = "agent started"

// TestMain runs the agent when it was started with a plan, else the tests.
func TestMain(m *testing.M) {
	text := os.Getenv(planVariable)
	if text == "" {
		os.Exit(m.Run())
	}
	var p plan
	err := json.Unmarshal([]byte(text), &p)
	if err == nil {
		err = runAgent(p)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "agent:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// ttl is short so that a successor need not wait long for its predecessor's job.
const ttl = time.Second

// limits make checkpoints follow each other, and everything that a checkpoint does happen soon.
var limits = checkpoint.Limits{
	JournalBytes: 64 << 10, Interval: 100 * time.Millisecond, BaseBytes: 1, KeepRoots: 2, Retry: 50 * time.Millisecond,
	TrimPause: 10 * time.Millisecond,
}

// runAgent wires an agent as cmd/wadi does, with the decorators in between, and runs it until SIGTERM.
func runAgent(p plan) (err error) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	fmt.Fprintln(os.Stderr, started)
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelInfo}))
	c, err := agentConfig(p)
	if err != nil {
		return err
	}
	endpoint, err := listen.Loopback(ctx, p.Port)
	if err != nil {
		return err
	}
	metadata, err := openEtcd(ctx, p)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, metadata.Close()) }()
	store, err := open.Open(ctx, p.storeURL(), open.Options{})
	if err != nil {
		return err
	}
	registry, err := metrics.NewRegistry()
	if err != nil {
		return err
	}
	set, err := metrics.New(registry)
	if err != nil {
		return err
	}
	k := &killer{plan: p}
	a, err := agent.New(agent.Options{
		Config: c, Endpoints: []listen.Endpoint{endpoint}, Log: log, Metrics: set, Checkpoint: limits,
		KV:    killKV{metadata, k, layout.NewEtcd(p.Cluster)},
		Store: killStore{store, k, layout.NewObjects(p.Cluster, 1), p.Cluster},
	})
	if err != nil {
		return err
	}
	return a.Run(ctx)
}

func agentConfig(p plan) (config.Config, error) {
	loaded, err := config.Load(config.Input{OwnEtcd: true, Flags: []config.Given{
		{Key: "cluster", Value: p.Cluster}, {Key: "etcd.endpoints", Value: p.Etcd}, {Key: "store", Value: p.storeURL()},
		{Key: "listeners", Value: fmt.Sprintf("PLAINTEXT://127.0.0.1:%d", p.Port)}, {Key: "kafka.num.partitions", Value: "4"},
		{Key: "inline.max.bytes", Value: fmt.Sprint(p.Inline)}, {Key: "flush.puts.per.second", Value: "0"},
	}})
	if err != nil {
		return config.Config{}, err
	}
	c := loaded.Config
	c.SessionTTL = ttl
	return c, nil
}

func openEtcd(ctx context.Context, p plan) (kv.KV, error) {
	if p.Etcd != "" {
		return etcdkv.Dial(etcdkv.Config{Endpoints: []string{p.Etcd}})
	}
	return etcdkv.Embed(ctx, filepath.Join(p.Dir, "etcd"), etcdkv.EmbedOptions{})
}
