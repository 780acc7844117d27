package fault

import (
	"context"

	"wadi/objstore"
)

// Begin passes the key on.
func (s *Store) Begin(ctx context.Context, key string) (objstore.Upload, error) {
	a := s.begin(Call{Op: Begin, Key: key})
	var up objstore.Upload
	err := a.around(ctx, 0, func() (n int64, err error) {
		up, err = s.inner.Begin(ctx, key)
		return 0, err
	})
	if err != nil {
		up = objstore.Upload{}
	}
	return up, a.end(err)
}

// PutPart passes the body on.
func (s *Store) PutPart(ctx context.Context, up objstore.Upload, number int, body objstore.Body) (objstore.Part, error) {
	a := s.begin(Call{Op: PutPart, Key: up.Key, Part: number, Length: body.Size()})
	var part objstore.Part
	err := a.around(ctx, 0, func() (n int64, err error) {
		part, err = s.inner.PutPart(ctx, up, number, body)
		return body.Size(), err
	})
	if err != nil {
		part = objstore.Part{}
	}
	return part, a.end(err)
}

// Complete passes the parts on.
func (s *Store) Complete(ctx context.Context, up objstore.Upload, parts []objstore.Part) error {
	a := s.begin(Call{Op: Complete, Key: up.Key, Part: len(parts)})
	err := a.around(ctx, 0, func() (int64, error) {
		size, _ := objstore.Whole(parts)
		return size, s.inner.Complete(ctx, up, parts)
	})
	return a.end(err)
}

// Abandon passes the upload on.
func (s *Store) Abandon(ctx context.Context, up objstore.Upload) error {
	a := s.begin(Call{Op: Abandon, Key: up.Key})
	err := a.around(ctx, 0, func() (int64, error) { return 0, s.inner.Abandon(ctx, up) })
	return a.end(err)
}

// Uploads passes the uploads on.
func (s *Store) Uploads(ctx context.Context, prefix, after string, limit int) ([]objstore.UploadInfo, error) {
	a := s.begin(Call{Op: Uploads, Key: prefix})
	var infos []objstore.UploadInfo
	err := a.around(ctx, 1, func() (n int64, err error) {
		infos, err = s.inner.Uploads(ctx, prefix, after, limit)
		return int64(len(infos)), err
	})
	if err != nil {
		infos = nil
	}
	return infos, a.end(err)
}
