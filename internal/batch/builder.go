package batch

import (
	"encoding/binary"
	"fmt"
	"math"
)

// BuildOptions are the fields of a batch that do not follow from its records.
type BuildOptions struct {
	BaseOffset    int64
	Codec         Codec
	ProducerID    int64 // with -1, epoch and sequence should be -1 as well; see NoProducer
	ProducerEpoch int16
	BaseSequence  int32
	Transactional bool
	Control       bool
	BaseTimestamp int64 // ms; 0 takes the first record's
	LogAppendTime bool  // the records' timestamps are the append time, the same in all
}

// NoProducer are the options of a batch without an idempotent producer.
func NoProducer(codec Codec) BuildOptions {
	return BuildOptions{Codec: codec, ProducerID: -1, ProducerEpoch: -1, BaseSequence: -1}
}

// Builder collects records and builds one batch of them. The zero value needs a Reset. Its memory is reused from batch
// to batch.
type Builder struct {
	opts         BuildOptions
	records      []byte
	n            int32
	nextDelta    int64
	baseTime     int64
	maxTimestamp int64
}

// Reset starts a new batch.
func (w *Builder) Reset(opts BuildOptions) {
	*w = Builder{opts: opts, records: w.records[:0], baseTime: opts.BaseTimestamp, maxTimestamp: math.MinInt64}
}

// NumRecords is how many records were appended since Reset.
func (w *Builder) NumRecords() int { return int(w.n) }

// Size is the batch's size in bytes if it were not compressed.
func (w *Builder) Size() int { return HeaderSize + len(w.records) }

// Append adds r behind the last record; r.Offset is not used. The record is copied.
func (w *Builder) Append(r Record) error { return w.append(w.nextDelta, &r) }

// AppendAt adds r at r.Offset, which must be above all before and not below the base offset: for batches with gaps.
func (w *Builder) AppendAt(r Record) error { return w.append(r.Offset-w.opts.BaseOffset, &r) }

func (w *Builder) append(delta int64, r *Record) error {
	if delta < w.nextDelta || delta > math.MaxInt32-1 {
		return invalid("offset delta %d behind %d", delta, w.nextDelta-1)
	}
	if w.n == 0 && w.opts.BaseTimestamp == 0 {
		w.baseTime = r.Timestamp
	}
	tsDelta := r.Timestamp - w.baseTime
	size := 1 + varintLen(tsDelta) + varintLen(delta) + nullableLen(r.Key) + nullableLen(r.Value) +
		varintLen(int64(r.Headers.n)) + len(r.Headers.raw)
	if int64(w.Size())+int64(size)+5 > math.MaxInt32 {
		return fmt.Errorf("%w: record of %d bytes behind %d", ErrTooLarge, size, w.Size())
	}
	p := binary.AppendVarint(w.records, int64(size))
	p = append(p, 0)
	p = binary.AppendVarint(p, tsDelta)
	p = binary.AppendVarint(p, delta)
	p = appendNullable(p, r.Key)
	p = appendNullable(p, r.Value)
	p = binary.AppendVarint(p, int64(r.Headers.n))
	w.records = append(p, r.Headers.raw...)
	w.n++
	w.nextDelta = delta + 1
	w.maxTimestamp = max(w.maxTimestamp, r.Timestamp)
	return nil
}

func nullableLen(s []byte) int {
	if s == nil {
		return 1
	}
	return varintLen(int64(len(s))) + len(s)
}

// Build appends the batch to dst. A batch without records is ErrInvalidRecord. On error dst comes back as it was.
func (w *Builder) Build(dst []byte) ([]byte, error) {
	if w.n == 0 {
		return dst, invalid("no records to build a batch of")
	}
	at := len(dst)
	out := grow(dst, HeaderSize+len(w.records))[:at+HeaderSize]
	h := out[at:]
	binary.BigEndian.PutUint64(h, uint64(w.opts.BaseOffset))
	binary.BigEndian.PutUint32(h[12:], 0)
	h[16] = 2
	attrs := uint16(w.opts.Codec & attrCodec)
	if w.opts.LogAppendTime {
		attrs |= attrLogAppendTime
	}
	if w.opts.Transactional {
		attrs |= attrTransactional
	}
	if w.opts.Control {
		attrs |= attrControl
	}
	binary.BigEndian.PutUint16(h[21:], attrs)
	binary.BigEndian.PutUint32(h[23:], uint32(w.nextDelta-1))
	binary.BigEndian.PutUint64(h[27:], uint64(w.baseTime))
	binary.BigEndian.PutUint64(h[35:], uint64(w.maxTimestamp))
	binary.BigEndian.PutUint64(h[43:], uint64(w.opts.ProducerID))
	binary.BigEndian.PutUint16(h[51:], uint16(w.opts.ProducerEpoch))
	binary.BigEndian.PutUint32(h[53:], uint32(w.opts.BaseSequence))
	binary.BigEndian.PutUint32(h[57:], uint32(w.n))
	out, err := compress(w.opts.Codec, out, w.records)
	if err != nil {
		return dst, err
	}
	if err := seal(out[at:]); err != nil {
		return dst, err
	}
	return out, nil
}

// seal fills in the length and the CRC of a batch that is complete otherwise.
func seal(b Batch) error {
	if len(b)-lengthBase > math.MaxInt32 {
		return fmt.Errorf("%w: %d bytes", ErrTooLarge, len(b))
	}
	binary.BigEndian.PutUint32(b[8:], uint32(len(b)-lengthBase))
	b.updateCRC()
	return nil
}
