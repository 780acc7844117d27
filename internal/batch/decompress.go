package batch

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/pierrec/lz4/v4"
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

type unlz4er struct {
	src bytes.Reader
	lz  *lz4.Reader
}

var unlz4ers = sync.Pool{New: func() any { return &unlz4er{lz: lz4.NewReader(nil)} }}

const (
	lz4Magic       = 0x184d2204
	lz4Independent = 0x20
)

var errLZ4Frame = errors.New("not an LZ4 frame of independent blocks")

func unlz4(dst, src []byte, max int) ([]byte, error) {
	// Java clients read one standard frame with independent blocks and nothing else, so nothing else is let in: what
	// one client stored, every client must be able to read.
	if len(src) < 7 || binary.LittleEndian.Uint32(src) != lz4Magic || src[4]&lz4Independent == 0 {
		return dst, errLZ4Frame
	}
	u := unlz4ers.Get().(*unlz4er)
	defer func() {
		u.src.Reset(nil)
		u.lz.Reset(&u.src)
		unlz4ers.Put(u)
	}()
	u.src.Reset(src)
	u.lz.Reset(&u.src)
	return readAll(dst, u.lz, hint(src), max)
}

// hint is where a buffer starts for src: a usual ratio, not a claim of the sender's.
func hint(src []byte) int { return max(firstBuffer, 4*len(src)) }

// xerialMagic starts the framing that Java's and librdkafka's snappy use; without it the payload is one raw block.
var xerialMagic = []byte("\x82SNAPPY\x00")

const xerialHeader = 16

var (
	errXerial   = errors.New("broken xerial framing")
	errExpands  = errors.New("claims more than snappy can hold")
	errNoSnappy = errors.New("no snappy block")
)

func unsnappy(dst, src []byte, max int) ([]byte, error) {
	if !bytes.HasPrefix(src, xerialMagic) {
		return unsnappyBlock(dst, src, max)
	}
	if len(src) < xerialHeader {
		return dst, errXerial
	}
	var err error
	for src = src[xerialHeader:]; len(src) > 0; {
		if len(src) < 4 {
			return dst, errXerial
		}
		n := binary.BigEndian.Uint32(src)
		if uint64(n) > uint64(len(src)-4) {
			return dst, errXerial
		}
		if dst, err = unsnappyBlock(dst, src[4:4+n], max); err != nil {
			return dst, err
		}
		src = src[4+n:]
	}
	return dst, nil
}

// unsnappyBlock appends one raw block. No snappy element of k bytes yields more than 22 k (64 from a copy of 3), so a
// larger claim is refused before anything is allocated for it.
func unsnappyBlock(dst, src []byte, max int) ([]byte, error) {
	size, err := snappy.DecodedLen(src)
	switch {
	case err != nil:
		return dst, fmt.Errorf("%w: %w", errNoSnappy, err)
	case size > 22*len(src):
		return dst, errExpands
	case size > max-len(dst):
		return dst, tooLarge(max)
	}
	if cap(dst)-len(dst) < size {
		dst = grow(dst, size+len(dst))
	}
	// DecodeStrict, because Decode also takes an extension that other clients cannot read.
	out, err := snappy.DecodeStrict(dst[len(dst):len(dst)+size], src)
	if err != nil {
		return dst, err
	}
	return dst[:len(dst)+len(out)], nil
}
