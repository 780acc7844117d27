package main

import (
	"context"
	"log/slog"
	"net/http"

	"wadi/agent"
	"wadi/compactor"
	"wadi/internal/config"
	"wadi/internal/listen"
	"wadi/internal/metrics"
	"wadi/metadata/kv"
	"wadi/metadata/member"
	"wadi/objstore"
	"wadi/objstore/open"
)

// agentParts is everything an agent is built from. Who made them closes KV and Store after Run has returned; the
// agent closes the sockets of its endpoints.
type agentParts struct {
	Config    config.Config
	Endpoints []listen.Endpoint // bound sockets, each with the address that its clients are told
	KV        kv.KV
	Store     objstore.Store // bare; counts its requests in Metrics
	Log       *slog.Logger
	Metrics   *metrics.Set
	Place     string // where the process is alone, "" = unknown (see package place)
}

// agentProcess is an agent as the commands see it.
type agentProcess interface {
	// Run serves until ctx ends, then drains: stops admitting, flushes, answers, gives the session up. It returns nil
	// after a complete drain, and has closed the sockets in any case.
	Run(ctx context.Context) error
	// Ready is closed when the agent serves for the first time.
	Ready() <-chan struct{}
	// Health tells whether the agent serves now and, where it does not or does so with a restriction, why.
	Health() (ready bool, reason string)
	// Debug holds additional handlers for the operations endpoint by path, for example /debug/locate.
	Debug() map[string]http.Handler
}

// agentFunc builds an agent; it starts nothing.
type agentFunc func(agentParts) (agentProcess, error)

// newCompactor is the agentFunc of a process that serves no clients.
func newCompactor(p agentParts) (agentProcess, error) {
	steadiness, err := open.Steadiness(p.Config.Store)
	if err != nil {
		return nil, err
	}
	return compactor.NewProcess(compactor.ProcessOptions{
		Config: p.Config, KV: p.KV, Store: p.Store, Log: p.Log, Metrics: p.Metrics, Steady: steadiness,
	}), nil
}

// newAgent is the agentFunc of this binary.
func newAgent(p agentParts) (agentProcess, error) {
	steadiness, err := open.Steadiness(p.Config.Store)
	if err != nil {
		return nil, err
	}
	o := agent.Options{
		Config: p.Config, Endpoints: p.Endpoints, KV: p.KV, Store: p.Store, Log: p.Log, Metrics: p.Metrics, Steady: steadiness,
		Place: p.Place,
	}
	if p.Config.HasRole(config.Compactor) {
		o.Companion = func(m *member.Member) func(context.Context) error {
			return compactor.New(compactor.For(m, p.Config.Compactor)).Run
		}
	}
	a, err := agent.New(o)
	if err != nil {
		return nil, err // a nil *Agent must not become an interface that is not nil
	}
	return a, nil
}
