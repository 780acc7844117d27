package batch

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"
)

// DefaultMaxUncompressed is the bound on what a batch may decompress to where the caller names none, in bytes.
const DefaultMaxUncompressed = 128 << 20

// firstBuffer is the least capacity that decompression starts with.
const firstBuffer = 16 << 10

// decompress decodes src into dst[:0], growing it by what really comes out and never past max bytes (ErrTooLarge).
// Sizes that src merely claims are checked against max and never allocated on trust. Bytes that do not decode are
// ErrInvalidRecord: under a CRC that fits, the sender made them so, and sending them again would not help.
func decompress(codec Codec, dst, src []byte, max int) ([]byte, error) {
	var err error
	switch dst = dst[:0]; codec {
	case Gzip:
		dst, err = gunzip(dst, src, max)
	case Snappy:
		dst, err = unsnappy(dst, src, max)
	case LZ4:
		dst, err = unlz4(dst, src, max)
	case Zstd:
		dst, err = unzstd(dst, src, max)
	default:
		return dst, fmt.Errorf("%w: %v", ErrUnsupportedCodec, codec)
	}
	switch {
	case err == nil:
		return dst, nil
	case errors.Is(err, ErrTooLarge):
		return dst, err
	}
	return dst, fmt.Errorf("%w: %v does not decompress: %w", ErrInvalidRecord, codec, err)
}

func tooLarge(max int) error {
	return fmt.Errorf("%w: decompresses to more than %d bytes", ErrTooLarge, max)
}

// readAll appends what r yields to dst, at most max bytes.
func readAll(dst []byte, r io.Reader, hint, max int) ([]byte, error) {
	dst = grow(dst, min(hint, max)+1)
	for {
		// One byte more than allowed tells a full buffer from an overrun.
		room := min(cap(dst), max+1)
		n, err := r.Read(dst[len(dst):room])
		dst = dst[:len(dst)+n]
		switch {
		case len(dst) > max:
			return dst, tooLarge(max)
		case err == io.EOF:
			return dst, nil
		case err != nil:
			return dst, err
		}
		if len(dst) == cap(dst) {
			dst = grow(dst, min(len(dst), max+1-len(dst)))
		}
	}
}

type gunzipper struct {
	src bytes.Reader
	gz  gzip.Reader
}

var gunzippers = sync.Pool{New: func() any { return new(gunzipper) }}

func gunzip(dst, src []byte, max int) ([]byte, error) {
	g := gunzippers.Get().(*gunzipper)
	defer func() { g.src.Reset(nil); gunzippers.Put(g) }()
	g.src.Reset(src)
	if err := g.gz.Reset(&g.src); err != nil {
		return dst, err
	}
	return readAll(dst, &g.gz, hint(src), max)
}

// hint is where a buffer starts for src: a usual ratio, not a claim of the sender's.
func hint(src []byte) int { return max(firstBuffer, 4*len(src)) }

// bulky is a place for work on records that pass keepBuffer when decompressed. Few may be under way at once, so that
// many connections sending bombs cannot each hold DefaultMaxUncompressed. Holders only compute, so a wait ends.
var bulky = make(chan struct{}, 2)

// withRecords calls work with the decompressed records of b, at most limit bytes (ErrTooLarge). They are valid during
// the call only, which must not wait for anything.
func withRecords(b Batch, limit int, work func(records []byte) error) error {
	if b.Codec() == None {
		return work(b.Payload())
	}
	buf := getBuffer()
	defer putBuffer(buf)
	var err error
	*buf, err = decompress(b.Codec(), *buf, b.Payload(), min(limit, keepBuffer))
	if limit > keepBuffer && errors.Is(err, ErrTooLarge) {
		bulky <- struct{}{}
		defer func() { <-bulky }()
		*buf, err = decompress(b.Codec(), *buf, b.Payload(), limit)
	}
	if err != nil {
		return err
	}
	return work(*buf)
}
