package objstore

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// ErrConflict: an upload cannot become its object any more. It was completed or abandoned, does not hold the parts named,
// or the service gave way to another request for the key. Repeating the call does not help: start over with a new upload.
var ErrConflict = errors.New("upload cannot be completed")

const (
	// MinPart is the least size in bytes of every part but the last: what S3 demands.
	MinPart = 5 << 20
	// MaxPart is the largest size of a part in bytes. S3 takes 5 GiB; a part lies in memory.
	MaxPart = 256 << 20
	// MaxParts is the most parts of an upload, and the largest number of one.
	MaxParts = 10_000
)

// Upload names an object that is being written in parts. The ID is the store's.
type Upload struct {
	Key string
	ID  string
}

// Part is what PutPart returns and Complete needs.
type Part struct {
	Number int // from 1
	Size   int64
	CRC32C uint32
	Tag    string // the store's name of these bytes in this upload
}

// UploadInfo describes an unfinished upload.
type UploadInfo struct {
	Upload
	Started time.Time // by the store's clock
}

// Uploader writes an object in parts, so that neither end holds all of it in memory. Nothing is visible under the key
// until Complete, and no Get, List or Delete knows of an upload. Each call is one attempt and may be repeated.
//
// An upload occupies space until it is completed or abandoned, also when its writer has died. Whoever runs for long
// sweeps what Uploads lists (package objstore/parts).
type Uploader interface {
	// Begin starts an upload. An object that is there already shows in Complete alone. On error an upload may have begun,
	// which nothing but Uploads tells of.
	Begin(ctx context.Context, key string) (Upload, error)

	// PutPart stores a part: 1..MaxPart bytes, any number from 1 to MaxParts, in any order, several at a time. A part of
	// the number that is there is replaced, and the Part returned last is the one to complete with. The checksum is
	// verified as Put's is and the chunks are not retained after PutPart returns. ErrConflict when the upload is gone.
	PutPart(ctx context.Context, up Upload, number int, body Body) (Part, error)

	// Complete creates the object from parts, numbered 1, 2, 3 ..., each but the last of at least MinPart bytes. It is
	// durable when Complete returns nil, and the upload is gone then. As with Put an object of the same bytes that is
	// there already counts as success, also when the upload is gone, so that a Complete whose answer was lost can be
	// repeated; one of other bytes is ErrExists. "The same" is of equal size and CRC-32C. ErrConflict: there is no object
	// and this upload will not make one. On any other error the object may or may not exist, now or later, but never in
	// part. After an error the upload may be left: Abandon it.
	Complete(ctx context.Context, up Upload, parts []Part) error

	// Abandon drops an upload and its parts. One that is gone, completed or abandoned, is success. A PutPart that is
	// under way may leave its part behind: end it first.
	Abandon(ctx context.Context, up Upload) error

	// Uploads lists unfinished uploads, at least limit (1..1000) of them if there are that many, whose keys start with
	// prefix and are greater than after, in key order. All uploads of one key come together, which is why there may be
	// more; fewer than limit means that these are all. It is meant for sweeping leftovers: MinIO knows only of uploads
	// begun since it was started, and removes others after a day by itself.
	Uploads(ctx context.Context, prefix, after string, limit int) ([]UploadInfo, error)
}

// CheckUpload says whether up may name an upload: a good key and an ID of 1..1024 printable ASCII characters. Stores that
// make a path of the ID look at it more closely.
func CheckUpload(up Upload) error {
	if err := CheckKey(up.Key); err != nil {
		return err
	}
	if up.ID == "" || len(up.ID) > maxStored {
		return fmt.Errorf("%w: upload id of %d bytes", ErrKey, len(up.ID))
	}
	for i := range len(up.ID) {
		if c := up.ID[i]; c <= ' ' || c > '~' {
			return fmt.Errorf("%w: upload id %q", ErrKey, up.ID)
		}
	}
	return nil
}

// CheckPart says whether a part of so many bytes may be put under number.
func CheckPart(up Upload, number int, size int64) error {
	if err := CheckUpload(up); err != nil {
		return err
	}
	if number < 1 || number > MaxParts {
		return fmt.Errorf("%w: part %d outside 1..%d", ErrKey, number, MaxParts)
	}
	if size < 1 || size > MaxPart {
		return fmt.Errorf("%w: part of %d bytes outside 1..%d", ErrKey, size, MaxPart)
	}
	return nil
}

// CheckComplete says whether parts may be passed to Complete.
func CheckComplete(up Upload, parts []Part) error {
	if err := CheckUpload(up); err != nil {
		return err
	}
	if len(parts) == 0 || len(parts) > MaxParts {
		return fmt.Errorf("%w: %d parts outside 1..%d", ErrKey, len(parts), MaxParts)
	}
	for i, p := range parts {
		switch {
		case p.Number != i+1:
			return fmt.Errorf("%w: part %d in place %d", ErrKey, p.Number, i+1)
		case p.Size < 1 || p.Size > MaxPart:
			return fmt.Errorf("%w: part %d of %d bytes outside 1..%d", ErrKey, p.Number, p.Size, MaxPart)
		case p.Size < MinPart && i < len(parts)-1:
			return fmt.Errorf("%w: part %d of %d bytes, the least is %d for all but the last", ErrKey, p.Number, p.Size, MinPart)
		}
	}
	return nil
}

// Whole is the size and the CRC-32C of the object that parts make.
func Whole(parts []Part) (size int64, crc uint32) {
	for _, p := range parts {
		size += p.Size
		crc = CombineCRC(crc, p.CRC32C, p.Size)
	}
	return size, crc
}

// CutUploads is the page of sorted that Uploads returns: limit of them and the rest of the last one's key.
func CutUploads(sorted []UploadInfo, limit int) []UploadInfo {
	n := min(limit, len(sorted))
	for n > 0 && n < len(sorted) && sorted[n].Key == sorted[n-1].Key {
		n++
	}
	return sorted[:n]
}
