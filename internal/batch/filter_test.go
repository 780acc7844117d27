package batch

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// What Filter leaves is what the plainest filter leaves: the same records at the same offsets and times, in a batch that
// is valid as a stored one and covers what it covered.
func TestFilterAgainstNaive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		codec := rapid.SampledFrom(codecs).Draw(t, "codec")
		stamped := rapid.Bool().Draw(t, "append time")
		var w Builder
		w.Reset(BuildOptions{BaseOffset: 100, Codec: codec, ProducerID: 7, ProducerEpoch: 1, BaseSequence: 40, Transactional: rapid.Bool().Draw(t, "txn")})
		n := rapid.IntRange(1, 20).Draw(t, "records")
		at := int64(100)
		for range n {
			at += rapid.Int64Range(0, 3).Draw(t, "gap")
			r := Record{Offset: at, Timestamp: rapid.Int64Range(1, 1<<45).Draw(t, "time"), Key: []byte("k")}
			if rapid.Bool().Draw(t, "value") {
				r.Value = rapid.SliceOfN(rapid.Byte(), 0, 50).Draw(t, "bytes")
			}
			if rapid.Bool().Draw(t, "header") {
				r.Headers = NewHeaders(Header{Key: []byte("h"), Value: []byte("v")})
			}
			require.NoError(t, w.AppendAt(r))
			at++
		}
		data, err := w.Build(nil)
		require.NoError(t, err)
		b := Batch(data)
		if stamped {
			b.SetLogAppendTime(1 << 44)
		}
		type plain struct {
			offset, time int64
			text         string
		}
		read := func(b Batch) (list []plain) {
			it := b.Iter()
			defer it.Close()
			for r, ok := it.Next(); ok; r, ok = it.Next() {
				list = append(list, plain{r.Offset, r.Timestamp, fmt.Sprintf("%x %v %x %d", r.Key, r.Value == nil, r.Value, r.Headers.Len())})
			}
			require.NoError(t, it.Err())
			return list
		}
		horizon := rapid.SampledFrom([]int64{0, 1, 1 << 41}).Draw(t, "horizon")
		for range 3 { // what was filtered once is filtered again
			before := read(b)
			kept := make([]bool, len(before))
			var want []plain
			tombs, newest := 0, int64(-1)
			for i := range before {
				if kept[i] = rapid.IntRange(0, 3).Draw(t, "keep") > 0; kept[i] {
					want = append(want, before[i])
					newest = max(newest, before[i].time)
				}
			}
			_, had := b.DeleteHorizon()
			out, left, err := Filter(b, horizon, func(i int32, r *Record) bool {
				require.Equal(t, before[i].offset, r.Offset)
				require.Equal(t, before[i].time, r.Timestamp)
				if kept[i] && r.Value == nil {
					tombs++
				}
				return kept[i]
			}, []byte("before"))
			require.NoError(t, err)
			require.Equal(t, "before", string(out[:6]))
			require.EqualValues(t, len(want), left.Records)
			require.EqualValues(t, tombs, left.Tombstones)
			if len(want) == 0 {
				require.Len(t, out, 6)
				return
			}
			c, err := Validate(out[6:], Rules{AllowZstd: true, Stored: true})
			require.NoError(t, err)
			require.Equal(t, want, read(c))
			require.Equal(t, [...]int64{b.BaseOffset(), b.LastOffset(), b.ProducerID(), int64(b.ProducerEpoch()), int64(b.BaseSequence())},
				[...]int64{c.BaseOffset(), c.LastOffset(), c.ProducerID(), int64(c.ProducerEpoch()), int64(c.BaseSequence())})
			require.Equal(t, b.Codec(), c.Codec())
			require.Equal(t, b.Transactional(), c.Transactional())
			if b.LogAppendTime() {
				newest = b.MaxTimestamp()
			}
			require.Equal(t, newest, c.MaxTimestamp())
			ms, has := c.DeleteHorizon()
			require.Equal(t, had || horizon > 0 && tombs > 0, has)
			if has && !had {
				require.Equal(t, horizon, ms)
			}
			if changed := len(want) < len(before) || has != had; changed != left.Changed {
				t.Fatalf("changed %v, said %v", changed, left.Changed)
			} else if !changed {
				require.Equal(t, []byte(b), []byte(c))
			}
			b = c
		}
	})
}

// A batch whose records are not what its header says is refused, and nothing of it is left behind.
func TestFilterRefusesWhatIsMalformed(t *testing.T) {
	all := func(int32, *Record) bool { return true }
	b := testBatch(t, None, 3)
	more := append(Batch(nil), b...)
	more[60]++ // a record more than there are
	fewer := append(Batch(nil), b...)
	fewer[60]--
	squeezed := append(testBatch(t, Gzip, 3)[:HeaderSize:HeaderSize], "not gzip"...)
	for _, bad := range []Batch{more, fewer, squeezed} {
		out, left, err := Filter(bad, 1, all, []byte("x"))
		require.ErrorIs(t, err, ErrInvalidRecord)
		require.Equal(t, "x", string(out))
		require.Zero(t, left)
	}
}
