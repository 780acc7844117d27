package manifest

import (
	"fmt"
	"io"
	"math"
	"slices"

	"wadi/internal/layout"
)

// Writer writes a manifest front to back without holding it: runs, then the objects that they lie in, then aborted
// transactions, each in its order. It remembers some 100 bytes per object and one block. Any error is its end: what was
// written is no manifest, and later calls return the same error.
type Writer struct {
	out     io.Writer
	at      uint64 // position behind what was written
	stage   stage
	footer  footer
	extents []extent // by index of the object
	runs    []run    // of the block that is being filled
	objects []Object // all: the list of sessions, which blocks build on, is whole with the last one
	aborted []Aborted
	scratch []byte
	err     error
}

// stage is what a Writer takes now.
type stage uint8

const (
	takesRuns stage = iota
	takesObjects
	takesAborted
	ended
)

// maxAhead bounds how far the index of a run's object may lie above all that came before: an object that many others lie
// within has a high one.
const maxAhead = 1 << 20

// extent is what the runs of an object cover.
type extent struct {
	first, last, bytes int64
}

// NewWriter writes the header to out. A manifest is of one partition.
func NewWriter(out io.Writer, topic [16]byte, partition int32) (*Writer, error) {
	w := &Writer{out: out}
	w.footer.info = Info{Topic: topic, Partition: partition, MaxTimestamp: math.MinInt64}
	if partition < 0 {
		return nil, w.fail(fmt.Errorf("%w: partition %d", ErrInvalid, partition))
	}
	return w, w.write(appendHeader(nil))
}

// Run adds the next run: it begins where the one before ended. object is the index that its object will have: objects go
// by their last offsets.
func (w *Writer) Run(base, last, maxTimestamp int64, object, offset, length uint32) error {
	i := &w.footer.info
	if i.Runs == 0 {
		i.First = base
	}
	switch {
	case w.err != nil:
		return w.err
	case w.stage != takesRuns:
		return w.fail(fmt.Errorf("%w: a run behind the objects", ErrInvalid))
	case base < 0 || last < base || last == math.MaxInt64 || i.Runs > 0 && base != i.Last+1 || i.Runs == maxEntries:
		return w.fail(fmt.Errorf("%w: run %d of offsets %d to %d behind %d", ErrInvalid, i.Runs, base, last, i.Last))
	case length == 0 || uint64(object) > uint64(len(w.extents))+maxAhead:
		return w.fail(fmt.Errorf("%w: run of %d bytes in object %d", ErrInvalid, length, object))
	}
	for uint64(len(w.extents)) <= uint64(object) {
		w.extents = append(w.extents, extent{first: -1})
	}
	x := &w.extents[object]
	if x.first < 0 {
		x.first = base
	}
	x.last = last
	x.bytes += int64(length)
	i.Runs++
	i.Last = last
	i.Bytes += int64(length)
	i.MaxTimestamp = max(i.MaxTimestamp, maxTimestamp)
	w.runs = append(w.runs, run{base: base, last: last, maxTimestamp: maxTimestamp, object: object, offset: offset, length: length})
	if len(w.runs) == BlockEntries {
		return w.flushRuns()
	}
	return nil
}

// Object adds the next object, in the order of the indexes. First, Last and Bytes follow from the runs.
func (w *Writer) Object(o Object) error {
	if w.err != nil {
		return w.err
	}
	if w.stage == takesRuns {
		if err := w.flushRuns(); err != nil {
			return err
		}
		w.stage = takesObjects
	}
	n := len(w.objects)
	if w.stage != takesObjects || n == len(w.extents) {
		return w.fail(fmt.Errorf("%w: object %d out of turn", ErrInvalid, n))
	}
	o.First, o.Last, o.Bytes = w.extents[n].first, w.extents[n].last, w.extents[n].bytes
	if err := o.check(); err != nil {
		return w.fail(fmt.Errorf("%w: object %d: %w", ErrInvalid, n, err))
	}
	if n > 0 && o.Last <= w.objects[n-1].Last {
		return w.fail(fmt.Errorf("%w: object %d ends at %d, the one before at %d", ErrInvalid, n, o.Last, w.objects[n-1].Last))
	}
	w.objects = append(w.objects, o)
	return nil
}

