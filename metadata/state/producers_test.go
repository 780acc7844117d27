package state

import (
	"math"
	"slices"
	"testing"
	"unsafe"

	"pgregory.net/rapid"
)

// naiveProducer keeps what it was sent as a list, oldest first.
type naiveProducer struct {
	known bool
	epoch int16
	sent  []naiveBatch // of this epoch, at most the last five
}

type naiveBatch struct {
	seq, records int32
	base, ms     int64
	aborted      bool // in a transaction, under an epoch that goes on: nothing is a repeat of it
}

// last is the batch's last sequence, on the ring from 0 to the largest int32.
func (b naiveBatch) last() int32 { return int32((int64(b.seq) + int64(b.records) - 1) % (1 << 31)) }

func (p *naiveProducer) judge(id int64, epoch int16, seq, records int32, expired int64) (Code, int64, int64) {
	if seq < 0 || epoch < 0 {
		return Invalid, -1, -1
	}
	if !p.known {
		if seq != 0 && id > expired { // DESIGN section 4, stricter than Semantics line 25
			return OutOfOrderSequence, -1, -1
		}
		return OK, -1, -1
	}
	if epoch < p.epoch { // Semantics line 26
		return InvalidProducerEpoch, -1, -1
	}
	if epoch > p.epoch { // Semantics line 25: a higher epoch starts at 0
		if seq != 0 {
			return OutOfOrderSequence, -1, -1
		}
		return OK, -1, -1
	}
	if newest := p.sent[len(p.sent)-1]; int64(seq) == (int64(newest.last())+1)%(1<<31) {
		return OK, -1, -1
	}
	for _, b := range slices.Backward(p.sent) { // Semantics line 23
		if b.seq == seq && b.records == records && !b.aborted {
			return Duplicate, b.base, b.ms
		}
	}
	return OutOfOrderSequence, -1, -1 // Semantics lines 24, 25
}

func (p *naiveProducer) push(epoch int16, b naiveBatch) {
	if !p.known || epoch != p.epoch {
		*p = naiveProducer{known: true, epoch: epoch}
	}
	p.sent = append(p.sent, b)
	p.sent = p.sent[max(0, len(p.sent)-5):]
}

// pushReal does what State does with an accepted batch.
func pushReal(p *producer, epoch int16, b naiveBatch) *producer {
	if p == nil || epoch != p.epoch() {
		made := newProducer(epoch, b.seq, b.records, b.base, b.ms)
		return &made
	}
	p.push(b.seq, b.records, b.base, b.ms)
	return p
}

func TestProducerAgainstNaive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var naive naiveProducer
		var p *producer
		var all []naiveBatch
		id, expired := rapid.Int64Range(0, 3).Draw(t, "id"), rapid.Int64Range(-1, 2).Draw(t, "expired")
		base, ms := rapid.Int64Range(0, 1<<40).Draw(t, "base"), rapid.Int64Range(1<<35, 1<<41).Draw(t, "ms")
		records := rapid.OneOf(rapid.Int32Range(1, 3), rapid.Int32Range(1, math.MaxInt32))
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			epoch := naive.epoch
			b := naiveBatch{seq: rapid.Int32Range(-1, 5).Draw(t, "seq"), records: records.Draw(t, "records")}
			switch op := rapid.IntRange(0, 9).Draw(t, "op"); {
			case op < 5 && naive.known:
				b.seq = int32((int64(naive.sent[len(naive.sent)-1].last()) + 1) % (1 << 31))
			case op < 7 && len(all) > 0: // a retry of anything ever accepted
				b = all[max(0, len(all)-1-rapid.IntRange(0, 8).Draw(t, "back"))]
			case op == 7:
				b.seq = rapid.Int32Range(0, math.MaxInt32).Draw(t, "any seq")
			case op == 8:
				epoch += int16(rapid.IntRange(-1, 1).Draw(t, "epoch step"))
			}
			base += int64(rapid.IntRange(0, 1000).Draw(t, "gap"))
			ms += int64(rapid.IntRange(-5000, 100_000).Draw(t, "time"))
			b.base, b.ms = base, ms
			code, gotBase, gotMs := p.judge(id, epoch, b.seq, b.records, expired)
			wantCode, wantBase, wantMs := naive.judge(id, epoch, b.seq, b.records, expired)
			if code != wantCode || gotBase != wantBase || gotMs != wantMs {
				t.Fatalf("epoch %d, %+v: %v base %d time %d, want %v base %d time %d",
					epoch, b, code, gotBase, gotMs, wantCode, wantBase, wantMs)
			}
			if code == OK {
				p = pushReal(p, epoch, b)
				naive.push(epoch, b)
				all = append(all, b)
				base += int64(b.records)
			}
			if p != nil {
				gotID, again := decodeProducer(p.encode(id, nil))
				if gotID != id || again != *p {
					t.Fatalf("decoded %d %+v, want %d %+v", gotID, again, id, *p)
				}
			}
		}
	})
}

