// Package datadir gives one process at a time the use of a local data directory.
package datadir

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// ErrLocked: another process uses the directory.
var ErrLocked = errors.New("is in use by another process")

// Dir is a locked data directory. The lock is the kernel's (flock): it goes with the process, however that ends, and
// leaves nothing to clean up after a crash.
type Dir struct {
	path string
	lock *os.File
}

// Open creates the directory if needed and locks it, without waiting. The error names the directory; it wraps
// ErrLocked when somebody else holds it.
func Open(path string) (*Dir, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("data directory %s: %w", path, err)
	}
	if err := os.MkdirAll(abs, 0o755); err != nil {
		return nil, fmt.Errorf("data directory %s cannot be created: %w", abs, err)
	}
	lock, err := os.OpenFile(filepath.Join(abs, "lock"), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("data directory %s cannot be locked: %w", abs, err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		lock.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("data directory %s %w", abs, ErrLocked)
		}
		return nil, fmt.Errorf("data directory %s cannot be locked: %w", abs, err)
	}
	return &Dir{path: abs, lock: lock}, nil
}

// Path is the directory as an absolute path.
func (d *Dir) Path() string { return d.path }

// Sub is the path of a directory inside; it is not created.
func (d *Dir) Sub(name string) string { return filepath.Join(d.path, name) }

// Close gives the lock up. The lock file stays: removing it would let a process that has it open lock a file that
// nobody else finds any more.
func (d *Dir) Close() error { return d.lock.Close() }
