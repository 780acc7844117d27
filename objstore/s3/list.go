package s3

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"wadi/objstore"
)

// maxPages bounds one List. A service may return short or empty pages and say that there is more.
const maxPages = 1000

// List asks for pages until limit is reached or the service has no more. Objects whose keys break the rules of
// objstore.CheckKey are not Wadi's and are left out.
func (s *Store) List(ctx context.Context, prefix, after string, limit int) ([]objstore.Info, error) {
	if err := objstore.CheckList(limit); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("list %s: %w", prefix, err)
	}
	if !objstore.PossiblePrefix(prefix) {
		return nil, nil
	}
	in := &s3.ListObjectsV2Input{Bucket: &s.bucket}
	if prefix != "" {
		in.Prefix = &prefix
	}
	if after != "" {
		in.StartAfter = &after
	}
	// Always a full page, whatever limit is: MinIO counts the siblings of the directories in StartAfter that sort before
	// their '/' ("a-b" and "a.b" beside "a/") against a page's size, does not return them, and when none of the size is
	// left says that there is no more. A full page has room for at least 66 of them; Wadi's keys have none.
	in.MaxKeys = aws.Int32(objstore.MaxBatch)
	var out []objstore.Info
	last := after
	for range maxPages {
		page, err := s.listPage(ctx, in)
		if err != nil {
			return nil, fmt.Errorf("list %s: %w", prefix, err)
		}
		for _, o := range page.Contents {
			key := aws.ToString(o.Key)
			if key <= last {
				return nil, fmt.Errorf("list %s: %w: key %q listed after %q", prefix, errBug, key, last)
			}
			last = key
			if len(out) == limit {
				return out, nil
			}
			if objstore.CheckKey(key) == nil {
				out = append(out, info(key, o))
			}
		}
		if len(out) == limit || !aws.ToBool(page.IsTruncated) {
			return out, nil
		}
		if in.ContinuationToken = page.NextContinuationToken; in.ContinuationToken == nil {
			return nil, fmt.Errorf("list %s: %w: more objects but no token to ask for them", prefix, errBug)
		}
	}
	return nil, fmt.Errorf("list %s: %w: more than %d pages for %d objects", prefix, errBug, maxPages, limit)
}

func (s *Store) listPage(ctx context.Context, in *s3.ListObjectsV2Input) (page *s3.ListObjectsV2Output, err error) {
	objstore.AttemptOf(ctx).Extend(0) // each page is a request of its own
	err = s.once(ctx, func(ctx context.Context) error {
		page, err = s.client.ListObjectsV2(ctx, in)
		return err
	})
	return page, err
}

func info(key string, o types.Object) objstore.Info {
	return objstore.Info{Key: key, Size: aws.ToInt64(o.Size), Modified: aws.ToTime(o.LastModified)}
}
