package batch

import (
	"fmt"
	"math"
)

// Rules say what Validate accepts. The zero value is a produced batch without limits of its own, no zstd.
type Rules struct {
	MaxBytes        int   // of the batch as it is, header included; 0 is no limit
	MaxUncompressed int   // of the decompressed records; 0 is DefaultMaxUncompressed
	MinTimestamp    int64 // ms, the oldest record timestamp; 0 is no limit
	MaxTimestamp    int64 // ms, the newest record timestamp; 0 is no limit
	AllowZstd       bool
	RequireKeys     bool // every record needs a key (cleanup.policy=compact)
	AllowControl    bool // transaction markers

	// Stored relaxes what only holds for batches fresh from a producer: any base offset, LogAppendTime, a delete
	// horizon, gaps between offsets and empty batches, as compaction leaves them.
	Stored bool
}

// Validate checks that buf is exactly one batch and that everything in it is right: header, CRC, and record by record
// lengths, offset deltas, timestamps, keys and headers, also in compressed ones. The Batch aliases buf.
//
// A produced batch whose max timestamp is not that of its records gets the right one and a new CRC, as brokers do:
// retention and searches by time go by it. That is the only thing Validate writes.
//
// The leader epoch is not looked at: clients send what they like (Semantics line 17). Nor is whether a batch that says
// to be transactional has a producer id: Apache Kafka takes one that has none, which then belongs to no transaction.
func Validate(buf []byte, rules Rules) (Batch, error) {
	b, rest, err := Split(buf)
	switch {
	case err != nil:
		return nil, err
	case len(rest) > 0:
		return nil, corrupt("%d bytes behind the batch", len(rest))
	case rules.MaxBytes > 0 && len(b) > rules.MaxBytes:
		return nil, fmt.Errorf("%w: %d bytes, %d allowed", ErrTooLarge, len(b), rules.MaxBytes)
	case b.CRC() != b.ComputeCRC():
		return nil, corrupt("CRC is %08x, header says %08x", b.ComputeCRC(), b.CRC())
	}
	if err := checkHeader(b, &rules); err != nil {
		return nil, err
	}
	maxTimestamp, err := checkPayload(b, &rules)
	if err != nil {
		return nil, err
	}
	if b.NumRecords() > 0 && !b.LogAppendTime() && maxTimestamp != b.MaxTimestamp() {
		switch {
		case !rules.Stored:
			b.setMaxTimestamp(maxTimestamp)
		case maxTimestamp > b.MaxTimestamp():
			return nil, invalid("max timestamp %d, but a record has %d", b.MaxTimestamp(), maxTimestamp)
		}
	}
	return b, nil
}

func checkHeader(b Batch, rules *Rules) error {
	switch codec := b.Codec(); {
	case !codec.Known():
		return fmt.Errorf("%w: %v", ErrUnsupportedCodec, codec)
	case codec == Zstd && !rules.AllowZstd:
		return fmt.Errorf("%w: %v", ErrUnsupportedCodec, codec)
	}
	n, last, pid := b.NumRecords(), b.LastOffsetDelta(), b.ProducerID()
	switch {
	case b.Control() && !rules.AllowControl:
		return invalid("control batch")
	case n < 0 || last < 0:
		return invalid("%d records, last offset delta %d", n, last)
	case rules.Stored && int64(n) > int64(last)+1:
		return invalid("%d records up to offset delta %d", n, last)
	case !rules.Stored && (n == 0 || int64(n) != int64(last)+1):
		return invalid("%d records, last offset delta %d", n, last)
	case pid < -1:
		return invalid("producer id %d", pid)
	case pid >= 0 && b.ProducerEpoch() < 0:
		return invalid("producer epoch %d", b.ProducerEpoch())
	case pid >= 0 && b.BaseSequence() < 0 && !b.Control():
		return invalid("sequence %d of producer %d", b.BaseSequence(), pid)
	}
	if rules.Stored {
		if b.BaseOffset() < 0 || b.BaseOffset() > math.MaxInt64-int64(last) {
			return invalid("base offset %d", b.BaseOffset())
		}
		return nil
	}
	switch {
	case b.BaseOffset() != 0:
		return invalid("base offset %d in a produced batch", b.BaseOffset())
	case b.LogAppendTime():
		return fmt.Errorf("%w: producer claims LogAppendTime", ErrTimestamp)
	case b.Attributes()&attrDeleteHorizon != 0:
		return invalid("delete horizon in a produced batch")
	}
	return nil
}

// checkPayload checks all records and returns their largest timestamp.
func checkPayload(b Batch, rules *Rules) (newest int64, err error) {
	limit := rules.MaxUncompressed
	if limit <= 0 {
		limit = DefaultMaxUncompressed
	}
	err = withRecords(b, limit, func(records []byte) error {
		newest, err = checkRecords(b, records, rules)
		return err
	})
	return newest, err
}

func checkRecords(b Batch, p []byte, rules *Rules) (int64, error) {
	var (
		r         rawRecord
		n         = b.NumRecords()
		last      = b.LastOffsetDelta()
		base      = b.BaseTimestamp()
		stamped   = b.LogAppendTime()
		control   = b.Control()
		newest    = int64(math.MinInt64)
		prevDelta = int32(-1)
		refused   RecordErrors
	)
	for i := range n {
		size := parseRecord(p, &r)
		if size < 0 {
			return 0, &RecordError{Index: i, Err: invalid("malformed")}
		}
		p = p[size:]
		if !rules.Stored && r.offsetDelta != i || r.offsetDelta <= prevDelta || r.offsetDelta > last {
			return 0, &RecordError{Index: i, Err: invalid("offset delta %d", r.offsetDelta)}
		}
		prevDelta = r.offsetDelta
		ts := base + r.timestampDelta
		if (ts > base) != (r.timestampDelta > 0) {
			return 0, &RecordError{Index: i, Err: invalid("timestamp overflows")}
		}
		newest = max(newest, ts)
		switch {
		case control && len(r.key) < 4:
			return 0, &RecordError{Index: i, Err: invalid("control record without type")}
		case rules.RequireKeys && r.key == nil:
			refused = refused.add(i, ErrNoKey)
		// -1 is "no timestamp", which no bound applies to.
		case !stamped && ts != -1 &&
			(rules.MinTimestamp != 0 && ts < rules.MinTimestamp || rules.MaxTimestamp != 0 && ts > rules.MaxTimestamp):
			refused = refused.add(i, fmt.Errorf("%w: %d outside [%d, %d]", ErrTimestamp, ts, rules.MinTimestamp, rules.MaxTimestamp))
		}
	}
	switch {
	case len(p) > 0:
		return 0, invalid("%d bytes behind the last record", len(p))
	case len(refused) > 0:
		return 0, refused
	}
	return newest, nil
}