// Aborted adds the next aborted transaction, in the order of their markers. Those whose marker lies outside the runs have
// no place here.
func (w *Writer) Aborted(a Aborted) error {
	if w.err != nil {
		return w.err
	}
	if err := w.endObjects(); err != nil {
		return err
	}
	i := &w.footer.info
	before := int64(-1)
	switch k := len(w.footer.aborted); {
	case len(w.aborted) > 0:
		before = w.aborted[len(w.aborted)-1].Last
	case k > 0:
		before = w.footer.aborted[k-1].Last
	}
	if checkAborted(&a) != nil || a.Last < i.First || a.Last > i.Last || a.Last <= before || i.Aborted == maxEntries {
		return w.fail(fmt.Errorf("%w: aborted transaction %+v behind %d", ErrInvalid, a, before))
	}
	i.Aborted++
	w.aborted = append(w.aborted, a)
	if len(w.aborted) == BlockEntries {
		return w.flushAborted()
	}
	return nil
}

// Close writes what is left, the footer and the trailer, and says what the manifest holds. It does not close out.
func (w *Writer) Close() (Info, error) {
	if w.err != nil {
		return Info{}, w.err
	}
	if w.footer.info.Runs == 0 {
		return Info{}, w.fail(fmt.Errorf("%w: no runs", ErrInvalid))
	}
	if err := w.endObjects(); err != nil {
		return Info{}, err
	}
	if err := w.flushAborted(); err != nil {
		return Info{}, err
	}
	if n := w.footer.size() - trailerSize; n > maxFooter {
		return Info{}, w.fail(fmt.Errorf("%w: footer of %d bytes", ErrInvalid, n))
	}
	if err := w.write(appendFooter(w.scratch[:0], &w.footer, w.at)); err != nil {
		return Info{}, err
	}
	w.stage, w.err = ended, fmt.Errorf("%w: after the end", ErrInvalid)
	return w.footer.info, nil
}

// Size is the number of bytes written so far; after Close the manifest's.
func (w *Writer) Size() uint64 { return w.at }

func (w *Writer) flushRuns() error {
	if len(w.runs) == 0 {
		return nil
	}
	b := Block{First: w.runs[0].base, Last: w.runs[len(w.runs)-1].last, MaxTimestamp: math.MinInt64, Entries: uint32(len(w.runs))}
	for _, r := range w.runs {
		b.MaxTimestamp = max(b.MaxTimestamp, r.maxTimestamp)
	}
	err := w.block(&w.footer.runs, b, appendRuns(w.scratch[:0], w.runs))
	w.runs = w.runs[:0]
	return err
}

// endObjects writes the objects, all of which are there.
func (w *Writer) endObjects() error {
	if w.stage == takesAborted {
		return nil
	}
	if w.stage != takesObjects || len(w.objects) < len(w.extents) {
		return w.fail(fmt.Errorf("%w: %d objects, the runs lie in %d", ErrInvalid, len(w.objects), len(w.extents)))
	}
	w.stage = takesAborted
	sessions := make([]layout.Session, 0, len(w.objects))
	for _, o := range w.objects {
		sessions = append(sessions, o.Session)
	}
	slices.SortFunc(sessions, compareSessions)
	w.footer.sessions = slices.Clip(slices.Compact(sessions))
	w.footer.info.Objects = uint32(len(w.objects))
	for list := range slices.Chunk(w.objects, BlockEntries) {
		b := Block{First: list[0].Last, Last: list[len(list)-1].Last, Entries: uint32(len(list))}
		if err := w.block(&w.footer.objects, b, appendObjects(w.scratch[:0], list, w.footer.sessions)); err != nil {
			return err
		}
	}
	w.objects, w.extents = nil, nil
	return nil
}

func (w *Writer) flushAborted() error {
	if len(w.aborted) == 0 {
		return nil
	}
	b := Block{First: w.aborted[0].Last, Last: w.aborted[len(w.aborted)-1].Last, Entries: uint32(len(w.aborted))}
	err := w.block(&w.footer.aborted, b, appendAborted(w.scratch[:0], w.aborted))
	w.aborted = w.aborted[:0]
	return err
}

// block writes a block and enters it into an index.
func (w *Writer) block(index *[]Block, b Block, columns []byte) error {
	w.scratch = sealed(columns)
	b.Position, b.Length = w.at, uint32(len(w.scratch))
	*index = append(*index, b)
	return w.write(w.scratch)
}

func (w *Writer) write(p []byte) error {
	n, err := w.out.Write(p)
	if err == nil && n != len(p) {
		err = io.ErrShortWrite
	}
	if err != nil {
		return w.fail(fmt.Errorf("write manifest: %w", err))
	}
	w.at += uint64(n)
	return nil
}

func (w *Writer) fail(err error) error {
	w.err = err
	return err
}
