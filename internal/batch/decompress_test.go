package batch

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/stretchr/testify/require"
)

var bigCodecs = codecs[1:]

func TestDecompressLimits(t *testing.T) {
	noise := make([]byte, 300<<10)
	rand.NewChaCha8([32]byte{1}).Read(noise)
	for _, plain := range [][]byte{{}, []byte("x"), bytes.Repeat([]byte{7}, 1<<20), noise} {
		for _, codec := range bigCodecs {
			packed, err := compress(codec, []byte("before"), plain)
			require.NoError(t, err)
			packed = packed[len("before"):]
			for _, start := range []int{0, 100, 2 << 20} {
				out, err := decompress(codec, make([]byte, 0, start), packed, len(plain))
				require.NoError(t, err, "%v %d", codec, len(plain))
				require.True(t, bytes.Equal(plain, out))
				if len(plain) > 0 {
					out, err = decompress(codec, make([]byte, 0, start), packed, len(plain)-1)
					require.ErrorIs(t, err, ErrTooLarge, "%v %d", codec, len(plain))
					require.LessOrEqual(t, cap(out), max(start, 2*len(plain), 2*firstBuffer))
				}
			}
			for _, cut := range []int{1, len(packed) / 2} {
				if cut >= len(packed) || len(plain) == 0 {
					continue
				}
				out, err := decompress(codec, nil, packed[:len(packed)-cut], 1<<30)
				if err == nil {
					// A frame without its end mark can still give all its bytes; never others.
					require.True(t, bytes.HasPrefix(plain, out), "%v", codec)
				} else {
					require.ErrorIs(t, err, ErrInvalidRecord)
				}
			}
		}
	}
}

// allocated is how many bytes f leaves in the allocation counter.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// A size that is only claimed costs nothing, whatever the codec.
func TestClaimedSizesAreNotBelieved(t *testing.T) {
	block := s2.EncodeSnappy(nil, []byte("hello"))
	_, n := binary.Uvarint(block)
	lying := append(binary.AppendUvarint(nil, 1<<30), block[n:]...)
	xerial := append([]byte(nil), xerialMagic...)
	xerial = append(xerial, 0, 0, 0, 1, 0, 0, 0, 1)
	xerial = append(binary.BigEndian.AppendUint32(xerial, uint32(len(lying))), lying...)
	// A single-segment zstd frame that claims 64 MiB and holds one raw block of nothing.
	zs := binary.LittleEndian.AppendUint32([]byte{0x28, 0xb5, 0x2f, 0xfd, 0xa0}, 64<<20)
	zs = append(zs, 1, 0, 0)
	for _, tc := range []struct {
		name  string
		codec Codec
		p     []byte
	}{
		{"snappy", Snappy, lying},
		{"xerial", Snappy, xerial},
		{"xerial block longer than the rest", Snappy, append(append([]byte(nil), xerial[:16]...), 0x7f, 0xff, 0xff, 0xff, 1)},
		{"xerial header cut", Snappy, xerial[:12]},
		{"zstd", Zstd, zs},
		{"zstd in a second frame", Zstd, append(compressed(t, Zstd, []byte("first")), zs...)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := zstdReader() // made once, at leisure
			require.NoError(t, err)
			used := allocated(func() { _, err = decompress(tc.codec, nil, tc.p, 1<<30) })
			require.Error(t, err)
			require.Less(t, used, uint64(4<<20))
		})
	}
}

// A batch of a few KB that decompresses to far more is refused at the limit, having cost about the limit.
func TestBombs(t *testing.T) {
	const limit = 1 << 20
	bomb := make([]byte, 64<<20)
	for _, codec := range bigCodecs {
		packed, err := compress(codec, nil, bomb)
		require.NoError(t, err)
		b := edit(testBatch(t, None, 1), func(b Batch) Batch {
			b = append(b[:HeaderSize], packed...)
			b[22] = byte(codec)
			return b
		})
		used := allocated(func() { _, err = Validate(b, Rules{AllowZstd: true, MaxUncompressed: limit}) })
		require.ErrorIs(t, err, ErrTooLarge, "%v", codec)
		require.Less(t, used, uint64(16<<20)+uint64(len(packed))*8, "%v", codec)
		it := b.IterMax(limit)
		_, ok := it.Next()
		require.False(t, ok)
		require.ErrorIs(t, it.Err(), ErrTooLarge)
		it.Close()
		require.ErrorIs(t, it.Err(), ErrTooLarge)
	}
}

