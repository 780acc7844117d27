package differential

import (
	"encoding/binary"
	"hash/crc32"

	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/internal/batch"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// batchOf builds a batch that may be wrong in every way: edit (or nil) changes the header before length and CRC are
// computed. Records get the chosen timestamp.
func batchOf(edit func(*kmsg.RecordBatch), records ...kmsg.Record) []byte {
	b := kmsg.RecordBatch{
		Magic: 2, PartitionLeaderEpoch: -1, ProducerID: -1, ProducerEpoch: -1, FirstSequence: -1,
		NumRecords: int32(len(records)), LastOffsetDelta: int32(len(records)) - 1, FirstTimestamp: chosen,
	}
	b.MaxTimestamp = chosen
	for _, r := range records {
		b.MaxTimestamp = max(b.MaxTimestamp, chosen+r.TimestampDelta64)
		b.Records = append(b.Records, encoded(r)...)
	}
	if edit != nil {
		edit(&b)
	}
	return sealed(b.AppendTo(nil))
}

func encoded(r kmsg.Record) []byte {
	r.Length = 0
	body := r.AppendTo(nil)[1:]
	return append(binary.AppendVarint(nil, int64(len(body))), body...)
}

// sealed puts the right length and CRC into a batch.
func sealed(b []byte) []byte {
	binary.BigEndian.PutUint32(b[8:], uint32(len(b)-12))
	binary.BigEndian.PutUint32(b[17:], crc32.Checksum(b[21:], castagnoli))
	return b
}

// values are keyed records with the offset deltas that belong to them.
func values(list ...string) []kmsg.Record {
	var records []kmsg.Record
	for i, v := range list {
		records = append(records, kmsg.Record{OffsetDelta: int32(i), Key: []byte("k"), Value: []byte(v)})
	}
	return records
}

// plain is a batch of an ordinary producer.
func plain(list ...string) []byte { return batchOf(nil, values(list...)...) }

// at is a batch of one record with a timestamp, as a distance from the chosen one.
func at(distance int64, value string) []byte {
	return batchOf(func(b *kmsg.RecordBatch) {
		b.FirstTimestamp, b.MaxTimestamp = chosen+distance, chosen+distance
	}, values(value)...)
}

// idempotent is a batch of an idempotent producer.
func idempotent(pid int64, epoch int16, seq int32, list ...string) []byte {
	return batchOf(func(b *kmsg.RecordBatch) {
		b.ProducerID, b.ProducerEpoch, b.FirstSequence = pid, epoch, seq
	}, values(list...)...)
}

// patched is a copy of a batch with bytes replaced and nothing else put right.
func patched(b []byte, at int, to ...byte) []byte {
	b = append([]byte(nil), b...)
	copy(b[at:], to)
	return b
}

// compressed is a batch of the values in a codec.
func compressed(s *Script, codec batch.Codec, list ...string) []byte {
	var w batch.Builder
	w.Reset(batch.NoProducer(codec))
	for _, v := range list {
		if err := w.Append(batch.Record{Timestamp: chosen, Key: []byte("k"), Value: []byte(v)}); err != nil {
			s.fail("build a batch: %w", err)
		}
	}
	b, err := w.Build(nil)
	if err != nil {
		s.fail("build a batch: %w", err)
	}
	return b
}

func together(batches ...[]byte) []byte {
	var all []byte
	for _, b := range batches {
		all = append(all, b...)
	}
	return all
}
