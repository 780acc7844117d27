package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"wadi/internal/config"
	"wadi/internal/listen"
	whereabouts "wadi/internal/place"
	"wadi/objstore"
)

func (a *app) agentCommand() *cobra.Command {
	return a.processCommand(&cobra.Command{
		Use:   "agent",
		Short: "Run an agent of a cluster with its own etcd and object store",
		Long: "Run an agent. Each configuration key can be given as a flag of its name, as an environment variable\n" +
			"(flush.bytes is WADI_FLUSH_BYTES), or in the file, in this order of precedence.",
	}, false, a.runAgent)
}

// processCommand adds to a command what all have that run one process of a cluster: the configuration.
func (a *app) processCommand(cmd *cobra.Command, noClients bool, run func(context.Context, config.Config) error) *cobra.Command {
	var file string
	var printConfig bool
	cmd.Args = cobra.NoArgs
	cmd.Flags().StringVar(&file, "config", "", "configuration file (YAML)")
	cmd.Flags().BoolVar(&printConfig, "print-config", false, "print each value in force with its source, and stop")
	flags := configFlags(cmd.Flags())
	cmd.RunE = a.do(func(ctx context.Context, _ []string) error {
		loaded, err := config.Load(config.Input{File: file, Environ: a.environ, Flags: flags(), NoClients: noClients})
		if err != nil {
			return usageError{err}
		}
		if printConfig {
			if a.json() {
				return a.printJSON(loaded.Settings)
			}
			return loaded.Print(a.out)
		}
		return run(ctx, loaded.Config)
	})
	return cmd
}

// configFlags adds a flag for every configuration key. The result reads those that were given.
func configFlags(flags *pflag.FlagSet) func() []config.Given {
	keys := config.Keys()
	for _, k := range keys {
		flags.String(k.Name, k.Default, k.Doc)
	}
	return func() []config.Given {
		var given []config.Given
		for _, k := range keys {
			if f := flags.Lookup(k.Name); f.Changed {
				given = append(given, config.Given{Key: k.Name, Value: f.Value.String(), Source: "--" + k.Name})
			}
		}
		return given
	}
}

// runAgent runs one agent against an external etcd.
func (a *app) runAgent(ctx context.Context, c config.Config) error {
	if !c.HasRole(config.Broker) {
		return usagef("roles must hold broker: 'wadi compactor' runs a process that serves no clients")
	}
	endpoints, err := listen.Bind(ctx, c.Listeners, c.Advertised)
	if err != nil {
		return bindError(err, "listeners")
	}
	return a.runNode(ctx, c, endpoints, a.newAgent)
}

// runNode runs one process of a cluster against an external etcd. The endpoints are closed in any case.
func (a *app) runNode(ctx context.Context, c config.Config, endpoints []listen.Endpoint, build agentFunc) (err error) {
	log := a.logger(slog.LevelInfo)
	n, err := newNode(ctx, c, endpoints, log)
	if err != nil {
		return errors.Join(bindError(err, "http"), closeAll(endpoints))
	}
	defer n.close()
	if len(endpoints) > 0 {
		leave := n.takePlace()
		defer leave()
	}
	metadata, err := openEtcd(c.Etcd.Endpoints, log)
	if err != nil {
		return fmt.Errorf("etcd cannot be opened: %w", err)
	}
	defer func() { err = errors.Join(err, metadata.Close()) }()
	store, err := awaitStore(ctx, c.Store, log)
	switch {
	case err != nil && ctx.Err() != nil:
		return nil // a signal ended the wait
	case err != nil:
		return err
	}
	defer func() { err = errors.Join(err, objstore.Close(store)) }()
	if err := n.build(build, metadata, store); err != nil {
		return err
	}
	return serve(ctx, []*node{n}, func() error {
		switch {
		case a.json():
			return a.printJSON(readyLine{Ready: true, Address: n.addresses()})
		case len(endpoints) == 0:
			return a.printf("ready\n")
		}
		return a.printf("ready %s\n", n.addresses())
	})
}

// takePlace has the agent know that processes which were at its address on this machine are dead, as long as nobody else says
// to be there. Without that it waits, as others do, until their leases are over.
func (n *node) takePlace() (leave func()) {
	address := n.endpoints[0].Advertised.Address()
	p, err := whereabouts.Take("agent", n.config.Cluster, address)
	if err != nil {
		level := slog.LevelInfo
		if errors.Is(err, whereabouts.ErrTaken) {
			level = slog.LevelWarn
		}
		n.log.Log(context.Background(), level, "a process before this one is not forgotten before its session ends",
			"address", address, "reason", err)
		return func() {}
	}
	n.place = p.String()
	return func() {
		if err := p.Close(); err != nil {
			n.log.Warn("place not given up", "error", err)
		}
	}
}

// bindError adds what can be done about an address that is taken; setting is the flag or key that chose it.
func bindError(err error, setting string) error {
	if errors.Is(err, listen.ErrInUse) {
		return fmt.Errorf("%w: stop what listens there or set %s to another", err, setting)
	}
	return err
}

func closeAll(endpoints []listen.Endpoint) error {
	var errs []error
	for _, e := range endpoints {
		errs = append(errs, e.Close())
	}
	return errors.Join(errs...)
}
