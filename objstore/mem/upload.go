package mem

import (
	"cmp"
	"context"
	"fmt"
	"hash/crc32"
	"slices"
	"strconv"
	"strings"
	"time"

	"wadi/objstore"
)

// upload is an object in the making.
type upload struct {
	key     string
	number  uint64
	started time.Time
	parts   map[int]part
}

type part struct {
	data []byte // never changed once stored
	crc  uint32
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Begin starts an upload.
func (s *Store) Begin(ctx context.Context, key string) (objstore.Upload, error) {
	if err := objstore.CheckKey(key); err != nil {
		return objstore.Upload{}, fmt.Errorf("begin upload: %w", err)
	}
	if err := ctx.Err(); err != nil {
		return objstore.Upload{}, fmt.Errorf("begin upload %s: %w", key, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.begun++
	id := strconv.FormatUint(s.mu.begun, 10)
	s.mu.uploads[id] = &upload{key: key, number: s.mu.begun, started: s.clock(), parts: make(map[int]part)}
	return objstore.Upload{Key: key, ID: id}, nil
}

// uploadLocked is the upload that up names, nil if there is none.
func (s *Store) uploadLocked(up objstore.Upload) *upload {
	if u := s.mu.uploads[up.ID]; u != nil && u.key == up.Key {
		return u
	}
	return nil
}

// PutPart copies the body.
func (s *Store) PutPart(ctx context.Context, up objstore.Upload, number int, body objstore.Body) (objstore.Part, error) {
	size := body.Size()
	if err := objstore.CheckPart(up, number, size); err != nil {
		return objstore.Part{}, fmt.Errorf("put part: %w", err)
	}
	if err := ctx.Err(); err != nil {
		return objstore.Part{}, fmt.Errorf("put part %d of %s: %w", number, up.Key, err)
	}
	if err := body.Verify(); err != nil {
		return objstore.Part{}, fmt.Errorf("put part %d of %s: %w", number, up.Key, err)
	}
	data := body.Bytes() // outside the lock: it may be megabytes
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.uploadLocked(up)
	if u == nil {
		return objstore.Part{}, fmt.Errorf("put part %d of %s: %w: no such upload", number, up.Key, objstore.ErrConflict)
	}
	u.parts[number] = part{data, body.CRC32C}
	return objstore.Part{Number: number, Size: size, CRC32C: body.CRC32C}, nil
}

// Complete copies the parts once more, into one.
func (s *Store) Complete(ctx context.Context, up objstore.Upload, parts []objstore.Part) error {
	if err := objstore.CheckComplete(up, parts); err != nil {
		return fmt.Errorf("complete upload: %w", err)
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("complete upload %s: %w", up.Key, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.completeLocked(up, parts); err != nil {
		return fmt.Errorf("complete upload %s: %w", up.Key, err)
	}
	return nil
}

func (s *Store) completeLocked(up objstore.Upload, parts []objstore.Part) error {
	size, crc := objstore.Whole(parts)
	if old, ok := s.mu.objects[up.Key]; ok {
		if int64(len(old.data)) != size || crc32.Checksum(old.data, castagnoli) != crc {
			return objstore.ErrExists
		}
		s.dropLocked(up)
		return nil
	}
	u := s.uploadLocked(up)
	if u == nil {
		return fmt.Errorf("%w: no such upload", objstore.ErrConflict)
	}
	data := make([]byte, 0, size)
	for _, p := range parts {
		held, ok := u.parts[p.Number]
		if !ok || int64(len(held.data)) != p.Size || held.crc != p.CRC32C {
			return fmt.Errorf("%w: part %d is not the one named", objstore.ErrConflict, p.Number)
		}
		data = append(data, held.data...)
	}
	if err := s.createLocked(up.Key, data); err != nil {
		return err
	}
	s.dropLocked(up)
	return nil
}

// Abandon forgets the upload.
func (s *Store) Abandon(ctx context.Context, up objstore.Upload) error {
	if err := objstore.CheckUpload(up); err != nil {
		return fmt.Errorf("abandon upload: %w", err)
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("abandon upload %s: %w", up.Key, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dropLocked(up)
	return nil
}

func (s *Store) dropLocked(up objstore.Upload) {
	if s.uploadLocked(up) != nil {
		delete(s.mu.uploads, up.ID)
	}
}

// Uploads looks at all unfinished uploads, which are few.
func (s *Store) Uploads(ctx context.Context, prefix, after string, limit int) ([]objstore.UploadInfo, error) {
	if err := objstore.CheckList(limit); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("uploads %s: %w", prefix, err)
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	var found []*upload
	for _, u := range s.mu.uploads {
		if u.key > after && strings.HasPrefix(u.key, prefix) {
			found = append(found, u)
		}
	}
	slices.SortFunc(found, func(a, b *upload) int {
		return cmp.Or(cmp.Compare(a.key, b.key), cmp.Compare(a.number, b.number))
	})
	out := make([]objstore.UploadInfo, len(found))
	for i, u := range found {
		out[i] = objstore.UploadInfo{Upload: objstore.Upload{Key: u.key, ID: strconv.FormatUint(u.number, 10)}, Started: u.started}
	}
	return objstore.CutUploads(out, limit), nil
}
