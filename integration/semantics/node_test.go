package semantics

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"wadi/agent"
	"wadi/compactor"
	"wadi/internal/config"
	"wadi/internal/listen"
	"wadi/internal/metrics"
	"wadi/metadata/checkpoint"
	"wadi/metadata/kv/faultkv"
	"wadi/metadata/kv/memkv"
	clustermember "wadi/metadata/member"
	"wadi/objstore/fault"
	"wadi/objstore/mem"
)

// cluster is what outlives its agents: the metadata and the bucket.
type cluster struct {
	kv    *memkv.KV
	store *mem.Store
}

func newCluster(t *testing.T) *cluster {
	c := &cluster{kv: memkv.New(memkv.Config{}), store: mem.New()}
	t.Cleanup(func() { c.kv.Close() })
	return c
}

// node is one agent, with faults between it and the cluster.
type node struct {
	addr  string
	kv    *faultkv.KV
	store *fault.Store
	armed []*fault.Armed
	agent *agent.Agent
	stats *prometheus.Registry

	cancel context.CancelFunc
	done   chan error
	once   sync.Once
	err    error
}

// settings are configuration keys that differ from the default.
type settings map[string]string

// brief are the settings of an agent that is to find out soon that its session may be over.
func brief(s settings) settings { return lasting("5s", s) }

// lasting are the settings of an agent whose sessions last for that long.
func lasting(ttl string, s settings) settings {
	with := settings{"session.ttl": ttl}
	maps.Copy(with, s)
	return with
}

// setup says how an agent is to be run.
type setup struct {
	settings    settings
	checkpoints checkpoint.Limits // the zero value means the default
	before      func(*node)       // runs before the agent does, to arm faults
	compactor   bool              // one works beside the agent
}

// start runs an agent and waits until it serves. It stops with the test.
func (c *cluster) start(t *testing.T, s settings) *node { return c.startWith(t, setup{settings: s}) }

func (c *cluster) startWith(t *testing.T, s setup) *node {
	t.Helper()
	n, err := c.launch(s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		n.clear()
		if err := n.stop(); err != nil {
			t.Errorf("agent %s: %v", n.addr, err)
		}
	})
	if err := n.serves(); err != nil {
		t.Fatal(err)
	}
	return n
}

// launch runs an agent.
func (c *cluster) launch(s setup) (*node, error) {
	in := config.Input{OwnEtcd: true, Defaults: []config.Given{
		{Key: "cluster", Value: "semantics"}, {Key: "etcd.endpoints", Value: ""}, {Key: "store", Value: "s3://bucket/prefix"},
		{Key: "listeners", Value: "PLAINTEXT://127.0.0.1:9092"}, {Key: "session.ttl", Value: "60s"}, // a busy machine ends none
	}}
	for k, v := range s.settings {
		in.Defaults = append(in.Defaults, config.Given{Key: k, Value: v})
	}
	loaded, err := config.Load(in)
	if err != nil {
		return nil, err
	}
	registry, err := metrics.NewRegistry()
	if err != nil {
		return nil, err
	}
	set, err := metrics.New(registry)
	if err != nil {
		return nil, err
	}
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	port := socket.Addr().(*net.TCPAddr).Port
	n := &node{
		addr: "127.0.0.1:" + strconv.Itoa(port), kv: faultkv.New(c.kv.Client()), store: fault.New(c.store), done: make(chan error, 1),
		stats: registry,
	}
	if s.before != nil {
		s.before(n)
	}
	o := agent.Options{
		Config: loaded.Config, KV: n.kv, Store: n.store, Log: slog.New(slog.DiscardHandler), Metrics: set, Checkpoint: s.checkpoints,
		Endpoints: []listen.Endpoint{{
			Sockets: []net.Listener{socket}, Advertised: config.Listener{Host: "127.0.0.1", Port: uint16(port)},
		}},
	}
	if s.compactor {
		o.Companion = func(m *clustermember.Member) func(context.Context) error {
			return compactor.New(compactor.For(m, loaded.Config.Compactor)).Run
		}
	}
	n.agent, err = agent.New(o)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	n.cancel = cancel
	go func() { n.done <- n.agent.Run(ctx) }()
	return n, nil
}

// serves waits until the agent does.
func (n *node) serves() error {
	select {
	case <-n.agent.Ready():
		return nil
	case err := <-n.done:
		n.done <- err
		return fmt.Errorf("the agent ended: %w", err)
	case <-time.After(patience):
		_, why := n.agent.Health()
		return fmt.Errorf("the agent is not ready: %s", why)
	}
}

// stop is SIGTERM: it drains and waits until the agent has ended.
func (n *node) stop() error {
	n.once.Do(func() {
		n.cancel()
		n.err = <-n.done
		n.kv.Close()
	})
	return n.err
}

// clear ends all faults.
func (n *node) clear() {
	n.kv.Clear()
	for _, a := range n.armed {
		a.Disarm()
	}
	n.armed = nil
}

// script arms a fault of the node's store until clear. It is called from the test's goroutine.
func (n *node) script(f fault.Fault) *fault.Armed {
	a := n.store.Script(f)
	n.armed = append(n.armed, a)
	return a
}

// one is the agent that most tests share, each with topics of its own. With -count each round has another one, as the
// topics are there already.
var one struct {
	sync.Mutex
	node  *node
	ended map[string]bool // tests of this round that have ended
}

func shared(t *testing.T) *node {
	t.Helper()
	one.Lock()
	defer one.Unlock()
	if one.node == nil || one.ended[t.Name()] {
		if err := endShared(); err != nil {
			t.Fatal(err)
		}
		c := &cluster{kv: memkv.New(memkv.Config{}), store: mem.New()}
		n, err := c.launch(setup{})
		if err == nil {
			err = n.serves()
		}
		if err != nil {
			t.Fatal(err)
		}
		one.node, one.ended = n, map[string]bool{}
	}
	t.Cleanup(func() {
		one.Lock()
		defer one.Unlock()
		one.ended[t.Name()] = true
	})
	return one.node
}

func endShared() error {
	if one.node == nil {
		return nil
	}
	return one.node.stop()
}

func TestMain(m *testing.M) {
	code := m.Run()
	if err := endShared(); err != nil {
		fmt.Println("the shared agent:", err)
		code = 1
	}
	os.Exit(code)
}

// eventually waits for what agents come to know of each other in their own time.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for limit := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// figure is a metric's value, summed over its labels.
func (n *node) figure(t *testing.T, name string) (sum float64) {
	t.Helper()
	families, err := n.stats.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			for _, m := range f.Metric {
				sum += m.GetGauge().GetValue() + m.GetCounter().GetValue()
			}
		}
	}
	return sum
}
