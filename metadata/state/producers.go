package state

import (
	"encoding/binary"
	"math"
)

// producer is what a partition remembers of one producer id: the last batch and four before it, all of one epoch, or
// nothing but the epoch where a marker has raised it since. With its key, the producer id, it takes 80 bytes.
type producer struct {
	base      int64     // base offset of the last batch
	stamp     uint64    // 48 bits of milliseconds: when the last batch was appended; 16 bits of epoch
	lastSeq   int32     // last sequence of the last batch, -1 = none since a marker raised the epoch
	records   [5]int32  // per batch, newest first; 0 = none
	baseDelta [4]uint32 // base offset of batch i minus that of batch i+1
	timeDelta [4]int32  // likewise for the append time
}

const (
	producerBytes = 80
	maxStampMs    = 1<<48 - 1
	noSequence    = -1
)

func (p *producer) epoch() int16 { return int16(p.stamp & 0xffff) }
func (p *producer) time() int64  { return int64(p.stamp >> 16) }

func makeStamp(ms int64, epoch int16) uint64 {
	return uint64(min(max(ms, 0), maxStampMs))<<16 | uint64(uint16(epoch))
}

// NextSequence is the sequence after seq; sequences wrap from the largest int32 to 0.
func NextSequence(seq int32) int32 { return AddSequence(seq, 1) }

// AddSequence is seq plus n on the ring of non-negative int32.
func AddSequence(seq, n int32) int32 { return int32((int64(seq) + int64(n)) & math.MaxInt32) }

// find looks for a remembered batch by its first sequence and record count.
func (p *producer) find(seq, records int32) (base, ms int64, ok bool) {
	base, ms = p.base, p.time()
	last := p.lastSeq
	for i, n := range p.records {
		if n == 0 {
			return 0, 0, false
		}
		first := int32((int64(last) - int64(n) + 1) & math.MaxInt32)
		if first == seq && n == records {
			return base, ms, true
		}
		if i < len(p.baseDelta) {
			base -= int64(p.baseDelta[i])
			ms -= int64(p.timeDelta[i])
			last = int32((int64(first) - 1) & math.MaxInt32)
		}
	}
	return 0, 0, false
}

// push remembers the next batch of the same epoch. The batches before one that is 2^32 offsets away are forgotten; a
// clock that jumps by weeks only makes the older times inexact, for a duplicate must be known whatever the clock did.
func (p *producer) push(seq, records int32, base, ms int64) {
	copy(p.records[1:], p.records[:4])
	copy(p.baseDelta[1:], p.baseDelta[:3])
	copy(p.timeDelta[1:], p.timeDelta[:3])
	stamp := makeStamp(ms, p.epoch())
	db, dt := base-p.base, int64(stamp>>16)-p.time()
	if db < 0 || db > math.MaxUint32 {
		p.records, db = [5]int32{}, 0
	}
	p.baseDelta[0], p.timeDelta[0] = uint32(db), int32(min(max(dt, math.MinInt32), math.MaxInt32))
	p.records[0] = records
	p.base, p.stamp = base, stamp
	p.lastSeq = AddSequence(seq, records-1)
}

// ended lets go of the remembered batches at a marker. Under the same epoch they were aborted: what comes in their place
// is not one of them, and the sequence goes on (Semantics line 27). A marker that ends the epoch with the transaction
// carries the next one, which the producer has from there on, as in Apache Kafka; sequences begin anew (KIP-890).
func (p *producer) ended(marker int16) {
	p.records, p.baseDelta, p.timeDelta = [5]int32{}, [4]uint32{}, [4]int32{}
	if marker != p.epoch() {
		p.stamp, p.lastSeq = makeStamp(p.time(), marker), noSequence
	}
}

func newProducer(epoch int16, seq, records int32, base, ms int64) producer {
	return producer{
		base: base, stamp: makeStamp(ms, epoch), lastSeq: AddSequence(seq, records-1), records: [5]int32{records},
	}
}

// judge says what becomes of a batch. p is nil when the partition knows nothing of the producer id; expired is the
// highest producer id whose state may have been dropped for its age.
func (p *producer) judge(id int64, epoch int16, seq, records int32, expired int64) (Code, int64, int64) {
	switch {
	case seq < 0 || epoch < 0:
		return Invalid, -1, -1
	case p == nil:
		if seq != 0 && id > expired {
			return OutOfOrderSequence, -1, -1
		}
	case epoch < p.epoch():
		return InvalidProducerEpoch, -1, -1
	case epoch > p.epoch():
		if seq != 0 {
			return OutOfOrderSequence, -1, -1
		}
	case seq == NextSequence(p.lastSeq):
	default:
		if base, ms, ok := p.find(seq, records); ok {
			return Duplicate, base, ms
		}
		return OutOfOrderSequence, -1, -1
	}
	return OK, -1, -1
}

func (p *producer) encode(id int64, dst []byte) []byte {
	dst = binary.BigEndian.AppendUint64(dst, uint64(id))
	dst = binary.BigEndian.AppendUint64(dst, uint64(p.base))
	dst = binary.BigEndian.AppendUint64(dst, p.stamp)
	dst = binary.BigEndian.AppendUint32(dst, uint32(p.lastSeq))
	for _, v := range p.records {
		dst = binary.BigEndian.AppendUint32(dst, uint32(v))
	}
	for _, v := range p.baseDelta {
		dst = binary.BigEndian.AppendUint32(dst, v)
	}
	for _, v := range p.timeDelta {
		dst = binary.BigEndian.AppendUint32(dst, uint32(v))
	}
	return dst
}

// decodeProducer reads one record of producerBytes.
func decodeProducer(b []byte) (id int64, p producer) {
	next := func() uint32 {
		v := binary.BigEndian.Uint32(b)
		b = b[4:]
		return v
	}
	next64 := func() uint64 { return uint64(next())<<32 | uint64(next()) }
	id = int64(next64())
	p.base, p.stamp, p.lastSeq = int64(next64()), next64(), int32(next())
	for i := range p.records {
		p.records[i] = int32(next())
	}
	for i := range p.baseDelta {
		p.baseDelta[i] = next()
	}
	for i := range p.timeDelta {
		p.timeDelta[i] = int32(next())
	}
	return id, p
}
