package file

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"wadi/objstore"
)

// linkAttempts bounds how often a Put makes its directory again because a Delete took it away while it was empty.
const linkAttempts = 100

// Put writes and syncs a temporary file, links it to its name and syncs the directories that changed.
func (s *Store) Put(ctx context.Context, key string, body objstore.Body) error {
	if err := objstore.CheckKey(key); err != nil {
		return fmt.Errorf("put: %w", err)
	}
	if err := s.put(ctx, key, body); err != nil {
		return fmt.Errorf("put %s: %w", key, err)
	}
	return nil
}

func (s *Store) put(ctx context.Context, key string, body objstore.Body) error {
	if s.writer == nil {
		return fmt.Errorf("%w: the store is open for reading only", objstore.ErrDenied)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := body.Verify(); err != nil {
		return err
	}
	temp, err := s.writer.write(ctx, body)
	if err != nil {
		return writeError(err)
	}
	path := s.path(key)
	err = s.link(ctx, temp, path)
	if errors.Is(err, os.ErrExist) {
		err = equal(path, body)
	}
	if err == nil {
		// Also when the object was there before: its writer may have died, or still be, on the way to this sync.
		err = s.durable.linked(filepath.Dir(path))
	}
	// The temporary file is a second name of the object by now. An error of its removal is reported although the object
	// is there, because what stays would keep the bytes on disk after a Delete until the writer closes.
	return errors.Join(err, ignoreMissing(os.Remove(temp)))
}

// link names the temporary file unless the name is taken, and makes the directories on the way.
func (s *Store) link(ctx context.Context, temp, path string) error {
	dir := filepath.Dir(path)
	var err error
	for range linkAttempts {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err = os.Link(temp, path); err == nil || !errors.Is(err, os.ErrNotExist) {
			break
		}
		// MkdirAll may itself lose a directory half way to a concurrent Delete.
		if err = os.MkdirAll(dir, 0o755); err != nil && !errors.Is(err, os.ErrNotExist) {
			break
		}
	}
	return writeError(err)
}

// equal returns nil when the file holds exactly the body.
func equal(path string, body objstore.Body) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("compare with the object that exists: %w", err)
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return err
	}
	if fi.IsDir() {
		return fmt.Errorf("%w: there are objects beneath this key", objstore.ErrKey)
	}
	if fi.Size() != body.Size() {
		return fmt.Errorf("%w: %d bytes, not %d", objstore.ErrExists, fi.Size(), body.Size())
	}
	same, err := body.Equal(f)
	if err != nil {
		return err
	}
	if !same {
		return objstore.ErrExists
	}
	return nil
}

// writeError classifies what a write may meet. A missing file is never ErrNotFound here: that is an answer of Get.
func writeError(err error) error {
	switch {
	case errors.Is(err, os.ErrPermission):
		return classify(err)
	case errors.Is(err, syscall.ENOTDIR):
		return fmt.Errorf("%w: a part of the key is an object: %w", objstore.ErrKey, err)
	}
	return err
}

func ignoreMissing(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}