// Records past the pooled buffers' size take the guarded path and are as valid as others.
func TestBulkyBatch(t *testing.T) {
	for _, codec := range bigCodecs {
		var w Builder
		w.Reset(NoProducer(codec))
		for range 10 {
			require.NoError(t, w.Append(Record{Timestamp: 1, Value: make([]byte, 1<<20)}))
		}
		raw, err := w.Build(nil)
		require.NoError(t, err)
		_, err = Validate(raw, anyRules)
		require.NoError(t, err, "%v", codec)
		require.Empty(t, bulky)
		plain, err := Recompress(raw, None, nil)
		require.NoError(t, err)
		require.Equal(t, w.Size(), len(plain))
		require.Empty(t, bulky)
	}
}

// What only some clients can read must not be stored for all.
func TestForeignExtensionsAreRefused(t *testing.T) {
	plain := bytes.Repeat([]byte("0123456789abcdef"), 4096)
	var linked bytes.Buffer
	w := lz4.NewWriter(&linked)
	require.NoError(t, w.Apply(lz4.LegacyOption(true)))
	_, err := w.Write(plain)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	_, err = decompress(LZ4, nil, linked.Bytes(), 1<<20)
	require.ErrorIs(t, err, ErrInvalidRecord)

	// Two frames, as a streaming encoder that was flushed between makes them, are standard.
	enc, err := zstd.NewWriter(nil)
	require.NoError(t, err)
	two := enc.EncodeAll(plain, enc.EncodeAll(plain, nil))
	out, err := decompress(Zstd, nil, two, 1<<20)
	require.NoError(t, err)
	require.Equal(t, 2*len(plain), len(out))

	// Offset 0 in a copy means "repeat" to s2 and nothing to snappy.
	s2only := []byte{8, 0x0c, 'a', 'b', 'c', 'd', 0x0e, 0, 0}
	_, err = decompress(Snappy, nil, s2only, 1<<20)
	require.ErrorIs(t, err, ErrInvalidRecord)
}

// The two forms of snappy on the wire: raw blocks (franz-go, Go clients) and xerial framing (Java, librdkafka).
func TestSnappyForms(t *testing.T) {
	plain := bytes.Repeat([]byte("wadi "), 50_000)
	raw := s2.EncodeSnappy(nil, plain)
	framed := append([]byte(nil), xerialMagic...)
	framed = append(framed, 0, 0, 0, 1, 0, 0, 0, 1)
	for rest := plain; len(rest) > 0; {
		n := min(len(rest), 1000)
		block := s2.EncodeSnappy(nil, rest[:n])
		framed = binary.BigEndian.AppendUint32(framed, uint32(len(block)))
		framed = append(framed, block...)
		rest = rest[n:]
	}
	for _, p := range [][]byte{raw, framed} {
		out, err := decompress(Snappy, nil, p, len(plain))
		require.NoError(t, err)
		require.True(t, bytes.Equal(plain, out))
	}
}

func compressed(t testing.TB, codec Codec, plain []byte) []byte {
	t.Helper()
	p, err := compress(codec, nil, plain)
	require.NoError(t, err)
	return p
}

// An LZ4 payload is one frame with independent blocks, complete, and nothing behind it.
func TestLZ4Frames(t *testing.T) {
	frame := compressed(t, LZ4, bytes.Repeat([]byte("0123456789abcdef"), 20_000))
	most, ok := lz4Size(frame)
	require.True(t, ok)
	require.Equal(t, int64(5*64<<10), most)
	for name, bad := range map[string][]byte{
		"two frames":      append(bytes.Clone(frame), frame...),
		"trailing byte":   append(bytes.Clone(frame), 0),
		"no end mark":     frame[:len(frame)-4],
		"cut in a block":  frame[:len(frame)/2],
		"linked blocks":   append([]byte{frame[0], frame[1], frame[2], frame[3], frame[4] &^ lz4Independent}, frame[5:]...),
		"dictionary":      append([]byte{frame[0], frame[1], frame[2], frame[3], frame[4] | lz4Dictionary}, frame[5:]...),
		"header checksum": append([]byte{frame[0], frame[1], frame[2], frame[3], frame[4], frame[5], frame[6] ^ 1}, frame[7:]...),
	} {
		_, err := decompress(LZ4, nil, bad, 1<<20)
		require.ErrorIs(t, err, ErrInvalidRecord, name)
	}
	// All options that clients set: block and content checksums, the content size.
	plain := bytes.Repeat([]byte("wadi "), 30_000)
	var buf bytes.Buffer
	w := lz4.NewWriter(&buf)
	require.NoError(t, w.Apply(lz4.BlockChecksumOption(true), lz4.ChecksumOption(true), lz4.SizeOption(uint64(len(plain))),
		lz4.BlockSizeOption(lz4.Block256Kb)))
	_, err := w.Write(plain)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	out, err := decompress(LZ4, nil, buf.Bytes(), len(plain))
	require.NoError(t, err)
	require.True(t, bytes.Equal(plain, out))
}
