package main

import (
	"context"
	"fmt"
	"log/slog"

	"wadi/internal/config"
	"wadi/metadata/kv"
	"wadi/metadata/kv/etcdkv"
	"wadi/objstore"
	"wadi/objstore/open"
)

// openEtcd makes a client of a remote etcd. It does not wait for a connection: an etcd that comes up later than its
// agents is no reason to fail.
func openEtcd(endpoints []string, log *slog.Logger) (kv.KV, error) {
	return etcdkv.Dial(etcdkv.Config{Endpoints: endpoints, Logger: log})
}

// embedEtcd starts an etcd inside this process with its data in dir. Closing the KV stops it. Of what etcd has to say
// only errors pass.
func embedEtcd(ctx context.Context, dir string, log *slog.Logger) (kv.KV, error) {
	return etcdkv.Embed(ctx, dir, etcdkv.EmbedOptions{Logger: slog.New(errorsOnly{log.Handler()})})
}

// openStore opens the store of a URL for agents, which steady it themselves, and checks that it works. objstore.Close
// gives it up.
func openStore(ctx context.Context, storeURL string) (objstore.Store, error) {
	return openStoreAs(ctx, storeURL, open.Options{Bare: true})
}

// awaitStore is openStore for an agent, which may come up before its store does.
func awaitStore(ctx context.Context, storeURL string, log *slog.Logger) (objstore.Store, error) {
	store, err := open.Await(ctx, storeURL, open.Options{Bare: true}, log)
	return store, cannotOpen(storeURL, err)
}

// openForReading opens a store without becoming one of its writers: looking leaves no trace.
func openForReading(ctx context.Context, storeURL string) (objstore.Store, error) {
	return openStoreAs(ctx, storeURL, open.Options{ReadOnly: true})
}

// openForWriting opens a store for a command, which has no agent that steadies it.
func openForWriting(ctx context.Context, storeURL string) (objstore.Store, error) {
	return openStoreAs(ctx, storeURL, open.Options{})
}

func openStoreAs(ctx context.Context, storeURL string, o open.Options) (objstore.Store, error) {
	store, err := open.Open(ctx, storeURL, o)
	return store, cannotOpen(storeURL, err)
}

func cannotOpen(storeURL string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("the object store %s cannot be opened: %w", config.Redact(storeURL), err)
}

// errorsOnly drops everything below an error, and the one error that is none: etcd writes its storage version while a
// new directory does not yet hold what the version is computed from, says so, and does it a moment later.
type errorsOnly struct{ slog.Handler }

const storageVersionTooEarly = "failed to update storage version"

func (h errorsOnly) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelError && h.Handler.Enabled(ctx, level)
}

func (h errorsOnly) Handle(ctx context.Context, r slog.Record) error {
	if r.Message == storageVersionTooEarly {
		return nil
	}
	return h.Handler.Handle(ctx, r)
}

func (h errorsOnly) WithAttrs(attrs []slog.Attr) slog.Handler {
	return errorsOnly{h.Handler.WithAttrs(attrs)}
}

func (h errorsOnly) WithGroup(name string) slog.Handler { return errorsOnly{h.Handler.WithGroup(name)} }
