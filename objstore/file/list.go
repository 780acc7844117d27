package file

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"

	"wadi/objstore"
)

// List walks the directories that can hold keys of the answer. It costs the entries of each of them, so a directory of
// many more than limit files is read once per page.
func (s *Store) List(ctx context.Context, prefix, after string, limit int) ([]objstore.Info, error) {
	if err := objstore.CheckList(limit); err != nil {
		return nil, err
	}
	w := walk{store: s, ctx: ctx, prefix: prefix, after: after, limit: limit}
	dir := prefix[:strings.LastIndexByte(prefix, '/')+1] // "" or ends with '/'
	if !objstore.PossiblePrefix(prefix) {
		return nil, nil // a ".." must not be followed
	}
	if err := w.dir(dir); err != nil {
		return nil, fmt.Errorf("list %s: %w", prefix, err)
	}
	return w.out, nil
}

type walk struct {
	store  *Store
	ctx    context.Context
	prefix string
	after  string
	limit  int
	out    []objstore.Info
}

// dir adds what lies beneath base, which is "" or a directory's key and '/'.
func (w *walk) dir(base string) error {
	if err := w.ctx.Err(); err != nil {
		return err
	}
	entries, err := readDir(w.store.path(base))
	if err != nil {
		return err
	}
	for _, e := range entries {
		if len(w.out) == w.limit {
			return nil
		}
		switch key := base + e.sortKey; {
		case e.entry.IsDir():
			if w.mayHold(key) {
				if err := w.dir(key); err != nil {
					return err
				}
			}
		case e.entry.Type().IsRegular() && key > w.after && strings.HasPrefix(key, w.prefix):
			if err := w.add(key, e.entry); err != nil {
				return err
			}
		}
	}
	return nil
}

// mayHold says whether a key that starts with dir can be in the answer.
func (w *walk) mayHold(dir string) bool {
	if !strings.HasPrefix(dir, w.prefix) && !strings.HasPrefix(w.prefix, dir) {
		return false
	}
	return dir > w.after || strings.HasPrefix(w.after, dir)
}

func (w *walk) add(key string, e fs.DirEntry) error {
	fi, err := e.Info()
	if errors.Is(err, fs.ErrNotExist) {
		return nil // deleted since the directory was read
	}
	if err != nil {
		return err
	}
	w.out = append(w.out, objstore.Info{Key: key, Size: fi.Size(), Modified: fi.ModTime()})
	return nil
}

// entry sorts by its name, with a '/' behind it if it is a directory. That is the order of the keys: those beneath "a"
// start with "a/", which comes after "a-b" and "a.b" but before "a0".
type entry struct {
	sortKey string
	entry   fs.DirEntry
}

func readDir(path string) ([]entry, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return nil, nil // nothing there
	}
	if err != nil {
		return nil, classify(err)
	}
	defer f.Close()
	list, err := f.ReadDir(-1)
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR) {
		return nil, err // an object's name, or a directory removed while it was read, holds nothing
	}
	out := make([]entry, 0, len(list))
	for _, e := range list {
		if !objstore.ValidElement(e.Name()) {
			continue // the store's own names, lost+found
		}
		name := e.Name()
		if e.IsDir() {
			name += "/"
		}
		out = append(out, entry{sortKey: name, entry: e})
	}
	slices.SortFunc(out, func(a, b entry) int { return cmp.Compare(a.sortKey, b.sortKey) })
	return out, nil
}
