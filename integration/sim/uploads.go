package sim

import (
	"context"
	"fmt"
	"sort"
	"strconv"
	"strings"
	"time"

	"wadi/objstore"
)

// upload is an object that is being written in parts.
type upload struct {
	key     string
	number  int
	started time.Time
	parts   map[int][]byte
}

// find is the upload that up names, nil if there is none.
func (b *bucket) find(up objstore.Upload) *upload {
	for _, u := range b.uploads {
		if u.key == up.Key && strconv.Itoa(u.number) == up.ID {
			return u
		}
	}
	return nil
}

func (b *bucket) begin(key string, now time.Time) objstore.Upload {
	b.begun++
	b.uploads = append(b.uploads, &upload{key: key, number: b.begun, started: now, parts: map[int][]byte{}})
	return objstore.Upload{Key: key, ID: strconv.Itoa(b.begun)}
}

func (b *bucket) putPart(up objstore.Upload, number int, data []byte) error {
	u := b.find(up)
	if u == nil {
		return fmt.Errorf("%s: %w", up.Key, objstore.ErrConflict)
	}
	u.parts[number] = data
	return nil
}

func (b *bucket) complete(up objstore.Upload, parts []objstore.Part, now time.Time) error {
	size, crc := objstore.Whole(parts)
	if old, ok := b.objects[up.Key]; ok {
		if int64(len(old)) != size || objstore.NewBody(old).CRC32C != crc {
			return fmt.Errorf("%s: %w", up.Key, objstore.ErrExists)
		}
		b.abandon(up)
		return nil
	}
	u := b.find(up)
	if u == nil {
		return fmt.Errorf("%s: %w", up.Key, objstore.ErrConflict)
	}
	var data []byte
	for _, p := range parts {
		held, ok := u.parts[p.Number]
		if !ok || objstore.NewBody(held).CRC32C != p.CRC32C {
			return fmt.Errorf("%s: %w", up.Key, objstore.ErrConflict)
		}
		data = append(data, held...)
	}
	b.objects[up.Key], b.stored[up.Key] = data, now
	b.abandon(up)
	return nil
}

func (b *bucket) abandon(up objstore.Upload) {
	for i, u := range b.uploads {
		if u == b.find(up) {
			b.uploads = append(b.uploads[:i:i], b.uploads[i+1:]...)
			return
		}
	}
}

func (b *bucket) unfinished(prefix, after string, limit int) (list []objstore.UploadInfo) {
	for _, u := range b.uploads { // in the order in which they began
		if strings.HasPrefix(u.key, prefix) && u.key > after {
			up := objstore.Upload{Key: u.key, ID: strconv.Itoa(u.number)}
			list = append(list, objstore.UploadInfo{Upload: up, Started: u.started})
		}
	}
	sort.SliceStable(list, func(i, j int) bool { return list[i].Key < list[j].Key })
	return objstore.CutUploads(list, limit)
}

func (c bucketClient) Begin(_ context.Context, key string) (up objstore.Upload, err error) {
	err = c.call("begin", key, func() error { up = c.a.w.bucket.begin(key, c.a.w.wall()); return nil })
	return up, err
}

func (c bucketClient) PutPart(_ context.Context, up objstore.Upload, number int, body objstore.Body) (objstore.Part, error) {
	data := body.Bytes() // it may arrive when the call has ended
	err := c.call("part", up.Key, func() error { return c.a.w.bucket.putPart(up, number, data) })
	return objstore.Part{Number: number, Size: body.Size(), CRC32C: body.CRC32C}, err
}

func (c bucketClient) Complete(_ context.Context, up objstore.Upload, parts []objstore.Part) error {
	parts = append([]objstore.Part(nil), parts...)
	return c.call("complete", up.Key, func() error { return c.a.w.bucket.complete(up, parts, c.a.w.wall()) })
}

func (c bucketClient) Abandon(_ context.Context, up objstore.Upload) error {
	return c.call("abandon", up.Key, func() error { c.a.w.bucket.abandon(up); return nil })
}

func (c bucketClient) Uploads(_ context.Context, prefix, after string, limit int) (list []objstore.UploadInfo, err error) {
	err = c.call("uploads", prefix, func() error { list = c.a.w.bucket.unfinished(prefix, after, limit); return nil })
	return list, err
}

func (p plainBucket) Begin(context.Context, string) (objstore.Upload, error) {
	return objstore.Upload{}, errBucket
}
func (p plainBucket) PutPart(context.Context, objstore.Upload, int, objstore.Body) (objstore.Part, error) {
	return objstore.Part{}, errBucket
}
func (p plainBucket) Complete(context.Context, objstore.Upload, []objstore.Part) error {
	return errBucket
}
func (p plainBucket) Abandon(context.Context, objstore.Upload) error { return errBucket }
func (p plainBucket) Uploads(_ context.Context, prefix, after string, limit int) ([]objstore.UploadInfo, error) {
	return p.b.unfinished(prefix, after, limit), nil
}
