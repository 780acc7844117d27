// Package open turns a store's URL into a store that has proved to work. What is misconfigured or unreachable is an
// error; there is nothing that it falls back to.
package open

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"wadi/objstore"
	"wadi/objstore/file"
	"wadi/objstore/mem"
	"wadi/objstore/s3"
	"wadi/objstore/steady"
)

// checkTimeout bounds the check of a service, besides the caller's context.
const checkTimeout = 30 * time.Second

// Options change how a store is opened.
type Options struct {
	// ReadOnly is for tools that only look: nothing is created and no permission to write is needed. A file store's Put
	// and Delete then return ErrDenied.
	ReadOnly bool
	// Bare leaves off what keeps a service's store steady: for callers that have decorators to put beneath it.
	Bare bool
}

// Open opens the store of a URL (see Parse) and checks that it can be used. mem:// is a new, empty store each time.
// objstore.Close releases what it holds.
//
// The store of a service is steady (package objstore/steady) unless opts.Bare says otherwise; who asked for a bare
// one puts it around with Steadiness.
//
// The check of a writable bucket puts two different objects under one key, "wadi-probe/" and a random name, expects the
// second to be refused, reads the first and deletes it: a service that ignores If-None-Match would lose data later.
func Open(ctx context.Context, url string, opts Options) (objstore.Store, error) {
	loc, err := Parse(url)
	if err != nil {
		return nil, err
	}
	switch loc.Scheme {
	case "mem":
		return mem.New(), nil
	case "file":
		return openFile(loc.Path, opts)
	case "s3":
		return openS3(ctx, loc, opts)
	}
	return nil, fmt.Errorf("%w: scheme %q", ErrURL, loc.Scheme)
}

func openFile(path string, opts Options) (objstore.Store, error) {
	// Not returned directly: a nil *file.Store in the interface would look like a store.
	open := file.Open
	if opts.ReadOnly {
		open = file.OpenReadOnly
	}
	s, err := open(path)
	if err != nil {
		return nil, err
	}
	return s, nil
}

func openS3(ctx context.Context, loc Location, opts Options) (objstore.Store, error) {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	bucket, err := s3.New(ctx, s3.Config{Bucket: loc.Bucket, Region: loc.Region, Endpoint: loc.Endpoint})
	if err != nil {
		return nil, err
	}
	store, err := objstore.WithPrefix(bucket, loc.Prefix)
	if err == nil {
		around := steady.New(store, steady.ForS3())
		if err = check(ctx, around, opts); !opts.Bare {
			store = around
		}
	}
	if err != nil {
		at := loc.Endpoint
		if at == "" {
			at = "AWS"
		}
		return nil, errors.Join(fmt.Errorf("bucket %s at %s cannot be used: %w", loc.Bucket, at, err), bucket.Close())
	}
	return store, nil
}

// Steadiness is how a store of this URL is kept steady: calls are repeated on every store; hedges and limits are for
// services, not for files and memory.
func Steadiness(url string) (steady.Config, error) {
	loc, err := Parse(url)
	if err != nil || loc.Scheme != "s3" {
		return steady.Config{}, err
	}
	return steady.ForS3(), nil
}

// ErrUnconditional: the service replaces objects although it was asked not to.
var ErrUnconditional = errors.New("the service ignores If-None-Match, so objects could be overwritten")

func check(ctx context.Context, store objstore.Store, opts Options) error {
	if opts.ReadOnly {
		_, err := store.List(ctx, "", "", 1)
		return err
	}
	key := "wadi-probe/" + rand.Text()
	first, second := objstore.NewBody([]byte(key)), objstore.NewBody([]byte("another "+key))
	if err := store.Put(ctx, key, first); err != nil {
		return err
	}
	err := probe(ctx, store, key, second)
	return errors.Join(err, store.Delete(ctx, []string{key}))
}

func probe(ctx context.Context, store objstore.Store, key string, second objstore.Body) error {
	switch err := store.Put(ctx, key, second); {
	case err == nil:
		return ErrUnconditional
	case !errors.Is(err, objstore.ErrExists):
		return err
	}
	got, err := store.Get(ctx, key, 0, -1)
	if err != nil {
		return err
	}
	if string(got) != key {
		return fmt.Errorf("get %s: %w: other bytes than were put", key, objstore.ErrCorrupt)
	}
	infos, err := store.List(ctx, key, "", 1)
	if err != nil {
		return err
	}
	if len(infos) != 1 {
		return fmt.Errorf("list %s: the service does not list an object that was just put", key)
	}
	return nil
}
