package file

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
)

// durable knows the directories whose own names are already on disk, all the way up to the root, so that a Put into one
// of them syncs that directory alone and a Put into a new one syncs its parents too.
//
// A directory may be removed when it is empty and made again, by this process or another one, and then it is not on
// disk. So every removal first makes the file @removals one byte longer. A Put looks at that length after its link: if
// the directory under the link was made after a removal, then the longer length is seen, and everything known is
// forgotten.
type durable struct {
	root     string
	removals *os.File // opened for appending
	mu       struct {
		sync.Mutex
		length int64
		dirs   map[string]struct{}
	}
}

// maxDirs bounds the memory; forgetting costs a few syncs.
const maxDirs = 1 << 16

func openDurable(root string) (*durable, error) {
	f, err := os.OpenFile(filepath.Join(root, removalsName), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	d := &durable{root: root, removals: f}
	d.mu.dirs = make(map[string]struct{})
	return d, nil
}

func (d *durable) close() error { return d.removals.Close() }

// linked makes a name that has appeared in dir durable.
func (d *durable) linked(dir string) error {
	fi, err := d.removals.Stat() // after the link, see above
	if err != nil {
		return err
	}
	length := fi.Size()
	if err := syncDir(dir); err != nil {
		return err
	}
	if d.known(dir, length) {
		return nil
	}
	for up := dir; up != d.root; {
		up = filepath.Dir(up)
		if err := syncDir(up); err != nil {
			return err
		}
	}
	d.learn(dir, length)
	return nil
}

func (d *durable) known(dir string, length int64) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.mu.length < length {
		d.mu.length = length
		clear(d.mu.dirs)
	}
	_, ok := d.mu.dirs[dir]
	return ok
}

// learn adds dir unless a removal was counted since length was read: the directory synced may be the removed one.
func (d *durable) learn(dir string, length int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.mu.length != length {
		return
	}
	if len(d.mu.dirs) >= maxDirs {
		clear(d.mu.dirs)
	}
	d.mu.dirs[dir] = struct{}{}
}

// removing announces that an empty directory is about to be removed.
func (d *durable) removing() error {
	_, err := d.removals.Write([]byte{'.'})
	return err
}

// syncDir syncs a directory's entries. One that is gone holds nothing to be synced: its objects were deleted.
func syncDir(path string) error {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// makeRoot makes root and its missing parents, durably.
func makeRoot(root string) error {
	var missing []string
	for dir := root; ; dir = filepath.Dir(dir) {
		_, err := os.Stat(dir)
		if err == nil {
			break
		}
		if !errors.Is(err, os.ErrNotExist) {
			return err
		}
		missing = append(missing, dir)
	}
	if err := os.MkdirAll(root, 0o755); err != nil {
		return err
	}
	for _, dir := range missing {
		if err := syncDir(filepath.Dir(dir)); err != nil {
			return err
		}
	}
	return nil
}
