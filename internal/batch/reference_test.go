package batch

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"
)

// franz-go's encoder, decoder and compressors are the independent implementation that this package is held against.

type refRecord struct {
	Timestamp  int64
	Key, Value []byte
	Headers    []Header
}

func compressorOf(t require.TestingT, c Codec) kgo.Compressor {
	codec := []kgo.CompressionCodec{kgo.NoCompression(), kgo.GzipCompression(), kgo.SnappyCompression(),
		kgo.Lz4Compression(), kgo.ZstdCompression()}[c]
	comp, err := kgo.DefaultCompressor(codec)
	require.NoError(t, err)
	return comp
}

// refBuild makes a batch with franz-go's pieces only.
func refBuild(t require.TestingT, codec Codec, records []refRecord) []byte {
	kb := kmsg.NewRecordBatch()
	kb.PartitionLeaderEpoch, kb.Magic, kb.Attributes = -1, 2, int16(codec)
	kb.ProducerID, kb.ProducerEpoch, kb.FirstSequence = -1, -1, -1
	kb.NumRecords, kb.LastOffsetDelta = int32(len(records)), int32(len(records)-1)
	kb.FirstTimestamp, kb.MaxTimestamp = records[0].Timestamp, records[0].Timestamp
	for i, r := range records {
		kb.MaxTimestamp = max(kb.MaxTimestamp, r.Timestamp)
		kr := kmsg.NewRecord()
		kr.OffsetDelta, kr.TimestampDelta64 = int32(i), r.Timestamp-kb.FirstTimestamp
		kr.Key, kr.Value = r.Key, r.Value
		for _, h := range r.Headers {
			kr.Headers = append(kr.Headers, kmsg.Header{Key: string(h.Key), Value: h.Value})
		}
		// The length precedes what it counts: encode with 0 (one byte), measure, encode again.
		kr.Length = int32(len(kr.AppendTo(nil)) - 1)
		kb.Records = kr.AppendTo(kb.Records)
	}
	if comp := compressorOf(t, codec); comp != nil {
		kb.Records, _ = comp.Compress(new(bytes.Buffer), kb.Records)
		kb.Records = bytes.Clone(kb.Records)
	}
	out := kb.AppendTo(nil)
	binary.BigEndian.PutUint32(out[8:], uint32(len(out)-12))
	binary.BigEndian.PutUint32(out[17:], crc32.Checksum(out[21:], crc32.MakeTable(crc32.Castagnoli)))
	return out
}

// refRead decodes batches as a franz-go consumer does, CRC check included.
func refRead(t require.TestingT, raw []byte, offset int64) []*kgo.Record {
	rp := kmsg.NewFetchResponseTopicPartition()
	rp.RecordBatches = raw
	fp, _ := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{Offset: offset, Topic: "t"}, &rp, kgo.DefaultDecompressor(), nil)
	require.NoError(t, fp.Err)
	return fp.Records
}

func drawRecords(t *rapid.T) []refRecord {
	nullable := rapid.OneOf(rapid.Just([]byte(nil)), rapid.SliceOfN(rapid.Byte(), 0, 200), rapid.Custom(func(t *rapid.T) []byte {
		return bytes.Repeat([]byte("wadi "), rapid.IntRange(1, 400).Draw(t, "repeat"))
	}))
	record := rapid.Custom(func(t *rapid.T) refRecord {
		r := refRecord{
			Timestamp: rapid.Int64Range(0, 1<<42).Draw(t, "ts"),
			Key:       nullable.Draw(t, "key"),
			Value:     nullable.Draw(t, "value"),
		}
		for range rapid.IntRange(0, 3).Draw(t, "headers") {
			r.Headers = append(r.Headers, Header{
				Key:   rapid.SliceOfN(rapid.ByteRange('a', 'z'), 0, 10).Draw(t, "hkey"),
				Value: nullable.Draw(t, "hvalue"),
			})
		}
		return r
	})
	return rapid.SliceOfN(record, 1, 40).Draw(t, "records")
}

