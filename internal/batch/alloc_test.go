package batch

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// The data path works per batch: looking at an uncompressed batch allocates nothing at all.
func TestNoAllocations(t *testing.T) {
	b := testBatch(t, None, 1000)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if _, _, err := Split(b); err != nil {
			t.Fatal(err)
		}
	}))
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if _, err := Validate(b, Rules{MaxBytes: 1 << 20, MinTimestamp: 1, MaxTimestamp: 1 << 60}); err != nil {
			t.Fatal(err)
		}
	}))
	require.Zero(t, testing.AllocsPerRun(100, func() {
		it := b.Iter()
		n := 0
		for r, ok := it.Next(); ok; r, ok = it.Next() {
			n += len(r.Value)
		}
		it.Close()
		if it.Err() != nil || n == 0 {
			t.Fatal(n, it.Err())
		}
	}))
}

// Compressed batches use pooled decoders and buffers: what is left does not grow with the records. (Pools may lose
// their content to a collection, so the bound is an average and not zero.)
func TestCompressedAllocationsArePerBatch(t *testing.T) {
	for _, codec := range bigCodecs {
		b := testBatch(t, codec, 1000)
		allocs := testing.AllocsPerRun(200, func() {
			if _, err := Validate(b, anyRules); err != nil {
				t.Fatal(err)
			}
		})
		require.Less(t, allocs, 20.0, "%v", codec)
	}
}

func BenchmarkValidate(b *testing.B) {
	for _, codec := range codecs {
		for _, n := range []int{1, 100, 1000} {
			batch := testBatch(b, codec, n)
			b.Run(fmt.Sprintf("%v/records=%d", codec, n), func(b *testing.B) {
				b.SetBytes(int64(len(batch)))
				b.ReportAllocs()
				for b.Loop() {
					if _, err := Validate(batch, anyRules); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func BenchmarkBuild(b *testing.B) {
	var w Builder
	var out []byte
	r := Record{Timestamp: 1, Key: make([]byte, 16), Value: make([]byte, 100)}
	for _, codec := range codecs {
		b.Run(codec.String(), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				w.Reset(NoProducer(codec))
				for range 100 {
					if err := w.Append(r); err != nil {
						b.Fatal(err)
					}
				}
				var err error
				if out, err = w.Build(out[:0]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
