package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"wadi/internal/config"
	"wadi/internal/httpd"
	"wadi/internal/listen"
	"wadi/internal/metrics"
	"wadi/metadata/kv"
	"wadi/objstore"
)

// drainLimit bounds how long a signal may take to end the process. What is given up after it was never acknowledged.
const drainLimit = time.Minute

// node is one agent of this process with its sockets, its metrics and its operations endpoint.
type node struct {
	config    config.Config
	endpoints []listen.Endpoint
	http      net.Listener // nil = none
	registry  *prometheus.Registry
	metrics   *metrics.Set
	place     string // where it is alone, "" = unknown
	agent     agentProcess
	log       *slog.Logger
}

// newNode takes the operations address. All of a node's addresses are bound before anything is started, so that a
// taken one costs nothing but a sentence. On error the endpoints stay the caller's.
func newNode(ctx context.Context, c config.Config, endpoints []listen.Endpoint, log *slog.Logger) (*node, error) {
	n := &node{config: c, endpoints: endpoints, log: log}
	var err error
	if n.registry, err = metrics.NewRegistry(); err != nil {
		return nil, err
	}
	if n.metrics, err = metrics.New(n.registry); err != nil {
		return nil, err
	}
	if c.HTTP != "" {
		if n.http, err = listen.TCP(ctx, c.HTTP); err != nil {
			return nil, err
		}
		n.config.HTTP = boundHTTP(c.HTTP, n.http)
	}
	return n, nil
}

// boundHTTP is the operations address with the port that was bound, which is what the agent registers.
func boundHTTP(configured string, socket net.Listener) string {
	at, err := config.ParseHostPort(configured)
	if err != nil || at.Port != 0 {
		return configured
	}
	at.Port = listen.Port(socket)
	return at.Address()
}

// build makes the agent; nothing runs yet.
func (n *node) build(newAgent agentFunc, metadata kv.KV, store objstore.Store) error {
	var err error
	n.agent, err = newAgent(agentParts{
		Config:    n.config,
		Endpoints: n.endpoints,
		KV:        metadata,
		Store:     metrics.Store(store, n.metrics),
		Log:       n.log,
		Metrics:   n.metrics,
		Place:     n.place,
	})
	return err
}

// close gives the sockets up. Closing one twice is harmless: run closes them too.
func (n *node) close() {
	for _, e := range n.endpoints {
		e.Close()
	}
	if n.http != nil {
		n.http.Close()
	}
}

// addresses is what clients are told, as a --bootstrap-server takes it.
func (n *node) addresses() string {
	out := make([]string, len(n.endpoints))
	for i, e := range n.endpoints {
		out[i] = e.Advertised.Address()
	}
	return strings.Join(out, ",")
}

// run runs the agent and its operations endpoint until ctx ends and the agent has drained. The endpoint outlives the
// agent, so that a drain can be watched.
func (n *node) run(ctx context.Context) error {
	httpCtx, stopHTTP := context.WithCancel(context.WithoutCancel(ctx))
	defer stopHTTP()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		defer stopHTTP()
		return n.agent.Run(ctx)
	})
	if n.http != nil {
		g.Go(func() error {
			return httpd.Run(httpCtx, n.http, httpd.Options{
				Ready: n.agent.Health, Gatherer: n.registry, Extra: n.agent.Debug(), Log: n.log,
			})
		})
	}
	return g.Wait()
}

// serve runs all nodes. It calls ready once, when every one serves. When ctx ends or a node fails, all are drained,
// within drainLimit. It returns nil when ctx ended and every drain was complete.
func serve(ctx context.Context, nodes []*node, ready func() error) error {
	g, gctx := errgroup.WithContext(ctx)
	for _, n := range nodes {
		g.Go(func() error { return n.run(gctx) })
	}
	g.Go(func() error {
		for _, n := range nodes {
			select {
			case <-n.agent.Ready():
			case <-gctx.Done():
				return nil // Wait reports why
			}
		}
		return ready()
	})
	done := make(chan error, 1)
	go func() { done <- g.Wait() }()
	select {
	case err := <-done:
		return err
	case <-gctx.Done():
	}
	limit := time.NewTimer(drainLimit)
	defer limit.Stop()
	select {
	case err := <-done:
		return err
	case <-limit.C:
		return errors.Join(context.Cause(gctx), fmt.Errorf("the drain did not end within %v", drainLimit))
	}
}
