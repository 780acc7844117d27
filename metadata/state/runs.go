package state

import (
	"sort"
	"unsafe"

	recordbatch "wadi/internal/batch"
)

// Flags of a Run.
const (
	RunInline     uint32 = 1 << iota // the bytes are in the entry at position Place, at Offset of its inline data
	RunMarker                        // a transaction's marker: no bytes anywhere, Place is the producer id, Offset the epoch
	RunCommit                        // with RunMarker: it commits
	RunPlaced                        // the batches carry the offsets that they have in the partition
	RunAppendTime                    // with RunMarker: its timestamp is LogAppendTime, as the topic had it
)

// Run is a stretch of whole batches of one partition that lie side by side: in the object numbered Place, or inline in
// the entry at position Place. It never changes; a merge replaces it. 48 bytes.
type Run struct {
	Base         int64 // first offset
	Last         int64 // last offset
	MaxTimestamp int64 // Unix milliseconds
	Place        uint64
	Offset       uint32 // bytes
	Length       uint32 // bytes
	Flags        uint32
	_            uint32
}

// Inline reports whether the run's bytes lie in a journal entry.
func (r Run) Inline() bool { return r.Flags&RunInline != 0 }

// Marker reports whether the run is a transaction's marker: one offset, and no bytes in any object. Whoever reads it
// makes the control batch, of Length bytes.
func (r Run) Marker() bool { return r.Flags&RunMarker != 0 }

// MarkerBatch is what the control batch of a marker is made of.
func (r Run) MarkerBatch() recordbatch.Marker {
	id, epoch := r.MarkerProducer()
	return recordbatch.Marker{
		Base: r.Base, ProducerID: id, Epoch: epoch, Ms: r.MaxTimestamp,
		Commit: r.MarkerCommits(), AppendTime: r.Flags&RunAppendTime != 0,
	}
}

// MarkerProducer is the producer id and epoch of a marker, MarkerCommits whether it commits.
func (r Run) MarkerProducer() (id int64, epoch int16) { return int64(r.Place), int16(r.Offset) }
func (r Run) MarkerCommits() bool                     { return r.Flags&RunCommit != 0 }

// Placed reports whether the run's batches carry their own offsets, as a merge wrote them: some may be missing between
// them. Those of any other run follow each other from Base on, whatever they carry.
func (r Run) Placed() bool { return r.Flags&RunPlaced != 0 }

const (
	runBytes      = int64(unsafe.Sizeof(Run{}))
	firstRunChunk = 2
	largestChunk  = 256
)

// runList holds a partition's runs in offset order, in chunks so that growing never copies more than one chunk's worth
// of pointers. Runs are appended, dropped at the front and replaced by new chunks, so snapshots share the chunks: what a
// snapshot's own lengths cover never changes.
type runList struct {
	chunks [][]Run
	n      int
	bytes  int64 // sum of the lengths
}

func (l *runList) len() int { return l.n }

func (l *runList) append(r Run) {
	l.bytes += int64(r.Length)
	if k := len(l.chunks); k > 0 {
		if last := l.chunks[k-1]; len(last) < cap(last) {
			l.chunks[k-1] = append(last, r)
			l.n++
			return
		}
	}
	size := firstRunChunk
	if k := len(l.chunks); k > 0 {
		size = min(2*cap(l.chunks[k-1]), largestChunk)
	}
	l.chunks = append(l.chunks, append(make([]Run, 0, size), r))
	l.n++
}

// share is a copy that later appends and drops on either side do not show in. Only one side may append.
func (l *runList) share() runList {
	return runList{chunks: append(make([][]Run, 0, len(l.chunks)+1), l.chunks...), n: l.n, bytes: l.bytes}
}

// seek is the position (chunk, index) of the first run whose last offset is at least offset.
func (l *runList) seek(offset int64) (int, int) {
	c := sort.Search(len(l.chunks), func(i int) bool {
		chunk := l.chunks[i]
		return chunk[len(chunk)-1].Last >= offset
	})
	if c == len(l.chunks) {
		return c, 0
	}
	chunk := l.chunks[c]
	return c, sort.Search(len(chunk), func(i int) bool { return chunk[i].Last >= offset })
}

