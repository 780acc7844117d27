package file

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"wadi/objstore"
)

// Get opens the file and reads the range with pread.
func (s *Store) Get(ctx context.Context, key string, off, length int64) ([]byte, error) {
	if err := objstore.CheckKey(key); err != nil {
		return nil, fmt.Errorf("get: %w", err)
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("get %s: %w", key, err)
	}
	if err := objstore.CheckRange(key, off, length); err != nil {
		return nil, err
	}
	f, err := os.Open(s.path(key))
	if errors.Is(err, syscall.ENOTDIR) {
		err = fmt.Errorf("%w: %w", objstore.ErrNotFound, err)
	}
	if err != nil {
		return nil, fmt.Errorf("get %s: %w", key, classify(err))
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("get %s: %w", key, err)
	}
	if !fi.Mode().IsRegular() {
		return nil, fmt.Errorf("get %s: %w: not a file", key, objstore.ErrNotFound)
	}
	n, err := objstore.ResolveRange(key, fi.Size(), off, length)
	if err != nil {
		return nil, err
	}
	return read(ctx, f, key, off, n)
}

// readStep is how much is read between two looks at the context.
const readStep = 8 << 20

func read(ctx context.Context, f *os.File, key string, off, n int64) ([]byte, error) {
	out := make([]byte, n)
	for at := int64(0); at < n; {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("get %s: %w", key, err)
		}
		m, err := f.ReadAt(out[at:min(at+readStep, n)], off+at)
		at += int64(m)
		if errors.Is(err, io.EOF) && at < n {
			// Objects are immutable, so the file was cut behind the store's back.
			return nil, fmt.Errorf("get %s: %w: the file ends at %d", key, objstore.ErrCorrupt, off+at)
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("get %s: %w", key, err)
		}
	}
	return out, nil
}
