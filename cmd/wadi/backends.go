package main

import (
	"context"
	"errors"
	"io"
	"log/slog"

	"wadi/metadata/kv"
	"wadi/metadata/kv/etcdkv"
	"wadi/objstore"
)

// closingStore is a store that the process opened and has to close.
type closingStore interface {
	objstore.Store
	io.Closer
}

var errNoStore = errors.New("this build has no object stores")

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

// openStore opens the store of a URL.
func openStore(context.Context, string) (closingStore, error) { return nil, errNoStore }

// errorsOnly drops everything below an error.
type errorsOnly struct{ slog.Handler }

func (h errorsOnly) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelError && h.Handler.Enabled(ctx, level)
}

func (h errorsOnly) WithAttrs(attrs []slog.Attr) slog.Handler {
	return errorsOnly{h.Handler.WithAttrs(attrs)}
}

func (h errorsOnly) WithGroup(name string) slog.Handler { return errorsOnly{h.Handler.WithGroup(name)} }
