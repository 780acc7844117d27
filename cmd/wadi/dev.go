package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"wadi/internal/config"
	"wadi/internal/datadir"
	"wadi/internal/layout"
	"wadi/internal/listen"
	"wadi/metadata/kv"
	"wadi/objstore"
)

// maxDevAgents bounds --agents: all of them share one machine.
const maxDevAgents = 16

type devOptions struct {
	listen  string
	dataDir string
	store   string
	http    string
	agents  int

	httpGiven bool
}

func (a *app) devCommand() *cobra.Command {
	var o devOptions
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Run everything in one process: agents, embedded etcd, files as object store",
		Long: "Run a durable Kafka endpoint for development. The other configuration keys are taken from WADI_ variables\n" +
			"as in 'wadi agent'.",
		Args: cobra.NoArgs,
	}
	cmd.RunE = a.do(func(ctx context.Context, _ []string) error {
		o.httpGiven = cmd.Flags().Changed("http")
		return a.dev(ctx, o)
	})
	cmd.Flags().StringVar(&o.listen, "listen", "127.0.0.1:9092", "Kafka address; a loopback address listens on both 127.0.0.1 and [::1]")
	cmd.Flags().StringVar(&o.dataDir, "data-dir", "./wadi-data", "directory for etcd's data and for the objects")
	cmd.Flags().StringVar(&o.store, "store", "", "object store URL (default: files under the data directory)")
	cmd.Flags().StringVar(&o.http, "http", "127.0.0.1:9644", "address of /healthz, /readyz, /metrics and /debug/pprof, empty for none")
	cmd.Flags().IntVar(&o.agents, "agents", 1, "number of agents; each takes the next port")
	return cmd
}

// dev starts from the outside in: the configuration is checked, then the directory locked, then the addresses taken,
// and only then anything started, so that each of these problems costs one sentence and no time.
func (a *app) dev(ctx context.Context, o devOptions) (err error) {
	base, err := a.devConfig(o)
	if err != nil {
		return usageError{err}
	}
	dir, err := datadir.Open(o.dataDir)
	if err != nil {
		if errors.Is(err, datadir.ErrLocked) {
			return fmt.Errorf("%w: stop it or choose another directory with --data-dir", err)
		}
		return err
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	log := a.logger(slog.LevelWarn) // the terminal belongs to whoever tries things out
	nodes, err := devNodes(ctx, o, base, log)
	defer func() {
		for _, n := range nodes {
			n.close()
		}
	}()
	if err != nil {
		return err
	}
	metadata, err := embedEtcd(ctx, dir.Sub("etcd"), log)
	switch {
	case err != nil && ctx.Err() != nil:
		return nil // asked to stop before there was anything to drain
	case err != nil:
		return fmt.Errorf("the embedded etcd does not start: %w", err)
	}
	defer func() { err = errors.Join(err, metadata.Close()) }()
	if err := forgetLast(ctx, metadata, base.Cluster); err != nil {
		return err
	}
	store, err := openStore(ctx, base.Store)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, objstore.Close(store)) }()
	for _, n := range nodes {
		if err := n.build(a.newAgent, metadata, store); err != nil {
			return err
		}
	}
	return serve(ctx, nodes, func() error { return a.printReady(nodes) })
}

