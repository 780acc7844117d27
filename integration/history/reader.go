package history

// Reader is one consumer by assignment: what it gets of a partition comes in order and leaves nothing out. Every
// partition's calls come from one goroutine at a time.
type Reader struct {
	h     *History
	name  string
	marks map[Partition]marks
	reads map[Partition]*readLog
}

// marks are the last ones that a reader was told.
type marks struct{ start, stable, high int64 }

// readLog is a reader's way through a partition, without a jump back.
type readLog struct{ offsets []int64 }

// Reader makes a reader. Its name appears in violations.
func (h *History) Reader(name string) *Reader {
	r := &Reader{h: h, name: name, marks: map[Partition]marks{}, reads: map[Partition]*readLog{}}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.readers = append(h.readers, r)
	return r
}

// Read records that the reader got r at an offset, when it read in order.
func (x *Reader) Read(p Partition, offset int64, r Record) {
	h, value, sum := x.h, string(r.Value), r.sum()
	h.mu.Lock()
	defer h.mu.Unlock()
	log := x.reads[p]
	if log == nil {
		log = &readLog{}
		x.reads[p] = log
	}
	if n := len(log.offsets); n > 0 && offset <= log.offsets[n-1] {
		h.report("I8", p, "%s read offset %d after %d", x.name, offset, log.offsets[n-1])
		return
	}
	log.offsets = append(log.offsets, offset)
	h.meet(p, offset, value, sum, x.name)
	s := h.byValue[value]
	switch {
	case s == nil:
		h.report("I10", p, "offset %d holds %s, which nobody sent", offset, brief(value))
	case s.partition != p:
		h.report("I10", p, "offset %d holds %s, which was sent to %s", offset, brief(value), s.partition)
	case s.sum != sum:
		h.report("I10", p, "offset %d: key, value or headers of %s changed", offset, brief(value))
	case s.timestamp != 0 && s.timestamp != r.Timestamp:
		h.report("I10", p, "offset %d: timestamp of %s is %d, sent was %d", offset, brief(value), r.Timestamp, s.timestamp)
	}
}

// Marks records the log start, last stable offset and high watermark that came with an answer. They never go back, as
// long as the reader asks one broker; a reader that changes brokers must not record them. Negative ones are not known.
func (x *Reader) Marks(p Partition, start, stable, high int64) {
	h := x.h
	h.mu.Lock()
	defer h.mu.Unlock()
	old, ok := x.marks[p]
	if ok && (start < old.start || stable < old.stable || high < old.high) {
		h.report("I11", p, "%s was told log start, last stable offset and high watermark %d, %d, %d and then %d, %d, %d",
			x.name, old.start, old.stable, old.high, start, stable, high)
	}
	if stable > high || start > high {
		h.report("I11", p, "%s was told log start %d, last stable offset %d, high watermark %d", x.name, start, stable, high)
	}
	x.marks[p] = marks{start, stable, high}
}

// OutOfRange records that a fetch at an offset was called out of range.
func (x *Reader) OutOfRange(p Partition, offset, logStart int64) {
	h := x.h
	h.mu.Lock()
	defer h.mu.Unlock()
	if top, ok := h.acked[p]; ok && offset <= top+1 && offset >= max(logStart, 0) {
		h.report("I11", p, "%s was told that offset %d is out of range; %d is acknowledged and the log starts at %d",
			x.name, offset, top, logStart)
	}
}

// Latest is a question for the end of a partition that was asked at a time.
type Latest struct {
	h    *History
	p    Partition
	who  string
	want int64
}

// Ask records that somebody asks for the end of a partition now: the answer must count all that is acknowledged.
func (h *History) Ask(who string, p Partition) Latest {
	return Latest{h: h, p: p, who: who, want: h.HighestAcked(p) + 1}
}

// Answer is the end that was told.
func (l Latest) Answer(end int64) {
	if end >= l.want {
		return
	}
	l.h.mu.Lock()
	defer l.h.mu.Unlock()
	l.h.report("I11", l.p, "%s was told end %d after offset %d was acknowledged", l.who, end, l.want-1)
}
