package batch

import (
	"encoding/binary"
	"hash/crc32"
)

// HeaderSize is the length of a batch without its records, in bytes.
const HeaderSize = 61

// lengthBase is how many bytes precede what the length field counts.
const lengthBase = 12

// crcStart is the first byte under the CRC.
const crcStart = 21

// Attribute bits.
const (
	attrCodec         = 0x07
	attrLogAppendTime = 0x08
	attrTransactional = 0x10
	attrControl       = 0x20
	attrDeleteHorizon = 0x40
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Batch is exactly one whole batch. It aliases the bytes it was made from; its setters write to them.
type Batch []byte

// PeekSize reads the size in bytes of the batch that starts buf, of which 17 bytes must be there (else ErrShort). It
// checks that the length can be a batch's and that the magic is 2.
func PeekSize(buf []byte) (int, error) {
	if len(buf) < 17 {
		return 0, ErrShort
	}
	length := int64(int32(binary.BigEndian.Uint32(buf[8:])))
	if length < HeaderSize-lengthBase {
		return 0, corrupt("length field is %d", length)
	}
	if buf[16] != 2 {
		return 0, corrupt("magic is %d, not 2", int8(buf[16]))
	}
	return int(length) + lengthBase, nil
}

// Split takes the first batch off a concatenation. It checks length and magic and does no work on the records; the
// results alias buf. A batch that is cut off is ErrShort, anything else that is no batch ErrCorrupt.
func Split(buf []byte) (b Batch, rest []byte, err error) {
	size, err := PeekSize(buf)
	if err != nil {
		return nil, buf, err
	}
	if size > len(buf) {
		return nil, buf, ErrShort
	}
	return Batch(buf[:size:size]), buf[size:], nil
}

// BaseOffset is the offset of the first record.
func (b Batch) BaseOffset() int64 { return int64(binary.BigEndian.Uint64(b)) }

// SetBaseOffset moves the batch. Not under the CRC.
func (b Batch) SetBaseOffset(o int64) { binary.BigEndian.PutUint64(b, uint64(o)) }

// PartitionLeaderEpoch is what the writer put there; in produced batches it means nothing.
func (b Batch) PartitionLeaderEpoch() int32 { return int32(binary.BigEndian.Uint32(b[12:])) }

// SetPartitionLeaderEpoch overwrites it. Not under the CRC.
func (b Batch) SetPartitionLeaderEpoch(e int32) { binary.BigEndian.PutUint32(b[12:], uint32(e)) }

// Magic is the format, 2 in every Batch made by Split or Validate.
func (b Batch) Magic() int8 { return int8(b[16]) }

// CRC is the stored CRC-32C.
func (b Batch) CRC() uint32 { return binary.BigEndian.Uint32(b[17:]) }

// ComputeCRC is the CRC-32C of the bytes from the attributes on.
func (b Batch) ComputeCRC() uint32 { return crc32.Checksum(b[crcStart:], castagnoli) }

func (b Batch) updateCRC() { binary.BigEndian.PutUint32(b[17:], b.ComputeCRC()) }

// Attributes are the batch's flag bits.
func (b Batch) Attributes() int16 { return int16(binary.BigEndian.Uint16(b[21:])) }

// Codec is the compression of the records; values above Zstd are unknown ones.
func (b Batch) Codec() Codec { return Codec(b[22] & attrCodec) }

// LogAppendTime tells that every record's timestamp is MaxTimestamp.
func (b Batch) LogAppendTime() bool { return b[22]&attrLogAppendTime != 0 }

// Transactional tells that the batch belongs to a transaction.
func (b Batch) Transactional() bool { return b[22]&attrTransactional != 0 }

// Control tells that the batch holds a transaction marker instead of data.
func (b Batch) Control() bool { return b[22]&attrControl != 0 }

// LastOffsetDelta is the last offset relative to the base offset.
func (b Batch) LastOffsetDelta() int32 { return int32(binary.BigEndian.Uint32(b[23:])) }

// BaseTimestamp is what record timestamps are relative to, in ms.
func (b Batch) BaseTimestamp() int64 { return int64(binary.BigEndian.Uint64(b[27:])) }

// MaxTimestamp is the largest record timestamp, in ms, or the append time under LogAppendTime.
func (b Batch) MaxTimestamp() int64 { return int64(binary.BigEndian.Uint64(b[35:])) }

// ProducerID is the idempotent producer's id, -1 without one.
func (b Batch) ProducerID() int64 { return int64(binary.BigEndian.Uint64(b[43:])) }

// ProducerEpoch is the producer's epoch, -1 without one.
func (b Batch) ProducerEpoch() int16 { return int16(binary.BigEndian.Uint16(b[51:])) }

// BaseSequence is the producer's sequence number of the first record, -1 without one.
func (b Batch) BaseSequence() int32 { return int32(binary.BigEndian.Uint32(b[53:])) }

// NumRecords is the number of records that the header claims.
func (b Batch) NumRecords() int32 { return int32(binary.BigEndian.Uint32(b[57:])) }

// Size is the length of the whole batch in bytes.
func (b Batch) Size() int { return len(b) }

// LastOffset is the offset of the last record.
func (b Batch) LastOffset() int64 { return b.BaseOffset() + int64(b.LastOffsetDelta()) }

// Payload is the records as stored, compressed by Codec.
func (b Batch) Payload() []byte { return b[HeaderSize:] }

// SetLogAppendTime stamps the batch with the time of its append, in ms: attribute bit 3 and the max timestamp
// (KIP-32). It recomputes the CRC.
func (b Batch) SetLogAppendTime(ms int64) {
	b[22] |= attrLogAppendTime
	b.setMaxTimestamp(ms)
}

func (b Batch) setMaxTimestamp(ms int64) {
	binary.BigEndian.PutUint64(b[35:], uint64(ms))
	b.updateCRC()
}