// forgetLast removes the registrations and jobs of the process that had this data directory before and was killed. The
// directory's lock says that it is gone; its leases would say so seconds later, and until then clients would be sent to
// its agents. The first agent's OpenSession closes the sessions that have no key any more, so that all agents are the nodes
// that they were at their addresses.
func forgetLast(ctx context.Context, metadata kv.KV, cluster string) error {
	keys := layout.NewEtcd(cluster)
	var gone []kv.Op
	for _, prefix := range []string{keys.SessionsPrefix(), keys.JobsPrefix()} {
		gone = append(gone, kv.Op{Kind: kv.OpDelete, Key: prefix, End: kv.PrefixEnd(prefix)})
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if _, err := metadata.Txn(ctx, kv.Txn{Then: gone}); err != nil {
		return fmt.Errorf("the embedded etcd does not take a write: %w", err)
	}
	return nil
}

// devConfig is the configuration that all agents share; listeners and http are those of the first.
func (a *app) devConfig(o devOptions) (config.Config, error) {
	at, err := devAddress(o)
	if err != nil {
		return config.Config{}, err
	}
	dir, err := filepath.Abs(o.dataDir)
	if err != nil {
		return config.Config{}, fmt.Errorf("--data-dir %s: %w", o.dataDir, err)
	}
	objects := url.URL{Scheme: "file", Path: filepath.Join(dir, "objects")}
	in := config.Input{
		Environ: a.environ,
		OwnEtcd: true,
		Defaults: []config.Given{
			{Key: "cluster", Value: "dev", Source: "dev"},
			{Key: "etcd.endpoints", Value: "", Source: "dev"},
			{Key: "store", Value: objects.String(), Source: "--data-dir"},
			// Agents, etcd and store live and die together, so nobody waits for a lease to end; a disk that others keep busy
			// holds its renewal up for seconds.
			{Key: "session.ttl", Value: "15s", Source: "dev"},
			{Key: "gc.grace", Value: "1m", Source: "dev"}, // a disk of one machine
			{Key: "recover.hourly", Value: "0s", Source: "dev"},
			// Nobody waits for a fleet of members here.
			{Key: "kafka.group.initial.rebalance.delay.ms", Value: "0", Source: "dev"},
		},
		Flags: []config.Given{
			{Key: "listeners", Value: at.String(), Source: "--listen"},
			{Key: "advertised.listeners", Value: devAdvertised(at).String(), Source: "--listen"},
		},
		Reserved: map[string]string{
			"listeners":            "use --listen",
			"advertised.listeners": "use --listen",
			"etcd.endpoints":       "dev runs an etcd of its own; use 'wadi agent' for another",
		},
	}
	if o.store != "" {
		in.Flags = append(in.Flags, config.Given{Key: "store", Value: o.store, Source: "--store"})
	}
	if o.httpGiven {
		in.Flags = append(in.Flags, config.Given{Key: "http", Value: o.http, Source: "--http"})
	}
	loaded, err := config.Load(in)
	if err != nil {
		return config.Config{}, err
	}
	return loaded.Config, nil
}

func devAddress(o devOptions) (config.Listener, error) {
	at, err := config.ParseHostPort(o.listen)
	if err != nil {
		return at, usagef("--listen: %w", err)
	}
	if o.agents < 1 || o.agents > maxDevAgents {
		return at, usagef("--agents %d: must lie between 1 and %d", o.agents, maxDevAgents)
	}
	if at.Port != 0 && int(at.Port)+o.agents-1 > 65535 {
		return at, usagef("--agents %d: there are not that many ports from %d on", o.agents, at.Port)
	}
	return at, nil
}

// devAdvertised is what clients are told: they run on this machine, unless an address of the network is listened on.
func devAdvertised(at config.Listener) config.Listener {
	tell := at
	if loopbackHost(at.Host) || at.Wildcard() {
		tell.Host = "localhost"
	}
	if tell.Port == 0 {
		tell.Port = 1 // any valid one: the bound port replaces it
	}
	return tell
}

// loopbackHost reports whether a host stands for this machine alone, so that both address families are listened on.
func loopbackHost(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && (a == netip.MustParseAddr("127.0.0.1") || a == netip.IPv6Loopback())
}

// devNodes takes the addresses of all agents. It returns the nodes made so far next to an error.
func devNodes(ctx context.Context, o devOptions, base config.Config, log *slog.Logger) ([]*node, error) {
	at := base.Listeners[0]
	var nodes []*node
	for i := range o.agents {
		c := base
		e, err := devEndpoint(ctx, at, i)
		if err != nil {
			return nodes, bindError(err, "--listen")
		}
		c.Listeners = []config.Listener{{Host: at.Host, Port: e.Advertised.Port}}
		c.Advertised = []config.Listener{e.Advertised}
		c.HTTP = nextHTTP(base.HTTP, i)
		n, err := newNode(ctx, c, []listen.Endpoint{e}, log.With("agent", i))
		if err != nil {
			return nodes, errors.Join(bindError(err, "--http"), e.Close())
		}
		nodes = append(nodes, n)
	}
	return nodes, nil
}

func devEndpoint(ctx context.Context, at config.Listener, i int) (listen.Endpoint, error) {
	if at.Port != 0 {
		at.Port += uint16(i)
	}
	if loopbackHost(at.Host) {
		return listen.Loopback(ctx, at.Port)
	}
	tell := devAdvertised(at)
	tell.Port = at.Port
	bound, err := listen.Bind(ctx, []config.Listener{at}, []config.Listener{tell})
	if err != nil {
		return listen.Endpoint{}, err
	}
	return bound[0], nil
}

// nextHTTP is the operations address of agent i: the next port, or again a free one.
func nextHTTP(first string, i int) string {
	at, err := config.ParseHostPort(first)
	if err != nil || at.Port == 0 {
		return first // none, or a free port each
	}
	at.Port += uint16(i)
	return at.Address()
}

type readyLine struct {
	Ready    bool     `json:"ready"`
	Address  string   `json:"address"` // as a --bootstrap-server takes it
	Commands []string `json:"commands,omitempty"`
}

// printReady prints the line that says so, then three lines to copy.
func (a *app) printReady(nodes []*node) error {
	all := make([]string, len(nodes))
	for i, n := range nodes {
		all[i] = n.addresses()
	}
	address := strings.Join(all, ",")
	commands := []string{
		"echo hello | kcat -P -b " + address + " -t greetings",
		`python3 -c "from confluent_kafka import Producer as P; p = P({'bootstrap.servers': '` + address + `'}); p.produce('greetings', b'hello'); p.flush()"`,
		"wadi consume --bootstrap-server " + address + " --topic greetings --from-beginning",
	}
	if a.json() {
		return a.printJSON(readyLine{Ready: true, Address: address, Commands: commands})
	}
	return a.printf("ready %s\n%s\n", address, strings.Join(commands, "\n"))
}
