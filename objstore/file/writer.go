package file

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"wadi/objstore"
)

// writer owns one directory of temporary files, as long as it holds the lock beside it.
type writer struct {
	lock *os.File
	dir  string
	next atomic.Uint64
	bufs sync.Pool
}

const (
	lockSuffix = ".lock"
	// Small chunks are gathered into writes of this size; chunks that are larger go to the file as they are.
	bufferSize = 256 << 10
)

func openWriter(writers string) (*writer, error) {
	if err := os.Mkdir(writers, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return nil, err
	}
	if err := removeDead(writers); err != nil {
		return nil, err
	}
	// A concurrent removeDead may take the lock between its creation and ours, believe it dead and remove it. Then the
	// name is gone and another one is tried.
	for range 16 {
		id := rand.Text()
		path := filepath.Join(writers, id+lockSuffix)
		f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o644)
		if err != nil {
			return nil, err
		}
		locked, err := tryLock(f, path)
		if err != nil {
			return nil, errors.Join(err, f.Close())
		}
		if !locked {
			if err := f.Close(); err != nil {
				return nil, err
			}
			continue
		}
		w := &writer{lock: f, dir: filepath.Join(writers, id)}
		w.bufs.New = func() any { return bufio.NewWriterSize(nil, bufferSize) }
		if err := os.Mkdir(w.dir, 0o755); err != nil {
			return nil, errors.Join(err, os.Remove(path), f.Close())
		}
		return w, nil
	}
	return nil, fmt.Errorf("no lock in %s: other writers removed every one", writers)
}

// removeDead removes what writers left behind whose lock nobody holds any more.
func removeDead(writers string) error {
	entries, err := os.ReadDir(writers)
	if err != nil {
		return err
	}
	for _, e := range entries {
		id, ok := strings.CutSuffix(e.Name(), lockSuffix)
		if !ok {
			continue
		}
		path := filepath.Join(writers, e.Name())
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		err = removeIfDead(f, path, filepath.Join(writers, id))
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
	}
	return nil
}

// removeIfDead removes the directory before the lock: whoever is interrupted in between leaves a lock to be found.
func removeIfDead(f *os.File, path, dir string) error {
	locked, err := tryLock(f, path)
	if err != nil || !locked {
		return err
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	return os.Remove(path)
}

func (w *writer) close() error {
	return errors.Join(os.RemoveAll(w.dir), os.Remove(w.lock.Name()), w.lock.Close())
}

// name is a path for a temporary file or directory that no other call uses.
func (w *writer) name() string { return filepath.Join(w.dir, strconv.FormatUint(w.next.Add(1), 10)) }

// write puts the body into a synced temporary file and returns its path. On error nothing is left of it.
func (w *writer) write(ctx context.Context, body objstore.Body) (path string, err error) {
	path = w.name()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return "", err
	}
	defer func() {
		err = errors.Join(err, f.Close())
		if err != nil {
			err = errors.Join(err, os.Remove(path))
		}
	}()
	buf := w.bufs.Get().(*bufio.Writer)
	defer func() {
		buf.Reset(nil) // the pool keeps no file and no sticky error
		w.bufs.Put(buf)
	}()
	buf.Reset(f)
	for _, c := range body.Chunks {
		if err := ctx.Err(); err != nil {
			return path, err
		}
		if _, err := buf.Write(c); err != nil {
			return path, err
		}
	}
	if err := buf.Flush(); err != nil {
		return path, err
	}
	if err := ctx.Err(); err != nil {
		return path, err
	}
	return path, f.Sync()
}
