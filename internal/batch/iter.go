package batch

import "math"

// Iter walks the records of a batch. Records are valid until Close; the batch must not change meanwhile. Not for
// concurrent use. Usage:
//
//	it := b.Iter()
//	defer it.Close()
//	for r, ok := it.Next(); ok; r, ok = it.Next() { ... }
//	if err := it.Err(); err != nil { ... }
type Iter struct {
	batch Batch
	max   int
	rest  []byte
	buf   *[]byte
	next  int32
	open  bool
	err   error
	raw   rawRecord
}

// Iter starts an iteration that decompresses to at most DefaultMaxUncompressed bytes.
func (b Batch) Iter() Iter { return b.IterMax(DefaultMaxUncompressed) }

// IterMax starts an iteration that decompresses to at most max bytes, else Err is ErrTooLarge. Nothing is decompressed
// before the first Next.
func (b Batch) IterMax(max int) Iter { return Iter{batch: b, max: max} }

// Next gives the next record, or false after the last one and on error.
func (it *Iter) Next() (Record, bool) {
	if it.err != nil || !it.open && !it.start() {
		return Record{}, false
	}
	if it.next >= it.batch.NumRecords() {
		if len(it.rest) > 0 {
			it.err = invalid("%d bytes behind the last record", len(it.rest))
		}
		return Record{}, false
	}
	n := parseRecord(it.rest, &it.raw)
	if n < 0 {
		it.err = &RecordError{Index: it.next, Err: invalid("malformed")}
		return Record{}, false
	}
	it.rest = it.rest[n:]
	it.next++
	r := Record{
		Offset:  it.batch.BaseOffset() + int64(it.raw.offsetDelta),
		Key:     it.raw.key,
		Value:   it.raw.value,
		Headers: it.raw.headers,
	}
	if it.batch.LogAppendTime() {
		r.Timestamp = it.batch.MaxTimestamp()
	} else {
		r.Timestamp = it.batch.BaseTimestamp() + it.raw.timestampDelta
	}
	return r, true
}

func (it *Iter) start() bool {
	it.open = true
	if it.batch.Codec() == None {
		it.rest = it.batch.Payload()
		return true
	}
	it.buf = getBuffer()
	*it.buf, it.err = decompress(it.batch.Codec(), *it.buf, it.batch.Payload(), it.max)
	it.rest = *it.buf
	return it.err == nil
}

// Err is what ended the iteration early, nil if it came to the end: ErrInvalidRecord, ErrTooLarge, ErrUnsupportedCodec.
func (it *Iter) Err() error { return it.err }

// Close gives the iteration's buffer back. The records handed out are invalid from now on.
func (it *Iter) Close() {
	if it.buf != nil {
		putBuffer(it.buf)
	}
	*it = Iter{batch: it.batch, open: true, next: math.MaxInt32, err: it.err}
}

// FirstOffsetAtOrAfter finds the first record with a timestamp of at least ts (ms), as ListOffsets by timestamp wants
// it. A batch whose max timestamp is below is not decompressed.
func FirstOffsetAtOrAfter(b Batch, ts int64) (offset, timestamp int64, ok bool, err error) {
	if b.MaxTimestamp() < ts {
		return -1, -1, false, nil
	}
	it := b.Iter()
	defer it.Close()
	for r, more := it.Next(); more; r, more = it.Next() {
		if r.Timestamp >= ts {
			return r.Offset, r.Timestamp, true, nil
		}
	}
	return -1, -1, false, it.Err()
}
