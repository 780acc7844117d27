package batch

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

var codecs = []Codec{None, Gzip, Snappy, LZ4, Zstd}

var anyRules = Rules{AllowZstd: true}

// testBatch builds n records with keys, values, headers and a null of each now and then.
func testBatch(t testing.TB, codec Codec, n int) Batch {
	t.Helper()
	var w Builder
	w.Reset(NoProducer(codec))
	for i := range n {
		r := Record{Timestamp: 1_700_000_000_000 + int64(i%7), Key: fmt.Appendf(nil, "key-%d", i), Value: bytes.Repeat([]byte{byte(i)}, i%300)}
		switch i % 5 {
		case 1:
			r.Key = nil
		case 2:
			r.Value = nil
		case 3:
			r.Headers = NewHeaders(Header{Key: []byte("h"), Value: []byte("v")}, Header{Key: []byte{}, Value: nil})
		}
		require.NoError(t, w.Append(r))
	}
	out, err := w.Build(nil)
	require.NoError(t, err)
	return out
}

func TestBuildAndIterate(t *testing.T) {
	for _, codec := range codecs {
		t.Run(codec.String(), func(t *testing.T) {
			b, err := Validate(testBatch(t, codec, 500), anyRules)
			require.NoError(t, err)
			require.Equal(t, codec, b.Codec())
			b.SetBaseOffset(1000)
			it := b.Iter()
			defer it.Close()
			i := 0
			for r, ok := it.Next(); ok; r, ok = it.Next() {
				require.Equal(t, int64(1000+i), r.Offset)
				require.Equal(t, 1_700_000_000_000+int64(i%7), r.Timestamp)
				require.Equal(t, i%5 == 1, r.Key == nil)
				require.Equal(t, i%5 == 2, r.Value == nil)
				if i%5 != 2 {
					require.Equal(t, bytes.Repeat([]byte{byte(i)}, i%300), append([]byte{}, r.Value...))
				}
				if i%5 == 3 {
					var hs []Header
					for h := range r.Headers.All() {
						hs = append(hs, h)
					}
					require.Equal(t, []Header{{Key: []byte("h"), Value: []byte("v")}, {Key: []byte{}}}, hs)
				}
				i++
			}
			require.NoError(t, it.Err())
			require.Equal(t, 500, i)
		})
	}
}
