package batch

import "encoding/binary"

// MarkerBytes is the size of the control batch that a Marker makes.
const MarkerBytes = HeaderSize + markerRecord

// markerRecord is the size of a marker's one record: length, attributes, two deltas, a key of 4 bytes with its length, a
// value of 6 with its length, no headers.
const markerRecord = 1 + 1 + 1 + 1 + 1 + 4 + 1 + 6 + 1

// Marker is what ends a producer's transaction on a partition (KIP-98).
type Marker struct {
	Base       int64 // its one offset
	ProducerID int64
	Epoch      int16 // the producer's, behind the transaction
	Ms         int64 // when, Unix milliseconds
	Commit     bool
	AppendTime bool // the topic's batches carry the time of their appending (LogAppendTime)
}

// AppendTo appends the control batch to dst: one record, whose key is {version 0, 0 for abort or 1 for commit} and whose
// value is {version 0, coordinator epoch 0}. It always takes MarkerBytes, and is what Apache Kafka writes, byte for byte,
// where its coordinator has epoch 0.
func (m Marker) AppendTo(dst []byte) []byte {
	at := len(dst)
	dst = append(dst, marker[:]...)
	b := Batch(dst[at:])
	b.SetBaseOffset(m.Base)
	if m.AppendTime {
		b[22] |= attrLogAppendTime
	}
	binary.BigEndian.PutUint64(b[27:], uint64(m.Ms))
	binary.BigEndian.PutUint64(b[35:], uint64(m.Ms))
	binary.BigEndian.PutUint64(b[43:], uint64(m.ProducerID))
	binary.BigEndian.PutUint16(b[51:], uint16(m.Epoch))
	if m.Commit {
		b[markerType] = 1
	}
	b.updateCRC()
	return dst
}

// markerType is the last byte of the record's key.
const markerType = HeaderSize + 8

// marker is one that aborts, with everything that is the same in all of them.
var marker = [MarkerBytes]byte{
	8: 0, 0, 0, MarkerBytes - lengthBase,
	16: 2, // magic
	22: attrTransactional | attrControl,
	53: 0xff, 0xff, 0xff, 0xff, // no sequence
	57: 0, 0, 0, 1, // records
	HeaderSize: (markerRecord - 1) << 1, 0, 0, 0, // length, attributes, deltas of timestamp and offset
	4 << 1, 0, 0, 0, 0, // key
	6 << 1, 0, 0, 0, 0, 0, 0, // value
	0, // headers
}
