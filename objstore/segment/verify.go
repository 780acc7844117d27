package segment

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"

	"wadi/internal/batch"
	"wadi/objstore"
)

// window is how much of an object Verify reads at once, in bytes.
const window = 8 << 20

// maxBatch is the largest batch that Verify holds in memory, in bytes. Agents take far smaller ones.
const maxBatch = 256 << 20

// Verify reads a whole segment of size bytes and checks all of it: header, footer, checksums, that each section holds
// whole valid batches, and that their counts and timestamps are those of the footer. visit, if not nil, sees each batch
// in order; the batch is valid during the call only, and an error from visit ends the run and is returned. Errors are
// visit's, the store's, ErrCorrupt (also wrapping what package batch found) or ErrVersion. Memory is bounded by a
// window of 8 MiB or the largest batch, and what the batch decompresses to.
func Verify(ctx context.Context, store objstore.Store, key string, size int64,
	visit func(SectionInfo, batch.Batch) error) error {
	f, err := ReadFooter(ctx, store, key, size)
	if err != nil {
		return err
	}
	r := &windowReader{ctx: ctx, store: store, key: key, end: int64(f.DataEnd())}
	header, err := r.take(headerSize)
	if err != nil {
		return err
	}
	if err := checkHeader(header, f.Kind); err != nil {
		return fmt.Errorf("segment %s: %w", key, err)
	}
	for i := range f.Sections {
		if err := verifySection(r, &f.Sections[i], visit); err != nil {
			return fmt.Errorf("segment %s: section %d: %w", key, i, err)
		}
	}
	return nil
}

func checkHeader(h []byte, kind Kind) error {
	version := binary.BigEndian.Uint16(h[8:])
	switch {
	case string(h[:8]) != headerMagic || binary.BigEndian.Uint32(h[12:]) != crc32.Checksum(h[:12], castagnoli):
		return fmt.Errorf("%w: header", ErrCorrupt)
	case version != Version1:
		return fmt.Errorf("%w: %d", ErrVersion, version)
	case Kind(h[10]) != kind || h[11] != 0:
		return fmt.Errorf("%w: header says %v, footer %v", ErrCorrupt, Kind(h[10]), kind)
	}
	return nil
}

func verifySection(r *windowReader, s *SectionInfo, visit func(SectionInfo, batch.Batch) error) error {
	var (
		left    = s.Length
		batches int
		records int
		newest  = int64(math.MinInt64)
		crc     uint32
	)
	for left > 0 {
		b, err := nextBatch(r, left)
		if err != nil {
			return err
		}
		left -= uint64(len(b))
		crc = crc32.Update(crc, castagnoli, b)
		batches++
		records += int(b.NumRecords())
		newest = max(newest, b.MaxTimestamp())
		if visit != nil {
			if err := visit(*s, b); err != nil {
				return err
			}
		}
	}
	switch {
	case crc != s.CRC:
		return fmt.Errorf("%w: CRC is %08x, footer says %08x", ErrCorrupt, crc, s.CRC)
	case batches != s.Batches || records != s.Records:
		return fmt.Errorf("%w: %d batches of %d records, footer says %d of %d", ErrCorrupt,
			batches, records, s.Batches, s.Records)
	case newest != s.MaxTimestamp:
		return fmt.Errorf("%w: max timestamp is %d, footer says %d", ErrCorrupt, newest, s.MaxTimestamp)
	}
	return nil
}

// nextBatch reads and validates one batch of a section of which left bytes remain.
func nextBatch(r *windowReader, left uint64) (batch.Batch, error) {
	if left < minBatch {
		return nil, fmt.Errorf("%w: %d bytes behind the last batch", ErrCorrupt, left)
	}
	head, err := r.peek(minBatch)
	if err != nil {
		return nil, err
	}
	size, err := batch.PeekSize(head)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	case uint64(size) > left || size > maxBatch:
		return nil, fmt.Errorf("%w: batch of %d bytes in the last %d", ErrCorrupt, size, left)
	}
	p, err := r.take(size)
	if err != nil {
		return nil, err
	}
	b, err := batch.Validate(p, batch.Rules{Stored: true, AllowZstd: true, AllowControl: true})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return b, nil
}

// windowReader reads an object from front to back in windows, so that many small sections cost few requests.
type windowReader struct {
	ctx   context.Context
	store objstore.Store
	key   string
	at    int64 // position behind buf
	end   int64
	buf   []byte
}

// peek gives the next n bytes without passing them. They are valid until the next call.
func (r *windowReader) peek(n int) ([]byte, error) {
	if missing := int64(n - len(r.buf)); missing > 0 {
		if missing > r.end-r.at {
			return nil, fmt.Errorf("%w: %d bytes expected at %d, data ends at %d", ErrCorrupt, missing, r.at, r.end)
		}
		length := min(max(missing, window), r.end-r.at)
		p, err := r.store.Get(r.ctx, r.key, r.at, length)
		if err != nil {
			return nil, fmt.Errorf("read segment %s: %w", r.key, err)
		}
		if int64(len(p)) != length {
			return nil, fmt.Errorf("read segment %s: %w: %d bytes instead of %d", r.key, ErrCorrupt, len(p), length)
		}
		r.at += length
		if len(r.buf) > 0 {
			p = append(r.buf[:len(r.buf):len(r.buf)], p...)
		}
		r.buf = p
	}
	return r.buf[:n], nil
}

func (r *windowReader) take(n int) ([]byte, error) {
	p, err := r.peek(n)
	if err == nil {
		r.buf = r.buf[n:]
	}
	return p[:len(p):len(p)], err
}