// Semantics line 23: each of the last five batches is known, with its own offset and time. Semantics line 24: the sixth is not.
func TestLastFiveBatchesAreDuplicates(t *testing.T) {
	var p *producer
	for i := range int64(6) {
		b := naiveBatch{seq: int32(10 * i), records: 10, base: 100 * i, ms: 5000 + i}
		p = pushReal(p, 3, b)
	}
	for i := range int64(6) {
		code, base, ms := p.judge(1, 3, int32(10*i), 10, -1)
		switch {
		case i == 0 && (code != OutOfOrderSequence || base != -1 || ms != -1):
			t.Errorf("the sixth last batch: %v %d %d", code, base, ms)
		case i > 0 && (code != Duplicate || base != 100*i || ms != 5000+i):
			t.Errorf("batch %d: %v %d %d", i, code, base, ms)
		}
		if code, _, _ := p.judge(1, 3, int32(10*i), 9, -1); code != OutOfOrderSequence {
			t.Errorf("batch %d with another count: %v", i, code) // the same first sequence, yet not the same batch
		}
	}
}

// Semantics line 25: sequences wrap from the largest int32 to 0, inside a batch and between batches.
func TestSequencesWrap(t *testing.T) {
	p := pushReal(nil, 0, naiveBatch{seq: math.MaxInt32 - 4, records: 3, base: 0, ms: 1})
	wrapping := naiveBatch{seq: math.MaxInt32 - 1, records: 4, base: 3, ms: 2} // MaxInt32-1, MaxInt32, 0, 1
	if code, _, _ := p.judge(0, 0, wrapping.seq, wrapping.records, -1); code != OK {
		t.Fatalf("the batch across the wrap: %v", code)
	}
	p = pushReal(p, 0, wrapping)
	if got := NextSequence(p.lastSeq); got != 2 {
		t.Fatalf("next sequence %d, want 2", got)
	}
	if code, base, _ := p.judge(0, 0, wrapping.seq, wrapping.records, -1); code != Duplicate || base != 3 {
		t.Errorf("the batch across the wrap, again: %v %d", code, base)
	}
	if code, base, _ := p.judge(0, 0, math.MaxInt32-4, 3, -1); code != Duplicate || base != 0 {
		t.Errorf("the batch before the wrap, again: %v %d", code, base)
	}
	if NextSequence(math.MaxInt32) != 0 || AddSequence(math.MaxInt32, math.MaxInt32) != math.MaxInt32-1 {
		t.Errorf("the ring of sequences is not 0 to 2^31-1")
	}
}

