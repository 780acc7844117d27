package s3

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"

	"wadi/objstore"
)

// Delete sends one batch. An error says how many keys the service could not remove.
func (s *Store) Delete(ctx context.Context, keys []string) error {
	if err := objstore.CheckDelete(keys); err != nil {
		return fmt.Errorf("delete: %w", err)
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("delete: %w", err)
	}
	if len(keys) == 0 {
		return nil // the service refuses an empty batch
	}
	var left []string
	err := s.once(ctx, func(ctx context.Context) (err error) {
		left, err = s.deleteOnce(ctx, keys)
		return err
	})
	if err != nil {
		return fmt.Errorf("delete %s (%d of %d objects left): %w", left[0], len(left), len(keys), err)
	}
	return nil
}

// deleteOnce returns the keys that may still be there, none without an error. The error is the first of those that are
// not to be repeated, or else the first of the others.
func (s *Store) deleteOnce(ctx context.Context, keys []string) ([]string, error) {
	objects := make([]types.ObjectIdentifier, len(keys))
	for i := range keys {
		objects[i].Key = &keys[i]
	}
	out, err := s.client.DeleteObjects(ctx, &s3.DeleteObjectsInput{
		Bucket: &s.bucket,
		Delete: &types.Delete{Objects: objects, Quiet: aws.Bool(true)},
	})
	if err != nil {
		return keys, err
	}
	var left []string
	var first error
	final := false
	for _, e := range out.Errors {
		keyErr := perKey(e)
		kind, again := classify(keyErr)
		if kindOf(keyErr) == objstore.ErrNotFound {
			continue
		}
		left = append(left, aws.ToString(e.Key))
		if first == nil || !again && !final {
			first = fmt.Errorf("%s: %w", aws.ToString(e.Key), kind)
		}
		final = final || !again
	}
	return left, first
}

// perKey makes an error of one key's, as an answer of its own would have been. Codes that say nothing to classify count
// as the service's passing trouble.
func perKey(e types.Error) error {
	return &smithy.GenericAPIError{Code: aws.ToString(e.Code), Message: aws.ToString(e.Message)}
}
