// Package objstore is the contract between Wadi and object storage: a handful of calls that every S3-compatible store,
// a local directory and memory can keep. The contract is tested by one suite (objstore/conformance) on every
// implementation, bare and decorated.
package objstore

import (
	"context"
	"errors"
	"hash/crc32"
	"time"
)

// Errors that every implementation returns, wrapped with the key and the cause.
var (
	// ErrNotFound: there is no object under the key.
	ErrNotFound = errors.New("object not found")
	// ErrExists: an object with other bytes is stored under the key. Objects are immutable, so this never heals.
	ErrExists = errors.New("object exists with other content")
	// ErrRange: the range asked for does not lie within the object.
	ErrRange = errors.New("range outside object")
	// ErrThrottled: the store asked for fewer requests (SlowDown, 503). Retriable, after a pause.
	ErrThrottled = errors.New("object store asks to slow down")
	// ErrCorrupt: the bytes that arrived are not the bytes that were asked for (short body, checksum).
	ErrCorrupt = errors.New("object corrupt")
	// ErrDenied: credentials or policy refuse the call. Not retriable.
	ErrDenied = errors.New("object store denies access")
)

// Body is an object's content as a list of chunks, in order. CRC32C is the Castagnoli checksum of their concatenation;
// stores hand it to the service so that a torn or flipped upload is refused.
type Body struct {
	Chunks [][]byte
	CRC32C uint32
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// NewBody computes the checksum of chunks. It retains them.
func NewBody(chunks ...[]byte) Body {
	var crc uint32
	for _, c := range chunks {
		crc = crc32.Update(crc, castagnoli, c)
	}
	return Body{Chunks: chunks, CRC32C: crc}
}

// Size is the content's length in bytes.
func (b Body) Size() int64 {
	var n int64
	for _, c := range b.Chunks {
		n += int64(len(c))
	}
	return n
}

// Info describes one stored object.
type Info struct {
	Key      string
	Size     int64
	Modified time.Time
}

// Store is a flat namespace of immutable objects. All methods may be called concurrently. A context that ends makes
// the call return soon with an error that wraps the context's. Keys use '/' as separator, hold only
// [A-Za-z0-9._~-] between separators, have no empty, "." or ".." element and are at most 900 bytes.
//
// An implementation makes one attempt per call and leaves repetitions to objstore/steady, which asks Repeatable about
// each error.
type Store interface {
	// Put creates the object. It is durable when Put returns nil. An object of the same bytes that is already there
	// counts as success, so that a Put whose answer was lost can be repeated; one of other bytes is ErrExists. On any
	// other error the object may or may not exist, now or later, but never in part. The chunks are not retained after
	// Put returns.
	Put(ctx context.Context, key string, body Body) error

	// Get reads length bytes from off. length -1 means to the end of the object. It returns exactly the bytes asked
	// for in a slice that the caller owns, or ErrNotFound, ErrRange (off+length beyond the end; a zero length at the
	// end is fine), ErrCorrupt (short body).
	Get(ctx context.Context, key string, off, length int64) ([]byte, error)

	// List returns up to limit objects (limit in 1..1000) whose keys start with prefix and are greater than after, in
	// key order. Fewer than limit means that there are no more. An object whose Put returned before List was called is
	// listed.
	List(ctx context.Context, prefix, after string, limit int) ([]Info, error)

	// Delete removes up to 1,000 objects. A missing object counts as removed. On error any of them may be gone.
	Delete(ctx context.Context, keys []string) error

	// Date is the store's own clock, to the second at best.
	Date(ctx context.Context) (time.Time, error)

	// Uploader writes large objects in parts.
	Uploader
}
