package file

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"wadi/objstore"
)

// Delete removes the files, then the directories that are left empty, and syncs the directories that changed: an object
// that came back after a crash would never be deleted again.
func (s *Store) Delete(ctx context.Context, keys []string) error {
	if err := objstore.CheckDelete(keys); err != nil {
		return fmt.Errorf("delete: %w", err)
	}
	if s.writer == nil {
		return fmt.Errorf("delete: %w: the store is open for reading only", objstore.ErrDenied)
	}
	dirs := make(map[string]struct{})
	for _, k := range keys {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("delete %s: %w", k, err)
		}
		path := s.path(k)
		if err := unlink(path); err != nil {
			return fmt.Errorf("delete %s: %w", k, writeError(err))
		}
		dirs[filepath.Dir(path)] = struct{}{}
	}
	return s.settle(ctx, dirs)
}

// settle removes the empty ones among dirs and their parents, deepest first, and syncs what remains.
func (s *Store) settle(ctx context.Context, dirs map[string]struct{}) error {
	for len(dirs) > 0 {
		deepest := 0
		for d := range dirs {
			deepest = max(deepest, depth(d))
		}
		var level []string
		for d := range dirs {
			if depth(d) == deepest {
				level = append(level, d)
			}
		}
		slices.Sort(level)
		for _, d := range level {
			if err := ctx.Err(); err != nil {
				return fmt.Errorf("delete: %w", err)
			}
			delete(dirs, d)
			removed, err := s.removeEmpty(d)
			if err != nil {
				return fmt.Errorf("delete: %w", writeError(err))
			}
			if removed {
				dirs[filepath.Dir(d)] = struct{}{}
			} else if err := syncDir(d); err != nil {
				return fmt.Errorf("delete: %w", err)
			}
		}
	}
	return nil
}

// removeEmpty removes a directory beneath the root that has no entries. A Put that comes between the look and the
// removal makes the removal fail; one that comes after it makes the directory again.
func (s *Store) removeEmpty(dir string) (bool, error) {
	if dir == s.root {
		return false, nil
	}
	f, err := os.Open(dir)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return true, nil // another Delete was here; its parents may be empty now too
	}
	if err != nil {
		return false, err
	}
	_, err = f.Readdirnames(1)
	if err := f.Close(); err != nil {
		return false, err
	}
	if errors.Is(err, syscall.ENOTDIR) {
		return true, nil // an object lies where the key has a directory, so the parent was never this key's
	}
	if !errors.Is(err, io.EOF) {
		return false, ignoreMissing(err)
	}
	if err := s.durable.removing(); err != nil {
		return false, err
	}
	err = syscall.Rmdir(dir)
	switch {
	case err == nil, errors.Is(err, os.ErrNotExist):
		return true, nil
	case errors.Is(err, syscall.ENOTEMPTY), errors.Is(err, syscall.EEXIST):
		return false, nil
	}
	return false, &os.PathError{Op: "rmdir", Path: dir, Err: err}
}

// unlink removes a file and never a directory, as os.Remove would.
func unlink(path string) error {
	for {
		err := syscall.Unlink(path)
		switch {
		case err == nil, errors.Is(err, os.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
			return nil
		case errors.Is(err, syscall.EINTR):
			continue
		}
		if fi, statErr := os.Lstat(path); statErr == nil && fi.IsDir() {
			return nil // a directory is no object
		}
		return &os.PathError{Op: "unlink", Path: path, Err: err}
	}
}

func depth(path string) int { return strings.Count(path, string(filepath.Separator)) }
