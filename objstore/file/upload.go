package file

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"wadi/objstore"
)

// keyName is the file of an upload's directory that holds its key; its time is when the upload began. The parts beside
// it are named by their numbers.
const keyName = "key"

// Begin makes the upload's directory with the key in it among the writer's temporary files and moves it to its place:
// whoever sees the directory there sees the key.
func (s *Store) Begin(ctx context.Context, key string) (objstore.Upload, error) {
	if err := objstore.CheckKey(key); err != nil {
		return objstore.Upload{}, fmt.Errorf("begin upload: %w", err)
	}
	id := rand.Text()
	if err := s.begin(ctx, key, id); err != nil {
		return objstore.Upload{}, fmt.Errorf("begin upload %s: %w", key, err)
	}
	return objstore.Upload{Key: key, ID: id}, nil
}

func (s *Store) begin(ctx context.Context, key, id string) error {
	if err := s.mayWrite(ctx); err != nil {
		return err
	}
	if err := os.Mkdir(filepath.Join(s.root, uploadsName), 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return writeError(err)
	}
	temp := s.writer.name()
	if err := os.Mkdir(temp, 0o755); err != nil {
		return writeError(err)
	}
	err := writeKey(temp, key)
	if err == nil {
		err = os.Rename(temp, s.uploadDir(id))
	}
	if err != nil {
		return errors.Join(writeError(err), os.RemoveAll(temp))
	}
	return nil
}

// writeKey syncs what it writes: an upload whose key was lost would never be listed.
func writeKey(dir, key string) error {
	f, err := os.OpenFile(filepath.Join(dir, keyName), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = f.WriteString(key)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return syncDir(dir)
}

// PutPart writes and syncs a temporary file and moves it to its place among the parts.
func (s *Store) PutPart(ctx context.Context, up objstore.Upload, number int, body objstore.Body) (objstore.Part, error) {
	size := body.Size()
	if err := objstore.CheckPart(up, number, size); err != nil {
		return objstore.Part{}, fmt.Errorf("put part: %w", err)
	}
	if err := s.putPart(ctx, up, number, body); err != nil {
		return objstore.Part{}, fmt.Errorf("put part %d of %s: %w", number, up.Key, err)
	}
	return objstore.Part{Number: number, Size: size, CRC32C: body.CRC32C}, nil
}

func (s *Store) putPart(ctx context.Context, up objstore.Upload, number int, body objstore.Body) error {
	if err := s.mayWrite(ctx); err != nil {
		return err
	}
	if err := body.Verify(); err != nil {
		return err
	}
	if err := s.checkUpload(up); err != nil {
		return err
	}
	temp, err := s.writer.write(ctx, body)
	if err != nil {
		return writeError(err)
	}
	err = os.Rename(temp, s.partPath(up.ID, number))
	if errors.Is(err, os.ErrNotExist) {
		err = fmt.Errorf("%w: the upload is gone", objstore.ErrConflict) // since it was looked at
	}
	if err != nil {
		return errors.Join(writeError(err), os.Remove(temp))
	}
	return nil
}

// Abandon moves the upload's directory to the writer's temporary files and removes it there: nobody ever sees half of
// one, and what a crash leaves goes with the writer's directory.
func (s *Store) Abandon(ctx context.Context, up objstore.Upload) error {
	if err := objstore.CheckUpload(up); err != nil {
		return fmt.Errorf("abandon upload: %w", err)
	}
	err := s.mayWrite(ctx)
	if err == nil {
		err = s.abandon(up)
	}
	if err != nil {
		return fmt.Errorf("abandon upload %s: %w", up.Key, err)
	}
	return nil
}

func (s *Store) abandon(up objstore.Upload) error {
	err := s.checkUpload(up)
	if errors.Is(err, objstore.ErrConflict) {
		return nil
	}
	if err != nil {
		return err
	}
	temp := s.writer.name()
	if err := os.Rename(s.uploadDir(up.ID), temp); err != nil {
		return writeError(ignoreMissing(err))
	}
	return writeError(os.RemoveAll(temp))
}

func (s *Store) mayWrite(ctx context.Context) error {
	if s.writer == nil {
		return fmt.Errorf("%w: the store is open for reading only", objstore.ErrDenied)
	}
	return ctx.Err()
}

// checkUpload is ErrConflict when there is no such upload.
func (s *Store) checkUpload(up objstore.Upload) error {
	if !objstore.ValidElement(up.ID) {
		return fmt.Errorf("%w: no such upload", objstore.ErrConflict)
	}
	key, err := os.ReadFile(filepath.Join(s.uploadDir(up.ID), keyName))
	switch {
	case errors.Is(err, os.ErrNotExist), err == nil && string(key) != up.Key:
		return fmt.Errorf("%w: no such upload", objstore.ErrConflict)
	case err != nil:
		return classify(err)
	}
	return nil
}

func (s *Store) uploadDir(id string) string { return filepath.Join(s.root, uploadsName, id) }

func (s *Store) partPath(id string, number int) string {
	return filepath.Join(s.uploadDir(id), strconv.Itoa(number))
}
