package checkpoint

import (
	"context"
	"fmt"

	"wadi/metadata/journal"
	pb "wadi/metadata/metadatapb"
	"wadi/objstore"
)

// EachEntry reads an archive of size bytes from front to back, about a MiB at a time, and checks what it reads: header,
// index, the checksum of every entry, that positions rise within (from, to] and that heads count without a gap. It
// returns the archive's bounds. Errors are visit's, the store's or ErrFormat; entries before the damage were visited.
func EachEntry(
	ctx context.Context, store objstore.Store, key string, size uint64, visit func(journal.Entry) error,
) (from, to int64, err error) {
	h, err := store.Get(ctx, key, 0, headerSize)
	if err != nil {
		return 0, 0, fmt.Errorf("archive %s: %w", key, err)
	}
	if err := checkHeader(archiveMagic, h); err != nil {
		return 0, 0, fmt.Errorf("archive %s: %w", key, err)
	}
	x, err := readIndex(ctx, store, key, size)
	if err != nil {
		return 0, 0, err
	}
	for i, e := range x.entries {
		switch {
		case e.position <= x.from || e.position > x.to:
			return x.from, x.to, fmt.Errorf("archive %s: entry at position %d outside (%d, %d]: %w", key, e.position, x.from, x.to, ErrFormat)
		case i > 0 && e.head != x.entries[i-1].head+1:
			return x.from, x.to, fmt.Errorf("archive %s: entry %d follows entry %d: %w", key, e.head, x.entries[i-1].head, ErrFormat)
		}
	}
	return x.from, x.to, x.each(ctx, store, key, visit)
}

// VerifyBase reads a base whole and checks it against its description: the parts' checksums, the content hash, and that
// they make a State at the base's position with its digest.
func VerifyBase(ctx context.Context, store objstore.Store, base *pb.Base) error {
	_, err := loadBase(ctx, store, base, partsAhead)
	return err
}
