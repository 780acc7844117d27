package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/url"

	"wadi/metadata/kv"
	"wadi/metadata/kv/etcdkv"
	"wadi/objstore"
	"wadi/objstore/file"
	"wadi/objstore/mem"
)

// closingStore is a store that the process opened and has to close.
type closingStore interface {
	objstore.Store
	io.Closer
}

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

// openStore opens the store of a URL for reading and writing.
func openStore(_ context.Context, storeURL string) (closingStore, error) {
	u, err := url.Parse(storeURL)
	if err != nil {
		return nil, err
	}
	switch u.Scheme {
	case "file":
		return file.Open(u.Path)
	case "mem":
		return unclosed{mem.New()}, nil
	}
	return nil, fmt.Errorf("this build has no %s:// store", u.Scheme)
}

// openForReading opens a store without becoming one of its writers: looking at files leaves no trace.
func openForReading(ctx context.Context, storeURL string) (closingStore, error) {
	if u, err := url.Parse(storeURL); err == nil && u.Scheme == "file" {
		return file.OpenReadOnly(u.Path)
	}
	return openStore(ctx, storeURL)
}

// unclosed is a store that holds nothing to give up.
type unclosed struct{ objstore.Store }

func (unclosed) Close() error { return nil }

// errorsOnly drops everything below an error.
type errorsOnly struct{ slog.Handler }

func (h errorsOnly) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelError && h.Handler.Enabled(ctx, level)
}

func (h errorsOnly) WithAttrs(attrs []slog.Attr) slog.Handler {
	return errorsOnly{h.Handler.WithAttrs(attrs)}
}

func (h errorsOnly) WithGroup(name string) slog.Handler { return errorsOnly{h.Handler.WithGroup(name)} }