// Semantics line 26: an older epoch is refused whatever it sends; Semantics line 25: a newer one starts at 0. An old epoch's batch
// is no duplicate of a new epoch's (Semantics line 27).
func TestEpochs(t *testing.T) {
	p := pushReal(nil, 4, naiveBatch{seq: 0, records: 2, base: 7, ms: 9})
	for _, c := range []struct {
		epoch int16
		seq   int32
		want  Code
	}{
		{3, 0, InvalidProducerEpoch}, {3, 2, InvalidProducerEpoch}, {4, 0, Duplicate}, {4, 2, OK}, {4, 3, OutOfOrderSequence},
		{5, 0, OK}, {5, 2, OutOfOrderSequence}, {-1, 0, Invalid}, {4, -1, Invalid}, {math.MaxInt16, 0, OK},
	} {
		if code, _, _ := p.judge(1, c.epoch, c.seq, 2, -1); code != c.want {
			t.Errorf("epoch %d sequence %d: %v, want %v", c.epoch, c.seq, code, c.want)
		}
	}
	p = pushReal(p, 5, naiveBatch{seq: 0, records: 2, base: 20, ms: 10})
	p = pushReal(p, 5, naiveBatch{seq: 2, records: 2, base: 22, ms: 11})
	if code, base, _ := p.judge(1, 5, 0, 2, -1); code != Duplicate || base != 20 {
		t.Errorf("the new epoch's first batch, again: %v at %d", code, base)
	}
}

// A batch that is 2^32 offsets behind the next one is forgotten, and is refused rather than taken for another.
func TestBatchesFarApartInOffsetAreForgotten(t *testing.T) {
	p := pushReal(nil, 0, naiveBatch{seq: 0, records: 2, base: 10, ms: 1000})
	p = pushReal(p, 0, naiveBatch{seq: 2, records: 1, base: 1 << 33, ms: 1001})
	p = pushReal(p, 0, naiveBatch{seq: 3, records: 1, base: 1<<33 + 1, ms: 1002})
	for seq, want := range map[int32]int64{2: 1 << 33, 3: 1<<33 + 1} {
		if code, base, _ := p.judge(1, 0, seq, 1, -1); code != Duplicate || base != want {
			t.Errorf("sequence %d again: %v at %d", seq, code, base)
		}
	}
	if code, _, _ := p.judge(1, 0, 0, 2, -1); code != OutOfOrderSequence {
		t.Errorf("the first batch again: %v", code)
	}
}

// Semantics line 23, whatever the clock does: a jump of weeks, or before 1970, costs exact times but no duplicate.
func TestDuplicatesAreKnownThroughClockJumps(t *testing.T) {
	const now = int64(1_700_000_000_000)
	for name, jump := range map[string]int64{
		"five minutes": 300_000, "five minutes back": -300_000, "years": 1 << 40, "years back": -1 << 40,
		"before 1970": -2 * now, "the end of time": math.MaxInt64 - now, "its start": math.MinInt64 + 1,
	} {
		p := pushReal(nil, 0, naiveBatch{seq: 0, records: 2, base: 10, ms: now})
		p = pushReal(p, 0, naiveBatch{seq: 2, records: 2, base: 12, ms: now + jump})
		code, base, ms := p.judge(1, 0, 0, 2, -1)
		if code != Duplicate || base != 10 || (max(jump, -jump) < 1<<31 && ms != now) {
			t.Errorf("%s: the batch before it, again: %v at %d, time %d", name, code, base, ms)
		}
		if code, base, _ := p.judge(1, 0, 2, 2, -1); code != Duplicate || base != 12 {
			t.Errorf("%s: the batch after it, again: %v at %d", name, code, base)
		}
		if p.epoch() != 0 {
			t.Errorf("%s: epoch %d", name, p.epoch())
		}
	}
}

func TestProducerTakesEightyBytes(t *testing.T) {
	if got := unsafe.Sizeof(producer{}) + unsafe.Sizeof(uint64(0)); got != producerBytes {
		t.Errorf("a producer takes %d bytes with its key, want %d", got, producerBytes)
	}
	if got := len((&producer{}).encode(1, nil)); got != producerBytes {
		t.Errorf("an encoded producer takes %d bytes, want %d", got, producerBytes)
	}
}
