package steady

import (
	"context"

	"wadi/objstore"
)

// completeRate is how many of an object's bytes, per byte of Config.BytesPerSecond, an attempt at Complete is given time
// for: services that only note which parts belong together need none, those that copy them do it at a disk's speed.
const completeRate = 16

// Begin is repeated. One whose answer was lost leaves an upload without parts for the sweep.
func (s *Store) Begin(ctx context.Context, key string) (objstore.Upload, error) {
	return call(ctx, s, s.writes, request[objstore.Upload]{
		name:  name{"begin upload", key},
		first: func(ctx context.Context) (objstore.Upload, error) { return s.inner.Begin(ctx, key) },
	})
}

// PutPart is repeated and never hedged. Both requests would be for the same part, and where the service encrypts, equal
// bytes get another tag each time: the slower one, landing late, would make the part that was returned a stale one. Nor
// does anybody wait for a part as for a flush.
func (s *Store) PutPart(ctx context.Context, up objstore.Upload, number int, body objstore.Body) (objstore.Part, error) {
	return call(ctx, s, s.writes, request[objstore.Part]{
		name: name{"put part of", up.Key}, bytes: body.Size(), sent: body.Size(),
		first: func(ctx context.Context) (objstore.Part, error) { return s.inner.PutPart(ctx, up, number, body) },
	})
}

// Complete is repeated.
func (s *Store) Complete(ctx context.Context, up objstore.Upload, parts []objstore.Part) error {
	size, _ := objstore.Whole(parts)
	_, err := call(ctx, s, s.writes, request[nothing]{
		name: name{"complete upload", up.Key}, sent: size / completeRate,
		first: func(ctx context.Context) (nothing, error) { return nothing{}, s.inner.Complete(ctx, up, parts) },
	})
	return err
}

// Abandon is repeated.
func (s *Store) Abandon(ctx context.Context, up objstore.Upload) error {
	_, err := call(ctx, s, s.writes, request[nothing]{
		name:  name{"abandon upload", up.Key},
		first: func(ctx context.Context) (nothing, error) { return nothing{}, s.inner.Abandon(ctx, up) },
	})
	return err
}

// Uploads is repeated.
func (s *Store) Uploads(ctx context.Context, prefix, after string, limit int) ([]objstore.UploadInfo, error) {
	return call(ctx, s, s.reads, request[[]objstore.UploadInfo]{
		name: name{"uploads", prefix},
		first: func(ctx context.Context) ([]objstore.UploadInfo, error) {
			return s.inner.Uploads(ctx, prefix, after, limit)
		},
	})
}
