package s3

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"wadi/objstore"
)

// Begin asks for the checksum of the whole object, which the service makes of those of the parts, so that a repeated
// Complete can compare without reading. Services that do not know of it keep one of the checksums, or none.
func (s *Store) Begin(ctx context.Context, key string) (objstore.Upload, error) {
	if err := objstore.CheckKey(key); err != nil {
		return objstore.Upload{}, fmt.Errorf("begin upload: %w", err)
	}
	up := objstore.Upload{Key: key}
	err := s.once(ctx, func(ctx context.Context) error {
		out, err := s.client.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{
			Bucket: &s.bucket, Key: &key,
			ChecksumAlgorithm: types.ChecksumAlgorithmCrc32c, ChecksumType: types.ChecksumTypeFullObject,
		})
		if err != nil {
			return refused(ctx, err)
		}
		if up.ID = aws.ToString(out.UploadId); up.ID == "" {
			return fmt.Errorf("%w: an upload without an id", errBug)
		}
		return nil
	})
	if err != nil {
		return objstore.Upload{}, fmt.Errorf("begin upload %s: %w", key, err)
	}
	return up, nil
}

// PutPart sends a part as Put sends an object.
func (s *Store) PutPart(ctx context.Context, up objstore.Upload, number int, b objstore.Body) (objstore.Part, error) {
	part := objstore.Part{Number: number, Size: b.Size(), CRC32C: b.CRC32C}
	if err := objstore.CheckPart(up, number, part.Size); err != nil {
		return objstore.Part{}, fmt.Errorf("put part: %w", err)
	}
	err := s.once(ctx, func(ctx context.Context) (err error) {
		part.Tag, err = s.putPartOnce(ctx, up, number, b)
		if errors.Is(kindOf(err), objstore.ErrCorrupt) {
			if verr := b.Verify(); verr != nil {
				return fmt.Errorf("%w: %w", errBuffer, verr)
			}
		}
		return refused(ctx, err)
	})
	if err != nil {
		return objstore.Part{}, fmt.Errorf("put part %d of %s: %w", number, up.Key, err)
	}
	return part, nil
}

func (s *Store) putPartOnce(ctx context.Context, up objstore.Upload, number int, b objstore.Body) (string, error) {
	content := newBody(b)
	defer content.close()
	out, err := s.client.UploadPart(ctx, &s3.UploadPartInput{
		Bucket:         &s.bucket,
		Key:            &up.Key,
		UploadId:       &up.ID,
		PartNumber:     aws.Int32(int32(number)),
		Body:           content,
		ContentLength:  aws.Int64(content.size),
		ChecksumCRC32C: aws.String(encodeCRC(b.CRC32C)),
	}, unsigned)
	if err != nil {
		return "", err
	}
	if aws.ToString(out.ETag) == "" {
		return "", fmt.Errorf("%w: a part without an ETag", errBug)
	}
	return *out.ETag, nil
}

// Abandon ends the upload on the service.
func (s *Store) Abandon(ctx context.Context, up objstore.Upload) error {
	if err := objstore.CheckUpload(up); err != nil {
		return fmt.Errorf("abandon upload: %w", err)
	}
	err := s.once(ctx, func(ctx context.Context) error { return s.abandonOnce(ctx, up) })
	if err != nil {
		return fmt.Errorf("abandon upload %s: %w", up.Key, err)
	}
	return nil
}

func (s *Store) abandonOnce(ctx context.Context, up objstore.Upload) error {
	_, err := s.client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{
		Bucket: &s.bucket, Key: &up.Key, UploadId: &up.ID,
	})
	if kind := kindOf(err); errors.Is(kind, objstore.ErrConflict) || errors.Is(kind, objstore.ErrNotFound) {
		return nil
	}
	return refused(ctx, err)
}
