package parts

import (
	"context"
	"time"

	"wadi/objstore"
)

// Sweep abandons uploads under prefix that began before a time by the store's clock (objstore.Store's Date), at most limit
// of them, and returns how many. A writer that is still at work on one of them fails with objstore.ErrConflict, so before
// lies further back than any write takes. An error ends the sweep; the next one goes on where it ended.
func Sweep(ctx context.Context, store objstore.Uploader, prefix string, before time.Time, limit int) (int, error) {
	swept, after := 0, ""
	for {
		page, err := store.Uploads(ctx, prefix, after, objstore.MaxBatch)
		if err != nil {
			return swept, err
		}
		for _, u := range page {
			if after = u.Key; !u.Started.Before(before) {
				continue
			}
			if swept == limit {
				return swept, nil
			}
			if err := store.Abandon(ctx, u.Upload); err != nil {
				return swept, err
			}
			swept++
		}
		if len(page) < objstore.MaxBatch {
			return swept, nil
		}
	}
}
