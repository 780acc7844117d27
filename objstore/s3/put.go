package s3

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"wadi/objstore"
)

// Put creates the object. When the service says that there is one already, from an attempt whose answer was lost or from
// somebody else, the two are compared.
func (s *Store) Put(ctx context.Context, key string, b objstore.Body) error {
	if err := objstore.CheckKey(key); err != nil {
		return fmt.Errorf("put: %w", err)
	}
	err := s.once(ctx, func(ctx context.Context) error { return s.putOrCompare(ctx, key, b) })
	if err != nil {
		return fmt.Errorf("put %s: %w", key, err)
	}
	return nil
}

func (s *Store) putOrCompare(ctx context.Context, key string, b objstore.Body) error {
	a := objstore.AttemptOf(ctx)
	err := s.putOnce(ctx, key, b, a.N)
	switch kind := kindOf(err); {
	case err == nil:
		return nil
	case errors.Is(kind, errPrecondition):
		a.Extend(b.Size())
		return s.compare(ctx, key, b)
	case errors.Is(kind, objstore.ErrCorrupt):
		// On the way, or before: then every attempt would be refused.
		if verr := b.Verify(); verr != nil {
			return fmt.Errorf("%w: %w", errBuffer, verr)
		}
	case a.N > 1 && status(err) == 0 && ctx.Err() == nil:
		// No answer, again. A service that refuses what is there already may cut each connection before that can be read.
		if there := s.compare(ctx, key, b); there == nil || errors.Is(there, objstore.ErrExists) {
			return there
		}
	}
	return refused(ctx, err)
}

// deniedAttempts is how often a write is refused before that is believed. MinIO answers AccessDenied to a Put whose
// directory a Delete removes at that moment, because it was empty.
const deniedAttempts = 3

// refused makes an error that denies access one to be repeated, the first few times.
func refused(ctx context.Context, err error) error {
	if errors.Is(kindOf(err), objstore.ErrDenied) && objstore.AttemptOf(ctx).N < deniedAttempts {
		return fmt.Errorf("%w: %w", errConflict, withoutKind{err})
	}
	return err
}

var errBuffer = errors.New("the buffer changed after its checksum was computed")

func (s *Store) putOnce(ctx context.Context, key string, b objstore.Body, n int) error {
	content := newBody(b)
	defer content.close()
	_, err := s.client.PutObject(ctx, &s3.PutObjectInput{
		Bucket:         &s.bucket,
		Key:            &key,
		Body:           content,
		ContentLength:  aws.Int64(content.size),
		IfNoneMatch:    aws.String("*"),
		ChecksumCRC32C: aws.String(encodeCRC(b.CRC32C)),
	}, unsigned, func(o *s3.Options) {
		if n > 1 {
			// The object probably exists by now. Asking first saves the upload, and a service that refuses in the middle
			// of one may cut the connection before its answer is read.
			o.ContinueHeaderThresholdBytes = 1
		}
	})
	return err
}

// unsigned leaves the payload out of the signature, over plain HTTP too, where the SDK would hash it with SHA-256.
func unsigned(o *s3.Options) {
	o.APIOptions = append(o.APIOptions, v4.SwapComputePayloadSHA256ForUnsignedPayloadMiddleware)
}

// encodeCRC is the form of the x-amz-checksum-crc32c header.
func encodeCRC(crc uint32) string {
	return base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, crc))
}

// compare returns nil when the stored object has the body's bytes and ErrExists when it has others. An object that is
// gone again is errConflict: the next attempt creates it.
func (s *Store) compare(ctx context.Context, key string, b objstore.Body) error {
	head, err := s.head(ctx, key)
	if status(err) == 404 {
		return fmt.Errorf("%w: %w", errConflict, err)
	}
	if err != nil {
		return err
	}
	if size := aws.ToInt64(head.ContentLength); size != b.Size() {
		return fmt.Errorf("%w: %d bytes, not %d", objstore.ErrExists, size, b.Size())
	}
	if stored, ok := wholeCRC(head); ok {
		if stored == encodeCRC(b.CRC32C) {
			return nil
		}
		return fmt.Errorf("%w: CRC-32C %s, not %s", objstore.ErrExists, stored, encodeCRC(b.CRC32C))
	}
	return s.compareBytes(ctx, key, b)
}

// compareBytes is for services that keep no checksum of the object.
func (s *Store) compareBytes(ctx context.Context, key string, b objstore.Body) error {
	out, err := s.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &s.bucket, Key: &key})
	if errors.Is(kindOf(err), objstore.ErrNotFound) {
		return errConflict
	}
	if err != nil {
		return err
	}
	defer out.Body.Close()
	same, err := b.Equal(out.Body)
	if err != nil {
		return err
	}
	if !same {
		return objstore.ErrExists
	}
	return nil
}