// from appends to dst the runs from the one that holds offset on, until maxRuns or maxBytes is reached; the first one
// comes whatever its size.
func (l *runList) from(offset int64, maxRuns int, maxBytes int64, dst []Run) []Run {
	c, i := l.seek(offset)
	for ; c < len(l.chunks); c, i = c+1, 0 {
		for _, r := range l.chunks[c][i:] {
			if maxRuns <= 0 {
				return dst
			}
			dst = append(dst, r)
			maxRuns--
			if maxBytes -= int64(r.Length); maxBytes <= 0 {
				return dst
			}
		}
	}
	return dst
}

// place is where a run lies in the list.
type place struct{ chunk, index int }

// bounds finds the run that begins at base and the one that ends at last, if there are no more than limit from one to
// the other.
func (l *runList) bounds(base, last int64, limit int) (from, to place, ok bool) {
	from.chunk, from.index = l.seek(base)
	to.chunk, to.index = l.seek(last)
	if to.chunk == len(l.chunks) || l.at(from).Base != base || l.at(to).Last != last {
		return from, to, false
	}
	n := to.index - from.index + 1
	for _, chunk := range l.chunks[from.chunk:to.chunk] {
		n += len(chunk)
	}
	return from, to, n <= limit
}

func (l *runList) at(p place) Run { return l.chunks[p.chunk][p.index] }

// replace puts runs in the place of those from `from` to `to` and returns the latter. Chunks that a snapshot may share
// stay as they are.
func (l *runList) replace(from, to place, runs []Run) (old []Run) {
	head, tail := l.chunks[from.chunk][:from.index], l.chunks[to.chunk][to.index+1:]
	for c := from.chunk; c <= to.chunk; c++ {
		chunk := l.chunks[c]
		if c == to.chunk {
			chunk = chunk[:to.index+1]
		}
		if c == from.chunk {
			chunk = chunk[from.index:]
		}
		old = append(old, chunk...)
	}
	chunks := append(make([][]Run, 0, len(l.chunks)+2), l.chunks[:from.chunk]...)
	middle := make([]Run, 0, len(head)+len(runs)+len(tail))
	middle = append(append(append(middle, head...), runs...), tail...)
	for len(middle) > largestChunk {
		chunks = append(chunks, middle[:largestChunk:largestChunk])
		middle = middle[largestChunk:]
	}
	chunks = append(chunks, middle[:len(middle):len(middle)])
	l.chunks = append(chunks, l.chunks[to.chunk+1:]...)
	l.n += len(runs) - len(old)
	for _, r := range old {
		l.bytes -= int64(r.Length)
	}
	for _, r := range runs {
		l.bytes += int64(r.Length)
	}
	return old
}

// first is the run at the front; the list is not empty.
func (l *runList) first() Run { return l.chunks[0][0] }

// popFront removes the first run, which lies below the log start. The list is not empty.
func (l *runList) popFront() Run {
	r := l.chunks[0][0]
	if l.chunks[0] = l.chunks[0][1:]; len(l.chunks[0]) == 0 {
		l.chunks[0] = nil // lets it go
		l.chunks = l.chunks[1:]
	}
	l.n--
	l.bytes -= int64(r.Length)
	return r
}

// popBack removes the last run; only a deleted topic is emptied that way.
func (l *runList) popBack() (Run, bool) {
	k := len(l.chunks)
	if k == 0 {
		return Run{}, false
	}
	last := l.chunks[k-1]
	r := last[len(last)-1]
	if len(last) == 1 {
		l.chunks = l.chunks[:k-1]
	} else {
		// The capacity is cut too: a later append must not overwrite what a snapshot still shows.
		l.chunks[k-1] = last[: len(last)-1 : len(last)-1]
	}
	l.n--
	l.bytes -= int64(r.Length)
	return r, true
}

func (l *runList) each(visit func(Run)) {
	for _, chunk := range l.chunks {
		for _, r := range chunk {
			visit(r)
		}
	}
}
