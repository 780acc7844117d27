package batch

import (
	"bytes"
	"testing"

	"github.com/klauspost/compress/snappy"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// fuzzLimit bounds what one input may decompress to, and fuzzAlloc what it may allocate beyond that.
const (
	fuzzLimit = 1 << 20
	fuzzAlloc = 24 << 20
)

func seeds(f *testing.F) {
	for _, codec := range codecs {
		b := testBatch(f, codec, 20)
		f.Add([]byte(b))
		f.Add([]byte(b[:len(b)/2]))
		f.Add([]byte(edit(b, func(b Batch) Batch { b[len(b)-3] ^= 0x55; return b })))
	}
}

// resealed makes length, magic and CRC of data right, so that fuzzing gets behind them.
func resealed(data []byte) Batch {
	if len(data) < HeaderSize {
		return nil
	}
	return edit(data, func(b Batch) Batch { b[16] = 2; return b })
}

// FuzzValidate: no panic, no big allocation, and what is valid iterates exactly NumRecords records.
func FuzzValidate(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, buf := range [][]byte{data, resealed(data)} {
			for _, rules := range []Rules{
				{AllowZstd: true, MaxUncompressed: fuzzLimit},
				{AllowZstd: true, MaxUncompressed: fuzzLimit, Stored: true, AllowControl: true},
			} {
				var b Batch
				var err error
				if used := allocated(func() { b, err = Validate(buf, rules) }); used > fuzzAlloc {
					t.Fatalf("%d bytes allocated for %d", used, len(buf))
				}
				if err != nil {
					continue
				}
				it := b.IterMax(fuzzLimit)
				n := int32(0)
				for r, ok := it.Next(); ok; r, ok = it.Next() {
					require.LessOrEqual(t, r.Offset, b.LastOffset())
					n++
				}
				require.NoError(t, it.Err())
				require.Equal(t, b.NumRecords(), n)
				it.Close()
			}
		}
	})
}

// FuzzIterate: bytes that nobody validated do not make iteration panic, allocate or run on.
func FuzzIterate(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, buf := range [][]byte{data, resealed(data)} {
			b, _, err := Split(buf)
			if err != nil {
				continue
			}
			used := allocated(func() {
				it := b.IterMax(fuzzLimit)
				defer it.Close()
				n := int32(0)
				for r, ok := it.Next(); ok; r, ok = it.Next() {
					n++
					hs := 0
					for range r.Headers.All() {
						hs++
					}
					require.Equal(t, r.Headers.Len(), hs)
				}
				if it.Err() == nil {
					require.Equal(t, max(b.NumRecords(), 0), n)
				}
			})
			if used > fuzzAlloc {
				t.Fatalf("%d bytes allocated for %d", used, len(buf))
			}
		}
	})
}

// FuzzRecord holds the parser against its naive twin.
func FuzzRecord(f *testing.F) {
	f.Add([]byte(testBatch(f, None, 4).Payload()))
	f.Fuzz(func(t *testing.T, data []byte) { compareParsers(t, data) })
}

// FuzzSnappy: the size counted ahead plus the fast decoder take exactly what the strict decoder takes.
func FuzzSnappy(f *testing.F) {
	f.Add(snappy.Encode(nil, bytes.Repeat([]byte("wadi, wadi. "), 30)))
	f.Add([]byte{8, 0x0c, 'a', 'b', 'c', 'd', 0x0e, 0, 0})
	f.Fuzz(func(t *testing.T, data []byte) { compareSnappy(t, data) })
}

func compareSnappy(t require.TestingT, data []byte) {
	if n, err := snappy.DecodedLen(data); err == nil && n > fuzzLimit {
		return
	}
	want, wantErr := snappy.DecodeStrict(nil, data)
	got, err := unsnappyBlock(nil, data, fuzzLimit)
	require.Equal(t, wantErr == nil, err == nil, "%v, strict: %v", err, wantErr)
	if err == nil {
		require.True(t, bytes.Equal(want, got))
	}
}

func TestSnappyAgainstStrictTwin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		plain := rapid.SliceOfN(rapid.ByteRange('a', 'd'), 0, 300).Draw(t, "plain")
		p := snappy.Encode(nil, plain)
		for range rapid.IntRange(0, 2).Draw(t, "edits") {
			p[rapid.IntRange(0, len(p)-1).Draw(t, "at")] = rapid.Byte().Draw(t, "byte")
		}
		compareSnappy(t, p)
	})
}
