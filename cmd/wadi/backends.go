package main

import (
	"context"
	"errors"
	"io"

	"wadi/metadata/kv"
	"wadi/objstore"
)

// closingStore is a store that the process opened and has to close.
type closingStore interface {
	objstore.Store
	io.Closer
}

var (
	errNoEtcd  = errors.New("this build has no etcd client")
	errNoStore = errors.New("this build has no object stores")
)

// openEtcd connects to a remote etcd.
func openEtcd(context.Context, []string) (kv.KV, error) { return nil, errNoEtcd }

// embedEtcd starts an etcd inside this process with its data in dir. Closing the KV stops it.
func embedEtcd(context.Context, string) (kv.KV, error) { return nil, errNoEtcd }

// openStore opens the store of a URL.
func openStore(context.Context, string) (closingStore, error) { return nil, errNoStore }
