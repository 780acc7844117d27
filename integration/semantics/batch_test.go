package semantics

import (
	"encoding/binary"
	"hash/crc32"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/integration/rawbatch"
	"wadi/internal/batch"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// headerSize is the length of a batch without its records.
const headerSize = 61

// batchOf builds a batch without internal/batch, so that it can be wrong in every way: edit (or nil) changes the header
// before length and CRC are computed.
func batchOf(edit func(*kmsg.RecordBatch), records ...kmsg.Record) []byte {
	return rawbatch.Of(time.Now().UnixMilli(), edit, records...)
}

// plain is a batch of an ordinary producer.
func plain(list ...string) []byte { return batchOf(nil, rawbatch.Values(list...)...) }

// idempotent is a batch of an idempotent producer.
func idempotent(pid int64, epoch int16, seq int32, list ...string) []byte {
	return batchOf(func(b *kmsg.RecordBatch) {
		b.ProducerID, b.ProducerEpoch, b.FirstSequence = pid, epoch, seq
	}, rawbatch.Values(list...)...)
}

// compressed is a batch of the values in a codec.
func compressed(t *testing.T, codec batch.Codec, list ...string) []byte {
	t.Helper()
	var w batch.Builder
	w.Reset(batch.NoProducer(codec))
	for _, v := range list {
		require.NoError(t, w.Append(batch.Record{Timestamp: time.Now().UnixMilli(), Key: []byte("k"), Value: []byte(v)}))
	}
	b, err := w.Build(nil)
	require.NoError(t, err)
	return b
}

// clone copies a batch, for one that must not share its bytes.
func clone(b []byte) []byte { return append([]byte(nil), b...) }

// held is a record as a reader finds it.
type held struct {
	Offset int64
	Value  string
}

// batches takes fetched bytes apart. Every batch must be whole, with a right CRC and leader epoch 0.
func batches(t *testing.T, b []byte) []kmsg.RecordBatch {
	t.Helper()
	var list []kmsg.RecordBatch
	for len(b) > 0 {
		require.GreaterOrEqual(t, len(b), headerSize, "half a batch")
		size := 12 + int(binary.BigEndian.Uint32(b[8:]))
		require.LessOrEqual(t, size, len(b), "half a batch")
		require.Equal(t, binary.BigEndian.Uint32(b[17:]), crc32.Checksum(b[21:size], castagnoli), "CRC")
		var rb kmsg.RecordBatch
		require.NoError(t, rb.ReadFrom(b[:size]))
		require.Zero(t, rb.PartitionLeaderEpoch)
		list = append(list, rb)
		b = b[size:]
	}
	return list
}

// records are all records of fetched bytes, compressed or not.
func records(t *testing.T, b []byte) []held {
	t.Helper()
	batches(t, b)
	var list []held
	for len(b) > 0 {
		one, rest, err := batch.Split(b)
		require.NoError(t, err)
		it := one.Iter()
		for r, ok := it.Next(); ok; r, ok = it.Next() {
			list = append(list, held{r.Offset, string(r.Value)})
		}
		require.NoError(t, it.Err())
		it.Close()
		b = rest
	}
	return list
}

// everything reads partition 0 from its start to its end.
func everything(c *client, from topic) []held {
	c.t.Helper()
	var list []held
	for offset := int64(0); ; {
		p := fetch(c, from, offset)
		require.Zero(c.t, p.ErrorCode, "fetch %s at %d", from.name, offset)
		got := records(c.t, p.RecordBatches)
		if len(got) == 0 {
			require.Equal(c.t, p.HighWatermark, offset)
			return list
		}
		require.Equal(c.t, offset, got[0].Offset, "gap in %s", from.name)
		list = append(list, got...)
		offset = got[len(got)-1].Offset + 1
	}
}
