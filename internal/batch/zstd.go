package batch

import (
	"errors"
	"math"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// zstdReader serves all goroutines; it runs as many decoders as there are processors, and further callers wait for one.
// It never writes past the capacity that it is given.
var zstdReader = sync.OnceValues(func() (*zstd.Decoder, error) {
	return zstd.NewReader(nil,
		zstd.WithDecoderConcurrency(0),
		zstd.WithDecodeAllCapLimit(true),
		zstd.WithDecoderMaxWindow(128<<20))
})

// unzstd starts with the capacity that the frames can be expected to need and grows it fourfold per attempt, so that
// repeated work stays below a third, up to the most that their blocks can hold. Broken input costs no more than that.
func unzstd(dst, src []byte, limit int) ([]byte, error) {
	dec, err := zstdReader()
	if err != nil {
		return dst, err
	}
	claimed, most, err := zstdSize(src)
	if err != nil {
		return dst, err
	}
	if claimed > int64(limit) {
		return dst, tooLarge(limit)
	}
	ceiling := int(min(most, int64(limit)))
	want := hint(src)
	if claimed > 0 {
		want = max(want, int(claimed))
	}
	for {
		want = min(want, ceiling)
		dst = grow(dst[:0], want)
		// Capacity beyond the limit (a pooled buffer) must not widen it.
		room := dst[:0:min(cap(dst), limit)]
		out, err := dec.DecodeAll(src, room)
		if err == nil {
			return out, nil
		}
		if cap(room) < ceiling {
			// The decoder has several words for a lack of room, some of them those of a broken block: what is broken
			// stays so with more room.
			want = 4 * cap(room)
			continue
		}
		if cap(room) == limit && errors.Is(err, zstd.ErrDecoderSizeExceeded) {
			return dst, tooLarge(limit)
		}
		return dst, err
	}
}

var errZstdFrame = errors.New("broken zstd frame")

// zstdBlock is the most that one block of a frame decompresses to.
const zstdBlock = 128 << 10

// zstdSize walks the block headers of all frames. claimed is the content size that the frames state, 0 if one states
// none; most is what their blocks can hold at best. A frame that states more than its blocks can hold is broken: its
// claim is not worth an allocation.
func zstdSize(src []byte) (claimed, most int64, err error) {
	known := true
	for len(src) > 0 {
		var h zstd.Header
		if err := h.Decode(src); err != nil {
			return 0, 0, err
		}
		if h.HeaderSize > len(src) {
			return 0, 0, errZstdFrame
		}
		src = src[h.HeaderSize:]
		if h.Skippable {
			if int64(h.SkippableSize) > int64(len(src)) {
				return 0, 0, errZstdFrame
			}
			src = src[h.SkippableSize:]
			continue
		}
		var room int64
		if src, room, err = skipZstdBlocks(src, h.HasCheckSum); err != nil {
			return 0, 0, err
		}
		most += room
		switch {
		case !h.HasFCS:
			known = false
		case h.FrameContentSize > math.MaxInt64 || int64(h.FrameContentSize) > room:
			return 0, 0, errZstdFrame
		default:
			claimed += int64(h.FrameContentSize)
		}
	}
	if !known {
		claimed = 0
	}
	return claimed, most, nil
}

func skipZstdBlocks(src []byte, checksum bool) (rest []byte, room int64, err error) {
	for last := false; !last; {
		if len(src) < 3 {
			return nil, 0, errZstdFrame
		}
		head := int(src[0]) | int(src[1])<<8 | int(src[2])<<16
		last = head&1 != 0
		stored, size := head>>3, head>>3
		switch head >> 1 & 3 {
		case 0: // raw
			room += int64(size)
		case 1: // one byte, repeated size times
			stored = 1
			room += int64(min(size, zstdBlock))
		case 2: // compressed
			room += zstdBlock
		default:
			return nil, 0, errZstdFrame
		}
		if stored > len(src)-3 {
			return nil, 0, errZstdFrame
		}
		src = src[3+stored:]
	}
	if checksum {
		if len(src) < 4 {
			return nil, 0, errZstdFrame
		}
		src = src[4:]
	}
	return src, room, nil
}
