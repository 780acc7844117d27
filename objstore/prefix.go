package objstore

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"
)

// maxPrefix keeps prefix, separator and the longest key within what CheckKey allows.
const maxPrefix = maxStored - MaxKey - 1

// prefixed is the only place where a prefix and a key are joined, below every retry.
type prefixed struct {
	inner  Store
	prefix string // ends with '/'
}

// WithPrefix is the part of store whose keys start with prefix and '/'. The prefix follows the rules of a key and has at
// most 123 bytes; an empty one returns store itself. Errors name the full key. The result's Close closes store.
func WithPrefix(store Store, prefix string) (Store, error) {
	if prefix == "" {
		return store, nil
	}
	if err := CheckKey(prefix); err != nil {
		return nil, fmt.Errorf("prefix: %w", err)
	}
	if len(prefix) > maxPrefix {
		return nil, fmt.Errorf("%w: prefix of %d bytes, the limit is %d", ErrKey, len(prefix), maxPrefix)
	}
	return &prefixed{inner: store, prefix: prefix + "/"}, nil
}

// join checks the caller's key on its own first, so that "../x" never becomes "prefix/../x".
func (p *prefixed) join(key string) (string, error) {
	if err := CheckKey(key); err != nil {
		return "", err
	}
	if len(key) > MaxKey {
		return "", fmt.Errorf("%w: key of %d bytes, the limit is %d, it starts with %.60q", ErrKey, len(key), MaxKey, key)
	}
	return p.prefix + key, nil
}

func (p *prefixed) Put(ctx context.Context, key string, body Body) error {
	full, err := p.join(key)
	if err != nil {
		return fmt.Errorf("put: %w", err)
	}
	return p.inner.Put(ctx, full, body)
}

func (p *prefixed) Get(ctx context.Context, key string, off, length int64) ([]byte, error) {
	full, err := p.join(key)
	if err != nil {
		return nil, fmt.Errorf("get: %w", err)
	}
	return p.inner.Get(ctx, full, off, length)
}

// List relies on every inner key starting with the same bytes: order and "greater than" are those of the remainders.
func (p *prefixed) List(ctx context.Context, prefix, after string, limit int) ([]Info, error) {
	infos, err := p.inner.List(ctx, p.prefix+prefix, p.prefix+after, limit)
	if err != nil {
		return nil, err
	}
	for i := range infos {
		key, ok := strings.CutPrefix(infos[i].Key, p.prefix)
		if !ok {
			return nil, fmt.Errorf("list %s%s: %w: store returned the foreign key %q", p.prefix, prefix, ErrCorrupt, infos[i].Key)
		}
		infos[i].Key = key
	}
	return infos, nil
}

func (p *prefixed) Delete(ctx context.Context, keys []string) error {
	full := make([]string, len(keys))
	for i, k := range keys {
		var err error
		if full[i], err = p.join(k); err != nil {
			return fmt.Errorf("delete: %w", err)
		}
	}
	return p.inner.Delete(ctx, full)
}

func (p *prefixed) Begin(ctx context.Context, key string) (Upload, error) {
	full, err := p.join(key)
	if err != nil {
		return Upload{}, fmt.Errorf("begin upload: %w", err)
	}
	up, err := p.inner.Begin(ctx, full)
	if err != nil {
		return Upload{}, err
	}
	return Upload{Key: key, ID: up.ID}, nil
}

func (p *prefixed) PutPart(ctx context.Context, up Upload, number int, body Body) (Part, error) {
	full, err := p.join(up.Key)
	if err != nil {
		return Part{}, fmt.Errorf("put part: %w", err)
	}
	return p.inner.PutPart(ctx, Upload{Key: full, ID: up.ID}, number, body)
}

func (p *prefixed) Complete(ctx context.Context, up Upload, parts []Part) error {
	full, err := p.join(up.Key)
	if err != nil {
		return fmt.Errorf("complete upload: %w", err)
	}
	return p.inner.Complete(ctx, Upload{Key: full, ID: up.ID}, parts)
}

func (p *prefixed) Abandon(ctx context.Context, up Upload) error {
	full, err := p.join(up.Key)
	if err != nil {
		return fmt.Errorf("abandon upload: %w", err)
	}
	return p.inner.Abandon(ctx, Upload{Key: full, ID: up.ID})
}

// Uploads is List for uploads.
func (p *prefixed) Uploads(ctx context.Context, prefix, after string, limit int) ([]UploadInfo, error) {
	infos, err := p.inner.Uploads(ctx, p.prefix+prefix, p.prefix+after, limit)
	if err != nil {
		return nil, err
	}
	for i := range infos {
		key, ok := strings.CutPrefix(infos[i].Key, p.prefix)
		if !ok {
			return nil, fmt.Errorf("uploads %s%s: %w: store returned the foreign key %q", p.prefix, prefix, ErrCorrupt, infos[i].Key)
		}
		infos[i].Key = key
	}
	return infos, nil
}

func (p *prefixed) Date(ctx context.Context) (time.Time, error) { return p.inner.Date(ctx) }

func (p *prefixed) Close() error { return Close(p.inner) }

// Close releases what store holds (a file store's writer directory, connections); a store that holds nothing has no
// Close method. Calls in progress must have ended.
func Close(store Store) error {
	if c, ok := store.(io.Closer); ok {
		return c.Close()
	}
	return nil
}
