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

func TestBuilderFields(t *testing.T) {
	var w Builder
	w.Reset(BuildOptions{BaseOffset: 70, Codec: LZ4, ProducerID: 5, ProducerEpoch: 6, BaseSequence: 7, Transactional: true,
		BaseTimestamp: 1000, LogAppendTime: true})
	require.Equal(t, HeaderSize, w.Size())
	_, err := w.Build(nil)
	require.ErrorIs(t, err, ErrInvalidRecord, "no records")
	require.NoError(t, w.AppendAt(Record{Offset: 72, Timestamp: 1500}))
	require.ErrorIs(t, w.AppendAt(Record{Offset: 72}), ErrInvalidRecord)
	require.ErrorIs(t, w.AppendAt(Record{Offset: 69}), ErrInvalidRecord)
	require.ErrorIs(t, w.AppendAt(Record{Offset: 70 + 1<<31}), ErrInvalidRecord)
	require.NoError(t, w.Append(Record{Timestamp: 1500, Value: []byte("v")}))
	out, err := w.Build([]byte("kept"))
	require.NoError(t, err)
	b := Batch(out[4:])
	require.Equal(t, "kept", string(out[:4]))
	require.Equal(t, []any{int64(70), int32(0), int8(2), LZ4, true, true, false, int32(3), int64(1000), int64(1500),
		int64(5), int16(6), int32(7), int32(2), int64(73), len(out) - 4},
		[]any{b.BaseOffset(), b.PartitionLeaderEpoch(), b.Magic(), b.Codec(), b.LogAppendTime(), b.Transactional(), b.Control(),
			b.LastOffsetDelta(), b.BaseTimestamp(), b.MaxTimestamp(), b.ProducerID(), b.ProducerEpoch(), b.BaseSequence(),
			b.NumRecords(), b.LastOffset(), b.Size()})
	_, err = Validate(b, Rules{Stored: true})
	require.NoError(t, err)
}

func TestCodecNames(t *testing.T) {
	for _, c := range codecs {
		got, err := ParseCodec(c.String())
		require.NoError(t, err)
		require.Equal(t, c, got)
	}
	_, err := ParseCodec("lzo")
	require.ErrorIs(t, err, ErrUnsupportedCodec)
	_, err = Recompress(testBatch(t, None, 1), Codec(6), nil)
	require.ErrorIs(t, err, ErrUnsupportedCodec)
}
