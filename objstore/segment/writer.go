package segment

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"

	"wadi/internal/batch"
)

// ErrOrder: the Writer's calls came in an order that makes no segment.
var ErrOrder = errors.New("segment written out of order")

// Writer writes a segment front to back without holding it: header, each section as its batches come, footer and
// trailer. The bytes are those of Build for the same content. It remembers 64 bytes or so per section. Any error is its
// end: what was written is no segment, and later calls return the same error.
type Writer struct {
	out      io.Writer
	meta     Meta
	sections []SectionInfo // the last one is being written
	at       uint64        // position behind what was written
	err      error
}

// NewWriter writes the header to out. Errors are ErrInvalid and out's.
func NewWriter(out io.Writer, meta Meta) (*Writer, error) {
	// A footer of one section: the number of those to come is checked as they do.
	if _, err := footerSize(meta, make([]Section, 1)); err != nil {
		return nil, err
	}
	w := &Writer{out: out, meta: meta}
	if err := w.write(appendHeader(make([]byte, 0, headerSize), meta.Kind)); err != nil {
		return nil, err
	}
	return w, nil
}

// Size is the number of bytes written so far; after Close the object's.
func (w *Writer) Size() int64 { return int64(w.at) }

// Begin ends the section before and begins one of the given partition. baseOffset is the first record's, -1 in flush
// segments. It returns the section's position in the object.
func (w *Writer) Begin(topic [16]byte, partition int32, baseOffset int64) (position uint64, err error) {
	if err := w.endSection(); err != nil {
		return 0, err
	}
	if footerFixed+len(w.meta.ClusterID)+(len(w.sections)+1)*sectionSize > maxFooter {
		return 0, w.fail(fmt.Errorf("%w: %d sections", ErrInvalid, len(w.sections)+1))
	}
	w.sections = append(w.sections, SectionInfo{Topic: topic, Partition: partition, BaseOffset: baseOffset, Offset: w.at,
		MaxTimestamp: math.MinInt64})
	return w.at, nil
}

// Append writes whole batches of the section: so many of them, with so many records, the largest of whose max timestamps
// is maxTimestamp. As with Build, that this is so is up to the caller. The chunk is not retained unless out retains it.
func (w *Writer) Append(chunk []byte, batches, records int, maxTimestamp int64) error {
	switch {
	case w.err != nil:
		return w.err
	case len(w.sections) == 0:
		return w.fail(fmt.Errorf("%w: batches before the first section", ErrOrder))
	case batches < 0 || records < 0:
		return w.fail(fmt.Errorf("%w: %d batches of %d records", ErrInvalid, batches, records))
	}
	if err := w.write(chunk); err != nil {
		return err
	}
	s := &w.sections[len(w.sections)-1]
	s.CRC = crc32.Update(s.CRC, castagnoli, chunk)
	s.Length += uint64(len(chunk))
	s.Batches += batches
	s.Records += records
	s.MaxTimestamp = max(s.MaxTimestamp, maxTimestamp)
	return nil
}

// AppendBatch is Append for one batch, which says itself what it holds.
func (w *Writer) AppendBatch(b batch.Batch) error {
	return w.Append(b, 1, int(b.NumRecords()), b.MaxTimestamp())
}

// Close ends the last section, writes footer and trailer and returns the table of contents. It does not close out.
func (w *Writer) Close() (*Footer, error) {
	if err := w.endSection(); err != nil {
		return nil, err
	}
	if len(w.sections) == 0 {
		return nil, w.fail(fmt.Errorf("%w: no sections", ErrInvalid))
	}
	size := footerFixed + len(w.meta.ClusterID) + len(w.sections)*sectionSize
	tail := appendFooterHead(make([]byte, 0, size+trailerSize), w.meta, len(w.sections))
	for i := range w.sections {
		tail = w.sections[i].appendTo(tail)
	}
	if err := w.write(appendTrailer(tail, w.at)); err != nil {
		return nil, err
	}
	w.err = fmt.Errorf("%w: after the end", ErrOrder)
	return &Footer{Meta: w.meta, Version: Version1, Sections: w.sections}, nil
}

// endSection checks the section that was being written.
func (w *Writer) endSection() error {
	if w.err != nil || len(w.sections) == 0 {
		return w.err
	}
	last := len(w.sections) - 1
	if err := w.sections[last].check(w.meta.Kind); err != nil {
		return w.fail(fmt.Errorf("%w: section %d: %w", ErrInvalid, last, err))
	}
	return nil
}

func (w *Writer) write(p []byte) error {
	n, err := w.out.Write(p)
	if err == nil && n != len(p) {
		err = io.ErrShortWrite
	}
	if err != nil {
		return w.fail(fmt.Errorf("write segment: %w", err))
	}
	w.at += uint64(n)
	return nil
}

func (w *Writer) fail(err error) error {
	w.err = err
	return err
}