func iterate(t require.TestingT, b Batch) (records []refRecord, offsets []int64) {
	it := b.Iter()
	defer it.Close()
	for r, ok := it.Next(); ok; r, ok = it.Next() {
		rr := refRecord{Timestamp: r.Timestamp, Key: bytes.Clone(r.Key), Value: bytes.Clone(r.Value)}
		for h := range r.Headers.All() {
			rr.Headers = append(rr.Headers, Header{Key: bytes.Clone(h.Key), Value: bytes.Clone(h.Value)})
		}
		require.Len(t, rr.Headers, r.Headers.Len())
		records = append(records, rr)
		offsets = append(offsets, r.Offset)
	}
	require.NoError(t, it.Err())
	return records, offsets
}

func TestReadsWhatFranzGoWrites(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		codec := rapid.SampledFrom(codecs).Draw(t, "codec")
		records := drawRecords(t)
		raw := refBuild(t, codec, records)
		before := bytes.Clone(raw)
		b, err := Validate(raw, anyRules)
		require.NoError(t, err)
		require.Equal(t, before, raw, "a right batch is left as it is")
		b.SetBaseOffset(500)
		got, offsets := iterate(t, b)
		require.Equal(t, records, got)
		for i, o := range offsets {
			require.Equal(t, int64(500+i), o)
		}
	})
}

func TestFranzGoReadsWhatBuilderWrites(t *testing.T) {
	var w Builder
	rapid.Check(t, func(t *rapid.T) {
		opts := NoProducer(rapid.SampledFrom(codecs).Draw(t, "codec"))
		opts.BaseOffset = rapid.Int64Range(0, 1<<40).Draw(t, "base")
		if rapid.Bool().Draw(t, "idempotent") {
			opts.ProducerID, opts.ProducerEpoch, opts.BaseSequence = 7, 3, 99
		}
		records := drawRecords(t)
		w.Reset(opts)
		for _, r := range records {
			require.NoError(t, w.Append(Record{Timestamp: r.Timestamp, Key: r.Key, Value: r.Value, Headers: NewHeaders(r.Headers...)}))
		}
		require.Equal(t, len(records), w.NumRecords())
		raw, err := w.Build([]byte("prefix"))
		require.NoError(t, err)
		require.Equal(t, "prefix", string(raw[:6]))
		got := refRead(t, raw[6:], opts.BaseOffset)
		require.Len(t, got, len(records))
		for i, r := range got {
			require.Equal(t, opts.BaseOffset+int64(i), r.Offset)
			require.Equal(t, time.UnixMilli(records[i].Timestamp), r.Timestamp)
			require.Equal(t, records[i].Key, r.Key)
			require.Equal(t, records[i].Value, r.Value)
			require.Equal(t, opts.ProducerID, r.ProducerID)
			require.Len(t, r.Headers, len(records[i].Headers))
			for j, h := range r.Headers {
				require.Equal(t, string(records[i].Headers[j].Key), h.Key)
				require.Equal(t, records[i].Headers[j].Value, h.Value)
			}
		}
	})
}

func TestRecompressKeepsEverythingElse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		from := rapid.SampledFrom(codecs).Draw(t, "from")
		to := rapid.SampledFrom(codecs).Draw(t, "to")
		records := drawRecords(t)
		b := Batch(refBuild(t, from, records))
		raw, err := Recompress(b, to, nil)
		require.NoError(t, err)
		out, err := Validate(raw, anyRules)
		require.NoError(t, err)
		require.Equal(t, to, out.Codec())
		got, _ := iterate(t, out)
		require.Equal(t, records, got)
		// From last offset delta to record count, and what precedes the length.
		require.Equal(t, []byte(b[23:HeaderSize]), []byte(out[23:HeaderSize]))
		require.Equal(t, []byte(b[:8]), []byte(out[:8]))
		require.Equal(t, []byte(b[12:17]), []byte(out[12:17]))
	})
}
