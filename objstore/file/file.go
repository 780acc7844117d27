// Package file keeps objects as files in one directory: an object's path beneath it is its key.
//
// A Put is atomic and durable: the bytes go to a temporary file of the writer's own, are synced, and a hard link gives
// them their name only if nothing has it yet; then the directories that changed are synced. A crash before the link
// leaves a temporary file, which the next writer removes once the lock of the one that died is gone; a crash after it
// leaves a whole object, which the repeated Put finds equal.
//
// Several stores, in one process or in many, may share the directory. Names that begin with '@' are not keys and belong
// to the store itself:
//
//	@writers/<id>.lock   held with flock as long as the writer lives
//	@writers/<id>/<n>    its temporary files
//	@uploads/<id>/key    the key of an object that is being written in parts
//	@uploads/<id>/<n>    its parts
//	@removals            one byte longer before each removal of an empty directory, see durable.go
package file

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"wadi/objstore"
)

const (
	writersName  = "@writers"
	removalsName = "@removals"
	uploadsName  = "@uploads" // made by the first upload
)

// Store is an objstore.Store in a directory. Make it with Open or OpenReadOnly.
type Store struct {
	root    string
	writer  *writer  // nil when read only
	durable *durable // nil when read only
}

var _ objstore.Store = (*Store)(nil)

// Open makes the directory root if it is missing and becomes one of its writers. It fails when objects cannot be
// written there. Close the store to give up the writer's lock; a process that ends gives it up as well.
func Open(root string) (*Store, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, fmt.Errorf("open file store: %w", err)
	}
	if err := makeRoot(root); err != nil {
		return nil, fmt.Errorf("open file store: %w", classify(err))
	}
	s := &Store{root: root}
	if s.durable, err = openDurable(root); err != nil {
		return nil, fmt.Errorf("open file store %s: %w", root, classify(err))
	}
	if s.writer, err = openWriter(filepath.Join(root, writersName)); err != nil {
		return nil, errors.Join(fmt.Errorf("open file store %s: %w", root, classify(err)), s.durable.close())
	}
	return s, nil
}

// OpenReadOnly opens a directory that must exist and changes nothing in it. Put and Delete return ErrDenied.
func OpenReadOnly(root string) (*Store, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, fmt.Errorf("open file store: %w", err)
	}
	d, err := os.Open(root)
	if err != nil {
		return nil, fmt.Errorf("open file store: %w", classify(err))
	}
	defer d.Close()
	if fi, err := d.Stat(); err != nil {
		return nil, fmt.Errorf("open file store: %w", classify(err))
	} else if !fi.IsDir() {
		return nil, fmt.Errorf("open file store: %s is not a directory", root)
	}
	return &Store{root: root}, nil
}

// Close removes the writer's temporary directory and releases its lock. No call may be in progress.
func (s *Store) Close() error {
	if s.writer == nil {
		return nil
	}
	return errors.Join(s.writer.close(), s.durable.close())
}

// Date is the local clock.
func (s *Store) Date(ctx context.Context) (time.Time, error) {
	if err := ctx.Err(); err != nil {
		return time.Time{}, fmt.Errorf("date: %w", err)
	}
	return time.Now(), nil
}

func (s *Store) path(key string) string { return filepath.Join(s.root, filepath.FromSlash(key)) }

// classify adds the sentinel that belongs to an error of the file system.
func classify(err error) error {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: %w", objstore.ErrDenied, err)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: %w", objstore.ErrNotFound, err)
	}
	return err
}
