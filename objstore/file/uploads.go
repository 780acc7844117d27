package file

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"wadi/objstore"
)

// Uploads reads the key of every unfinished upload: they are few, and short-lived.
func (s *Store) Uploads(ctx context.Context, prefix, after string, limit int) ([]objstore.UploadInfo, error) {
	if err := objstore.CheckList(limit); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(filepath.Join(s.root, uploadsName))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("uploads %s: %w", prefix, classify(err))
	}
	var out []objstore.UploadInfo
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("uploads %s: %w", prefix, err)
		}
		info, err := s.uploadInfo(e.Name())
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
			continue // ended since the directory was read; or not an upload
		}
		if err != nil {
			return nil, fmt.Errorf("uploads %s: %w", prefix, classify(err))
		}
		if info.Key > after && strings.HasPrefix(info.Key, prefix) && objstore.CheckUpload(info.Upload) == nil {
			out = append(out, info)
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("uploads %s: %w", prefix, err)
	}
	slices.SortFunc(out, func(a, b objstore.UploadInfo) int {
		return cmp.Or(cmp.Compare(a.Key, b.Key), a.Started.Compare(b.Started), cmp.Compare(a.ID, b.ID))
	})
	return objstore.CutUploads(out, limit), nil
}

func (s *Store) uploadInfo(id string) (objstore.UploadInfo, error) {
	path := filepath.Join(s.uploadDir(id), keyName)
	key, err := os.ReadFile(path)
	if err != nil {
		return objstore.UploadInfo{}, err
	}
	fi, err := os.Stat(path)
	if err != nil {
		return objstore.UploadInfo{}, err
	}
	return objstore.UploadInfo{Upload: objstore.Upload{Key: string(key), ID: id}, Started: fi.ModTime()}, nil
}
