package s3

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"wadi/objstore"
)

// Uploads asks for pages of the bucket's uploads from the prefix on and never names the prefix to the service: MinIO
// takes one for a whole key. Uploads of keys that are not Wadi's are left out.
func (s *Store) Uploads(ctx context.Context, prefix, after string, limit int) ([]objstore.UploadInfo, error) {
	if err := objstore.CheckList(limit); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("uploads %s: %w", prefix, err)
	}
	if !objstore.PossiblePrefix(prefix) {
		return nil, nil
	}
	in := &s3.ListMultipartUploadsInput{Bucket: &s.bucket, MaxUploads: aws.Int32(objstore.MaxBatch)}
	if marker := max(after, before(prefix)); marker != "" {
		in.KeyMarker = &marker
	}
	var out []objstore.UploadInfo
	for range maxPages {
		page, err := s.uploadsPage(ctx, in)
		if err != nil {
			return nil, fmt.Errorf("uploads %s: %w", prefix, err)
		}
		last := ""
		for _, u := range page.Uploads {
			last = aws.ToString(u.Key)
			if info := uploadInfo(u); info.Key > after && strings.HasPrefix(info.Key, prefix) && objstore.CheckUpload(info.Upload) == nil {
				out = append(out, info)
			}
		}
		beyond := last > prefix && !strings.HasPrefix(last, prefix)
		full := len(out) > limit && out[len(out)-1].Key > out[limit-1].Key // the limit's key is complete
		if beyond || full || !aws.ToBool(page.IsTruncated) {
			sortUploads(out)
			return objstore.CutUploads(out, limit), nil
		}
		if page.NextKeyMarker == nil || aws.ToString(page.NextKeyMarker) == aws.ToString(in.KeyMarker) &&
			aws.ToString(page.NextUploadIdMarker) == aws.ToString(in.UploadIdMarker) {
			return nil, fmt.Errorf("uploads %s: %w: more uploads but no marker to ask for them", prefix, errBug)
		}
		in.KeyMarker, in.UploadIdMarker = page.NextKeyMarker, page.NextUploadIdMarker
	}
	return nil, fmt.Errorf("uploads %s: %w: more than %d pages for %d uploads", prefix, errBug, maxPages, limit)
}

func (s *Store) uploadsPage(ctx context.Context, in *s3.ListMultipartUploadsInput) (page *s3.ListMultipartUploadsOutput, err error) {
	objstore.AttemptOf(ctx).Extend(0) // each page is a request of its own
	err = s.once(ctx, func(ctx context.Context) error {
		page, err = s.client.ListMultipartUploads(ctx, in)
		return err
	})
	return page, err
}

func uploadInfo(u types.MultipartUpload) objstore.UploadInfo {
	return objstore.UploadInfo{
		Upload:  objstore.Upload{Key: aws.ToString(u.Key), ID: aws.ToString(u.UploadId)},
		Started: aws.ToTime(u.Initiated),
	}
}

func sortUploads(list []objstore.UploadInfo) {
	slices.SortFunc(list, func(a, b objstore.UploadInfo) int {
		return cmp.Or(cmp.Compare(a.Key, b.Key), a.Started.Compare(b.Started), cmp.Compare(a.ID, b.ID))
	})
}

// before is a string that sorts before every key with the prefix and after nearly all of the others that do: a prefix
// "wadi/" has its keys behind "wadi.~".
func before(prefix string) string {
	if prefix == "" {
		return ""
	}
	last := len(prefix) - 1
	return prefix[:last] + string(prefix[last]-1) + "~"
}
