package plain

import (
	"sync"

	"wadi/integration/history"
)

// Reader is one consumer by assignment: what it gets of a partition comes in order and leaves nothing out. Every
// partition's calls come from one goroutine at a time.
type Reader struct {
	h    *History
	name string

	mu struct {
		sync.Mutex
		offsets map[Partition][]int64
	}
}

// Reader makes a reader. Its name appears in violations and is nobody else's.
func (h *History) Reader(name string) *Reader {
	r := &Reader{h: h, name: name}
	r.mu.offsets = map[Partition][]int64{}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.mu.readers = append(h.mu.readers, r)
	return r
}

func (x *Reader) fact(kind history.Kind, p Partition, offset int64) history.Fact {
	return history.Fact{Kind: kind, Who: x.name, Topic: p.Topic, Partition: p.Index, Offset: offset}
}

// Read records that the reader got r at an offset, when it read in order.
func (x *Reader) Read(p Partition, offset int64, r Record) {
	f := x.fact(history.Read, p, offset)
	f.Value, f.Sum, f.Timestamp = r.name(), r.sum(), r.Timestamp
	x.h.facts.Add(f)
	x.mu.Lock()
	defer x.mu.Unlock()
	x.mu.offsets[p] = append(x.mu.offsets[p], offset)
}

// Marks records the log start, last stable offset and high watermark that came with an answer. They never go back, as
// long as the reader asks one broker; a reader that changes brokers must not record them. Negative ones are not known.
func (x *Reader) Marks(p Partition, start, stable, high int64) {
	f := x.fact(history.Marks, p, 0)
	f.LogStart, f.Stable, f.High = start, stable, high
	x.h.facts.Add(f)
}

// OutOfRange records that a fetch at an offset was called out of range.
func (x *Reader) OutOfRange(p Partition, offset, logStart int64) {
	f := x.fact(history.OutOfRange, p, offset)
	f.LogStart = logStart
	x.h.facts.Add(f)
}
