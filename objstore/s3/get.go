package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"wadi/objstore"
)

// Get reads the range with one request, or two when nothing is to be read: a Range header cannot say so.
func (s *Store) Get(ctx context.Context, key string, off, length int64) ([]byte, error) {
	if err := objstore.CheckKey(key); err != nil {
		return nil, fmt.Errorf("get: %w", err)
	}
	if err := objstore.CheckRange(key, off, length); err != nil {
		return nil, err
	}
	var data []byte
	err := s.once(ctx, func(ctx context.Context) (err error) {
		if length == 0 {
			data, err = s.getNothing(ctx, key, off, 0)
			return err
		}
		data, err = s.getOnce(ctx, key, off, length)
		if errors.Is(kindOf(err), errRange) {
			data, err = s.getNothing(ctx, key, off, length)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("get %s: %w", key, err)
	}
	return data, nil
}

func (s *Store) getOnce(ctx context.Context, key string, off, length int64) ([]byte, error) {
	in := &s3.GetObjectInput{Bucket: &s.bucket, Key: &key}
	switch {
	case length > 0:
		last := off + length - 1
		if last < off { // beyond what the type holds, and so beyond any object
			return nil, fmt.Errorf("%w: offset %d, length %d", objstore.ErrRange, off, length)
		}
		in.Range = aws.String(fmt.Sprintf("bytes=%d-%d", off, last))
	case off > 0:
		in.Range = aws.String(fmt.Sprintf("bytes=%d-", off))
	}
	out, err := s.client.GetObject(ctx, in)
	if err != nil {
		return nil, err
	}
	defer out.Body.Close()
	size, err := totalSize(out, off)
	if err != nil {
		return nil, err
	}
	want, err := objstore.ResolveRange(key, size, off, length)
	if err != nil {
		return nil, err
	}
	if got := aws.ToInt64(out.ContentLength); out.ContentLength != nil && got != want && in.Range != nil && out.ContentRange != nil {
		return nil, fmt.Errorf("%w: answer of %d bytes, not %d", objstore.ErrCorrupt, got, want)
	}
	objstore.AttemptOf(ctx).Extend(want)
	data := make([]byte, want)
	if n, err := io.ReadFull(out.Body, data); err != nil {
		if ctx.Err() != nil {
			return nil, err
		}
		return nil, fmt.Errorf("%w: the answer ends after %d of %d bytes: %w", objstore.ErrCorrupt, n, want, err)
	}
	return data, nil
}

// totalSize is the size of the whole object. An answer without Content-Range carries the object from its start, which a
// service may choose to do; it helps only when that is where the range begins.
func totalSize(out *s3.GetObjectOutput, off int64) (int64, error) {
	if out.ContentRange == nil {
		if off > 0 || out.ContentLength == nil {
			return 0, fmt.Errorf("%w: no Content-Range in the answer", errBug)
		}
		return *out.ContentLength, nil
	}
	first, size, ok := parseContentRange(*out.ContentRange)
	if !ok || first != off {
		return 0, fmt.Errorf("%w: Content-Range %q for offset %d", errBug, *out.ContentRange, off)
	}
	return size, nil
}

// parseContentRange reads "bytes first-last/size".
func parseContentRange(s string) (first, size int64, ok bool) {
	s, ok = strings.CutPrefix(s, "bytes ")
	span, total, ok2 := strings.Cut(s, "/")
	from, _, ok3 := strings.Cut(span, "-")
	first, err1 := strconv.ParseInt(from, 10, 64)
	size, err2 := strconv.ParseInt(total, 10, 64)
	return first, size, ok && ok2 && ok3 && err1 == nil && err2 == nil && first >= 0 && size >= first
}

// getNothing decides between an empty answer and ErrRange by the object's size. It is a GET and not a HEAD, whose 404
// cannot tell a missing object from a missing bucket.
func (s *Store) getNothing(ctx context.Context, key string, off, length int64) ([]byte, error) {
	size := int64(0)
	out, err := s.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &s.bucket, Key: &key, Range: aws.String("bytes=0-0")})
	switch {
	case err == nil:
		defer out.Body.Close()
		if size, err = totalSize(out, 0); err != nil {
			return nil, err
		}
	case errors.Is(kindOf(err), errRange): // no first byte: the object is empty
	default:
		return nil, err
	}
	n, err := objstore.ResolveRange(key, size, off, length)
	if err != nil {
		return nil, err
	}
	if n > 0 {
		return nil, fmt.Errorf("%w: range refused within an object of %d bytes", errBug, size)
	}
	return []byte{}, nil
}
