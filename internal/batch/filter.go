package batch

import (
	"encoding/binary"
	"math"
)

// DeleteHorizon is the time, in Unix milliseconds, from which the batch's tombstones may go (KIP-534): a compaction wrote
// it in the place of the base timestamp. false: none was written.
func (b Batch) DeleteHorizon() (ms int64, ok bool) {
	if b[22]&attrDeleteHorizon == 0 {
		return 0, false
	}
	return b.BaseTimestamp(), true
}

// Filtered is what Filter left of a batch.
type Filtered struct {
	Records    int32 // that stayed; 0: nothing was appended
	Tombstones int32 // of them, those without a value
	Changed    bool  // what was appended is not the batch as it was
}

// Filter appends to dst what a compaction leaves of b: the records for which keep says so, asked in order with their place
// in the batch. Offsets stay, those of the batch too, and so do producer id, epoch, sequence and codec; the base offset is
// b's own, so a reader knows which offsets the batch covers. The max timestamp becomes that of what stays, unless it is
// the time of the append.
//
// When tombstones stay in a batch that has no delete horizon, it gets horizonMs, if that is positive (KIP-534): readers
// take it for a base timestamp, so the deltas change with it.
//
// A batch of which everything stays comes as it is. Records that keep gets are valid during the call. Errors are those of
// an iteration, and of Build; dst comes back as it was then.
func Filter(b Batch, horizonMs int64, keep func(i int32, r *Record) bool, dst []byte) ([]byte, Filtered, error) {
	f := filter{b: b, newest: math.MinInt64}
	at, out := len(dst), dst
	err := withRecords(b, DefaultMaxUncompressed, func(records []byte) error {
		if err := f.sieve(records, keep); err != nil {
			return err
		}
		_, has := b.DeleteHorizon()
		marks := horizonMs > 0 && !has && f.left.Tombstones > 0
		if f.left.Changed = marks || f.left.Records < b.NumRecords(); f.left.Records == 0 {
			return nil
		}
		if !f.left.Changed {
			out = append(out, b...)
			return nil
		}
		var err error
		out, err = f.build(records, horizonMs, marks, out)
		return err
	})
	if err == nil && f.left.Changed && f.left.Records > 0 {
		err = seal(out[at:])
	}
	if err != nil {
		return dst, Filtered{}, err
	}
	return out, f.left, nil
}

// filter is one Filter at work.
type filter struct {
	b      Batch
	left   Filtered
	spans  []span // of the records that stay, in order; neighbours are one
	newest int64  // timestamp delta among them
}

type span struct{ from, to int }

// sieve asks keep about every record.
func (f *filter) sieve(records []byte, keep func(int32, *Record) bool) error {
	var raw rawRecord
	base, stamp, stamped := f.b.BaseTimestamp(), f.b.MaxTimestamp(), f.b.LogAppendTime()
	pos := 0
	for i := range f.b.NumRecords() {
		n := parseRecord(records[pos:], &raw)
		if n < 0 {
			return &RecordError{Index: i, Err: invalid("malformed")}
		}
		r := Record{
			Offset: f.b.BaseOffset() + int64(raw.offsetDelta), Timestamp: base + raw.timestampDelta,
			Key: raw.key, Value: raw.value, Headers: raw.headers,
		}
		if stamped {
			r.Timestamp = stamp
		}
		if keep(i, &r) {
			f.left.Records++
			if raw.value == nil {
				f.left.Tombstones++
			}
			f.newest = max(f.newest, raw.timestampDelta)
			if k := len(f.spans) - 1; k >= 0 && f.spans[k].to == pos {
				f.spans[k].to = pos + n
			} else {
				f.spans = append(f.spans, span{pos, pos + n})
			}
		}
		pos += n
	}
	if pos < len(records) {
		return invalid("%d bytes behind the last record", len(records)-pos)
	}
	return nil
}

// build appends the batch of what stays, but for length and CRC. Records are copied as they are, unless the time that they
// count from moves.
func (f *filter) build(records []byte, horizonMs int64, marks bool, dst []byte) ([]byte, error) {
	at := len(dst)
	out := append(dst, f.b[:HeaderSize]...)
	h := out[at:]
	binary.BigEndian.PutUint32(h[57:], uint32(f.left.Records))
	if !f.b.LogAppendTime() {
		binary.BigEndian.PutUint64(h[35:], uint64(f.b.BaseTimestamp()+f.newest))
	}
	buf := getBuffer()
	defer putBuffer(buf)
	*buf = (*buf)[:0]
	if !marks {
		for _, s := range f.spans {
			*buf = append(*buf, records[s.from:s.to]...)
		}
		return compress(f.b.Codec(), out, *buf)
	}
	h[22] |= attrDeleteHorizon
	binary.BigEndian.PutUint64(h[27:], uint64(horizonMs))
	earlier := f.b.BaseTimestamp() - horizonMs
	for _, s := range f.spans {
		for rest := records[s.from:s.to]; len(rest) > 0; {
			n := 0
			if *buf, n = appendShifted(*buf, rest, earlier); n <= 0 {
				return dst, invalid("malformed")
			}
			rest = rest[n:]
		}
	}
	return compress(f.b.Codec(), out, *buf)
}

// appendShifted copies the record that starts p, with its timestamp delta raised by so much, and returns how many bytes of
// p it took.
func appendShifted(dst, p []byte, by int64) ([]byte, int) {
	length, n := varint32(p)
	if n <= 0 || length < 1 || int(length) > len(p)-n {
		return dst, -1
	}
	end := n + int(length)
	delta, m := varint64(p[n+1 : end])
	if m <= 0 {
		return dst, -1
	}
	delta += by
	tail := p[n+1+m : end]
	dst = binary.AppendVarint(dst, int64(1+varintLen(delta)+len(tail)))
	dst = append(dst, p[n])
	dst = binary.AppendVarint(dst, delta)
	return append(dst, tail...), end
}
