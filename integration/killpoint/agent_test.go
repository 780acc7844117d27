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
	"strings"
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
	"wadi/objstore"
	"wadi/objstore/fault"
	"wadi/objstore/open"
	"wadi/objstore/steady"
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
	Hedge   bool   // the first PUT of every flush brings no answer; see hangFirst
	Compact bool   // with a compactor
	Flaky   int    // every so many calls of the compactor fail, or lose their answer; 0 = none
	Lasting bool   // sessions last for long: no busy machine ends one

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

// ttl is short so that a successor need not wait long for its predecessor's job; lasting is for what would not happen
// once but for the end of a session.
const ttl, lasting = time.Second, 5 * time.Second

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
	store, err := open.Open(ctx, p.storeURL(), open.Options{Bare: true})
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
	calls, err := open.Steadiness(p.storeURL())
	if err != nil {
		return err
	}
	if p.Hedge {
		store, calls = hangFirst(store), hedgeAll
	}
	k := &killer{plan: p}
	o := agent.Options{
		Config: c, Endpoints: []listen.Endpoint{endpoint}, Log: log, Metrics: set, Checkpoint: limits, Steady: calls,
		KV:    killKV{metadata, k, layout.NewEtcd(p.Cluster)},
		Store: killStore{store, k, layout.NewObjects(p.Cluster, 1), p.Cluster},
	}
	if p.Compact {
		o.Companion = compacts
	}
	a, err := agent.New(o)
	if err != nil {
		return err
	}
	return a.Run(ctx)
}

// hedgeAll sends a second request for everything that takes more than a moment.
var hedgeAll = steady.Config{Hedge: steady.Hedge{
	Quantile: 0.5, Share: 1, Burst: 1 << 20, Initial: 5 * time.Millisecond, Samples: 1 << 20,
}}

// hangFirst keeps the answer to each Put under a flush's first name for ever; every other time the object is stored.
func hangFirst(store objstore.Store) objstore.Store {
	hang := func(ctx context.Context, c fault.Call) error {
		if strings.HasSuffix(c.Key, ".h.seg") || !strings.HasSuffix(c.Key, ".seg") {
			return nil
		}
		<-ctx.Done()
		return ctx.Err()
	}
	f := fault.New(store)
	f.Script(fault.Fault{Op: fault.Put, Key: ".seg", Times: -1, Do: fault.Hook(func(ctx context.Context, c fault.Call) error {
		if c.N%2 == 0 {
			return hang(ctx, c)
		}
		return nil
	}, hang)})
	return f
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
	if c.SessionTTL = ttl; p.Lasting {
		c.SessionTTL = lasting
	}
	return c, nil
}

func openEtcd(ctx context.Context, p plan) (kv.KV, error) {
	if p.Etcd != "" {
		return etcdkv.Dial(etcdkv.Config{Endpoints: []string{p.Etcd}})
	}
	return etcdkv.Embed(ctx, filepath.Join(p.Dir, "etcd"), etcdkv.EmbedOptions{})
}
