package batch

import (
	"encoding/binary"
	"fmt"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// appendWriter collects what a compressor writes.
type appendWriter struct{ buf []byte }

func (w *appendWriter) Write(p []byte) (int, error) {
	w.buf = append(w.buf, p...)
	return len(p), nil
}

// compress appends the encoded src to dst, in the form that every Kafka client reads.
func compress(codec Codec, dst, src []byte) ([]byte, error) {
	switch codec {
	case None:
		return append(dst, src...), nil
	case Gzip:
		return gzipped(dst, src)
	case Snappy:
		return snappied(dst, src), nil
	case LZ4:
		return lz4ed(dst, src)
	case Zstd:
		enc, err := zstdWriter()
		if err != nil {
			return dst, err
		}
		return enc.EncodeAll(src, dst), nil
	}
	return dst, fmt.Errorf("%w: %v", ErrUnsupportedCodec, codec)
}

var zstdWriter = sync.OnceValues(func() (*zstd.Encoder, error) {
	return zstd.NewWriter(nil, zstd.WithWindowSize(1<<20), zstd.WithZeroFrames(true), zstd.WithEncoderCRC(false))
})

var gzippers = sync.Pool{New: func() any { return gzip.NewWriter(nil) }}

func gzipped(dst, src []byte) ([]byte, error) {
	z := gzippers.Get().(*gzip.Writer)
	defer gzippers.Put(z)
	w := appendWriter{dst}
	z.Reset(&w)
	if _, err := z.Write(src); err != nil {
		return dst, err
	}
	if err := z.Close(); err != nil {
		return dst, err
	}
	z.Reset(nil)
	return w.buf, nil
}

var lz4ers = sync.Pool{New: func() any { return lz4.NewWriter(nil) }}

func lz4ed(dst, src []byte) ([]byte, error) {
	z := lz4ers.Get().(*lz4.Writer)
	defer lz4ers.Put(z)
	w := appendWriter{dst}
	z.Reset(&w)
	// The batch's CRC covers the frame already.
	err := z.Apply(lz4.BlockSizeOption(lz4.Block64Kb), lz4.ChecksumOption(false), lz4.ConcurrencyOption(1))
	if err != nil {
		return dst, err
	}
	if _, err := z.Write(src); err != nil {
		return dst, err
	}
	if err := z.Close(); err != nil {
		return dst, err
	}
	z.Reset(nil)
	return w.buf, nil
}

// xerialBlock is how many bytes go into one block of the framing.
const xerialBlock = 32 << 10

func snappied(dst, src []byte) []byte {
	dst = append(dst, xerialMagic...)
	dst = binary.BigEndian.AppendUint32(dst, 1) // version
	dst = binary.BigEndian.AppendUint32(dst, 1) // oldest version that reads it
	for len(src) > 0 {
		n := min(len(src), xerialBlock)
		at := len(dst)
		dst = grow(dst, 4+snappy.MaxEncodedLen(n))
		block := snappy.Encode(dst[at+4:cap(dst)], src[:n])
		binary.BigEndian.PutUint32(dst[at:at+4], uint32(len(block)))
		dst = dst[:at+4+len(block)]
		src = src[n:]
	}
	return dst
}
