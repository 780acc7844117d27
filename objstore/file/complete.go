package file

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"

	"wadi/objstore"
)

// Complete copies the parts into one temporary file, which gets its name as in Put. Then the upload goes; a crash before
// that leaves it to be listed and abandoned.
func (s *Store) Complete(ctx context.Context, up objstore.Upload, parts []objstore.Part) error {
	if err := objstore.CheckComplete(up, parts); err != nil {
		return fmt.Errorf("complete upload: %w", err)
	}
	if err := s.complete(ctx, up, parts); err != nil {
		return fmt.Errorf("complete upload %s: %w", up.Key, err)
	}
	return nil
}

func (s *Store) complete(ctx context.Context, up objstore.Upload, parts []objstore.Part) error {
	if err := s.mayWrite(ctx); err != nil {
		return err
	}
	path := s.path(up.Key)
	temp, err := s.assemble(ctx, up, parts)
	if err == nil {
		err = s.link(ctx, temp, path)
		err = errors.Join(err, ignoreMissing(os.Remove(temp)))
	}
	switch {
	case errors.Is(err, os.ErrExist):
		err = sameSum(ctx, path, parts)
	case errors.Is(err, objstore.ErrConflict):
		// Another attempt may have completed the upload, before this one or just now.
		if same := sameSum(ctx, path, parts); !errors.Is(same, os.ErrNotExist) {
			err = writeError(same)
		}
	}
	if err == nil {
		err = s.durable.linked(filepath.Dir(path))
	}
	if err == nil {
		err = s.abandon(up)
	}
	return err
}

// assemble copies the parts into a synced temporary file and returns its path. ErrConflict: they are not there.
func (s *Store) assemble(ctx context.Context, up objstore.Upload, parts []objstore.Part) (path string, err error) {
	if err := s.checkUpload(up); err != nil {
		return "", err
	}
	path = s.writer.name()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return "", writeError(err)
	}
	defer func() {
		err = errors.Join(err, f.Close())
		if err != nil {
			err = errors.Join(err, os.Remove(path))
		}
	}()
	buf := make([]byte, copyStep)
	for _, p := range parts {
		size, crc, err := sum(ctx, s.partPath(up.ID, p.Number), f, buf)
		if errors.Is(err, os.ErrNotExist) || err == nil && (size != p.Size || crc != p.CRC32C) {
			return path, fmt.Errorf("%w: part %d is not the one named", objstore.ErrConflict, p.Number)
		}
		if err != nil {
			return path, writeError(err)
		}
	}
	return path, f.Sync()
}

// sameSum returns nil when the file has the size and the checksum that the parts make together.
func sameSum(ctx context.Context, path string, parts []objstore.Part) error {
	fi, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("compare with the object that exists: %w", err)
	}
	if fi.IsDir() {
		return fmt.Errorf("%w: there are objects beneath this key", objstore.ErrKey)
	}
	size, crc := objstore.Whole(parts)
	if fi.Size() != size {
		return fmt.Errorf("%w: %d bytes, not %d", objstore.ErrExists, fi.Size(), size)
	}
	_, got, err := sum(ctx, path, io.Discard, make([]byte, copyStep))
	if err != nil {
		return fmt.Errorf("compare with the object that exists: %w", err)
	}
	if got != crc {
		return fmt.Errorf("%w: CRC-32C %08x, not %08x", objstore.ErrExists, got, crc)
	}
	return nil
}

// copyStep is how much is copied between two looks at the context.
const copyStep = 1 << 20

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// sum copies a file to w and returns its size and CRC-32C.
func sum(ctx context.Context, path string, w io.Writer, buf []byte) (size int64, crc uint32, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, 0, err
	}
	defer f.Close()
	for {
		if err := ctx.Err(); err != nil {
			return 0, 0, err
		}
		n, err := f.Read(buf)
		size += int64(n)
		crc = crc32.Update(crc, castagnoli, buf[:n])
		if _, err := w.Write(buf[:n]); err != nil {
			return 0, 0, err
		}
		if errors.Is(err, io.EOF) {
			return size, crc, nil
		}
		if err != nil {
			return 0, 0, err
		}
	}
}
