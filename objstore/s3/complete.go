package s3

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"wadi/objstore"
)

// Complete creates the object with If-None-Match: *. Whenever the service will not, what it has under the key decides.
func (s *Store) Complete(ctx context.Context, up objstore.Upload, parts []objstore.Part) error {
	if err := objstore.CheckComplete(up, parts); err != nil {
		return fmt.Errorf("complete upload: %w", err)
	}
	err := s.once(ctx, func(ctx context.Context) error {
		err := s.completeOnce(ctx, up, parts)
		switch kindOf(err) {
		case errPrecondition, errConflict, objstore.ErrConflict:
			return s.settle(ctx, up, parts, err)
		}
		return refused(ctx, err)
	})
	if err != nil {
		return fmt.Errorf("complete upload %s: %w", up.Key, err)
	}
	return nil
}

func (s *Store) completeOnce(ctx context.Context, up objstore.Upload, parts []objstore.Part) error {
	list := make([]types.CompletedPart, len(parts))
	for i, p := range parts {
		list[i] = types.CompletedPart{
			PartNumber: aws.Int32(int32(p.Number)), ETag: aws.String(p.Tag), ChecksumCRC32C: aws.String(encodeCRC(p.CRC32C)),
		}
	}
	_, err := s.client.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
		Bucket: &s.bucket, Key: &up.Key, UploadId: &up.ID, IfNoneMatch: aws.String("*"),
		MultipartUpload: &types.CompletedMultipartUpload{Parts: list},
	})
	return err
}

// settle decides about a Complete that the service refused with reason: an object is there, another request for the key
// was under way, or the upload is gone, which is also what a repetition hears when only the answer was lost.
func (s *Store) settle(ctx context.Context, up objstore.Upload, parts []objstore.Part, reason error) error {
	kind := kindOf(reason)
	found, err := s.compareWhole(ctx, up.Key, parts)
	switch {
	case err != nil:
		return err
	case !found && errors.Is(kind, errPrecondition):
		// There was an object, and it is deleted by now.
		return fmt.Errorf("%w: %w", errConflict, withoutKind{reason})
	case !found:
		return fmt.Errorf("%w: %w", objstore.ErrConflict, withoutKind{reason})
	case errors.Is(kind, objstore.ErrConflict):
		return nil // the upload is gone already
	}
	return s.abandonOnce(ctx, up)
}

// withoutKind keeps the text of an error that has got another kind.
type withoutKind struct{ err error }

func (e withoutKind) Error() string { return e.err.Error() }

// compareWhole reports whether there is an object. ErrExists: it is not the one that the parts make.
func (s *Store) compareWhole(ctx context.Context, key string, parts []objstore.Part) (bool, error) {
	objstore.AttemptOf(ctx).Extend(0)
	head, err := s.head(ctx, key)
	if status(err) == 404 {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	size, crc := objstore.Whole(parts)
	if n := aws.ToInt64(head.ContentLength); n != size {
		return true, fmt.Errorf("%w: %d bytes, not %d", objstore.ErrExists, n, size)
	}
	stored, ok := wholeCRC(head)
	if !ok {
		if stored, ok, err = s.readCRC(ctx, key, size); err != nil || !ok {
			return false, err
		}
	}
	if stored != encodeCRC(crc) {
		return true, fmt.Errorf("%w: CRC-32C %s, not %s", objstore.ErrExists, stored, encodeCRC(crc))
	}
	return true, nil
}

func (s *Store) head(ctx context.Context, key string) (*s3.HeadObjectOutput, error) {
	return s.client.HeadObject(ctx, &s3.HeadObjectInput{
		Bucket: &s.bucket, Key: &key, ChecksumMode: types.ChecksumModeEnabled,
	})
}

// wholeCRC is the object's checksum as the service keeps it, if it is one over the bytes and not one over those of parts
// ("...-2").
func wholeCRC(head *s3.HeadObjectOutput) (string, bool) {
	crc := aws.ToString(head.ChecksumCRC32C)
	return crc, crc != "" && head.ChecksumType != types.ChecksumTypeComposite && !strings.Contains(crc, "-")
}

// readCRC computes the checksum of an object of which the service keeps none. It is false when the object is gone.
func (s *Store) readCRC(ctx context.Context, key string, size int64) (string, bool, error) {
	objstore.AttemptOf(ctx).Extend(size)
	out, err := s.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &s.bucket, Key: &key})
	if errors.Is(kindOf(err), objstore.ErrNotFound) {
		return "", false, nil
	}
	if err != nil {
		return "", false, err
	}
	defer out.Body.Close()
	h := crc32.New(crc32.MakeTable(crc32.Castagnoli))
	n, err := io.Copy(h, out.Body)
	if err == nil && n != size {
		err = fmt.Errorf("%w: the answer ends after %d of %d bytes", objstore.ErrCorrupt, n, size)
	}
	return encodeCRC(h.Sum32()), err == nil, err
}
