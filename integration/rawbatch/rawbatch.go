// Package rawbatch builds record batches for tests without internal/batch, so that they can be wrong in every way.
package rawbatch

import (
	"encoding/binary"
	"hash/crc32"

	"github.com/twmb/franz-go/pkg/kmsg"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Of is a batch whose first timestamp is ms. edit (or nil) changes the header before length and CRC are computed.
func Of(ms int64, edit func(*kmsg.RecordBatch), records ...kmsg.Record) []byte {
	b := kmsg.RecordBatch{
		Magic: 2, PartitionLeaderEpoch: -1, ProducerID: -1, ProducerEpoch: -1, FirstSequence: -1,
		NumRecords: int32(len(records)), LastOffsetDelta: int32(len(records)) - 1, FirstTimestamp: ms, MaxTimestamp: ms,
	}
	for _, r := range records {
		b.MaxTimestamp = max(b.MaxTimestamp, ms+r.TimestampDelta64)
		b.Records = append(b.Records, Encoded(r)...)
	}
	if edit != nil {
		edit(&b)
	}
	return Sealed(b.AppendTo(nil))
}

// Encoded is a record with the length that it has.
func Encoded(r kmsg.Record) []byte {
	r.Length = 0
	body := r.AppendTo(nil)[1:]
	return append(binary.AppendVarint(nil, int64(len(body))), body...)
}

// Sealed puts the right length and CRC into a batch.
func Sealed(b []byte) []byte {
	binary.BigEndian.PutUint32(b[8:], uint32(len(b)-12))
	binary.BigEndian.PutUint32(b[17:], crc32.Checksum(b[21:], castagnoli))
	return b
}

// Values are keyed records with the offset deltas that belong to them.
func Values(list ...string) []kmsg.Record {
	var records []kmsg.Record
	for i, v := range list {
		records = append(records, kmsg.Record{OffsetDelta: int32(i), Key: []byte("k"), Value: []byte(v)})
	}
	return records
}
