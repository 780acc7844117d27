package fsck

import (
	"context"
	"errors"
	"fmt"
	"sort"

	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/proto"

	"wadi/internal/batch"
	"wadi/metadata/checkpoint"
	"wadi/metadata/journal"
	pb "wadi/metadata/metadatapb"
	"wadi/objstore"
	"wadi/objstore/segment"
)

// readRuns reads every run where it lies, a bounded number of objects at a time.
func (c *checker) readRuns(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(c.o.Reads)
	for number, runs := range c.homes.segments {
		o, _ := c.state.Object(number)
		_, there := c.listed[number]
		g.Go(func() error { return c.readSegment(ctx, home{o.Key(c.objects), o.Size, there}, runs) })
	}
	for _, number := range c.folds.numbers() {
		if f := c.folds[number]; f.of != nil {
			g.Go(func() error { return c.readFolded(ctx, f) })
		}
	}
	for number, runs := range c.homes.archives {
		o, _ := c.state.Object(number)
		g.Go(func() error { return c.readArchive(ctx, o.Key(c.objects), o.Size, runs) })
	}
	g.Go(func() error { return c.readJournal(ctx) })
	return g.Wait()
}

// home is an object that runs lie in.
type home struct {
	key   string
	size  uint64
	there bool // in the bucket
}

// readSegment checks a segment as a whole and in the same pass the runs in it. Where that does not confirm a run, the
// run is read by itself: damage to one partition's bytes is no loss to the others.
func (c *checker) readSegment(ctx context.Context, o home, runs []piece) error {
	key := o.key
	if !o.there {
		for _, r := range runs {
			c.lost(r, fmt.Errorf("%s: %w", key, objstore.ErrNotFound))
		}
		return nil
	}
	w := &walk{runs: runs, confirmed: make([]bool, len(runs)), whole: c.read}
	err := segment.Verify(ctx, c.o.Store, key, int64(o.size), w.batch)
	if err != nil && !damage(err) {
		return err
	}
	if err != nil && !errors.Is(err, objstore.ErrNotFound) {
		c.finding(DamagedObject, key, "%v", err)
	}
	for i, r := range runs {
		if w.confirmed[i] {
			continue
		}
		data, err := c.o.Store.Get(ctx, key, int64(r.Offset), int64(r.Length))
		if err != nil && !damage(err) {
			return err
		}
		var sum tally
		if err == nil {
			sum, err = checkBytes(r, data)
		}
		if err == nil && w.foreign[i] {
			err = errors.New("its bytes lie in the section of another partition")
		}
		if err != nil {
			c.lost(r, fmt.Errorf("%s: %w", key, err))
			continue
		}
		c.read(sum)
	}
	return nil
}

// walk follows the batches of a segment along the runs in it, which are sorted by offset.
type walk struct {
	runs      []piece
	confirmed []bool
	foreign   map[int]bool
	whole     func(tally) // is told of runs that are confirmed

	section uint64 // offset of the present one
	at      uint64 // of the next batch
	i       int    // the first run that ends behind the next batch's start
	inside  bool   // whether batches of run i were seen
	sum     tally
}

func (w *walk) batch(s segment.SectionInfo, b batch.Batch) error {
	if s.Offset != w.section {
		w.section, w.at = s.Offset, s.Offset
	}
	begin := w.at
	w.at += uint64(b.Size())
	for w.i < len(w.runs) && end(w.runs[w.i]) <= begin {
		w.i, w.inside = w.i+1, false
	}
	if w.i == len(w.runs) {
		return nil
	}
	r := w.runs[w.i]
	if begin == uint64(r.Offset) {
		w.inside, w.sum = true, newTally(r)
	}
	if !w.inside {
		return nil // of a batch that was refused, or in front of a run that begins within a batch
	}
	if s.Topic != r.of.id || s.Partition != r.of.index {
		if w.foreign == nil {
			w.foreign = map[int]bool{}
		}
		w.foreign[w.i] = true
		return nil
	}
	w.sum.add(b)
	if w.at == end(r) && !w.foreign[w.i] && w.sum.end() == nil {
		w.confirmed[w.i] = true
		w.whole(w.sum)
	}
	return nil
}

func end(r piece) uint64 { return uint64(r.Offset) + uint64(r.Length) }

// readArchive checks inline runs, sorted by position, in the archive that State names. It reads the archive once; where
// that ends early, the runs that are left are looked up one by one.
func (c *checker) readArchive(ctx context.Context, key string, size uint64, runs []piece) error {
	left := runs
	_, _, err := checkpoint.EachEntry(ctx, c.o.Store, key, size, func(e journal.Entry) error {
		for len(left) > 0 && int64(left[0].Place) < e.Position {
			c.lost(left[0], fmt.Errorf("%s has no entry at position %d", key, left[0].Place))
			left = left[1:]
		}
		n := 0
		for n < len(left) && int64(left[n].Place) == e.Position {
			n++
		}
		c.inline(left[:n], e.Value)
		left = left[n:]
		return nil
	})
	if err != nil && !damage(err) {
		return err
	}
	if err != nil && !errors.Is(err, objstore.ErrNotFound) {
		c.finding(DamagedObject, key, "%v", err)
	}
	reader := checkpoint.NewReader(c.o.Store, c.objects, checkpoint.ReadsAhead)
	for _, r := range left {
		data, err := reader.Inline(ctx, key, size, int64(r.Place))
		if err != nil && !damage(err) {
			return err
		}
		if err == nil {
			err = inlineBytes(r, data)
		}
		if err != nil {
			c.lost(r, err)
		}
	}
	return nil
}

// inline checks the runs that lie in one entry.
func (c *checker) inline(runs []piece, value []byte) {
	if len(runs) == 0 {
		return
	}
	e := &pb.Entry{}
	err := proto.Unmarshal(value, e)
	for _, r := range runs {
		bad := err
		if bad == nil {
			bad = inlineBytes(r, e.Inline)
		}
		if bad != nil {
			c.lost(r, fmt.Errorf("inline at position %d: %w", r.Place, bad))
		}
	}
}

func inlineBytes(r piece, inline []byte) error {
	if uint64(r.Offset)+uint64(r.Length) > uint64(len(inline)) {
		return fmt.Errorf("bytes %d to %d of %d inline bytes", r.Offset, uint64(r.Offset)+uint64(r.Length), len(inline))
	}
	_, err := checkBytes(r, inline[r.Offset:r.Offset+r.Length])
	return err
}

// readJournal checks the inline runs that State knows in no archive: they lie in the journal's tail or, between a
// pointer and its Archived entries, in an archive that the newest root lists.
func (c *checker) readJournal(ctx context.Context) error {
	runs := c.homes.journal
	for len(runs) > 0 {
		position := int64(runs[0].Place)
		if a := c.archiveRef(position); a != nil {
			n := sort.Search(len(runs), func(i int) bool { return int64(runs[i].Place) > a.To })
			if err := c.readArchive(ctx, a.Object.Key, a.Object.Size, runs[:n]); err != nil {
				return err
			}
			runs = runs[n:]
			continue
		}
		n := sort.Search(len(runs), func(i int) bool { return int64(runs[i].Place) > position })
		k := sort.Search(len(c.tail), func(i int) bool { return c.tail[i].Position >= position })
		if k < len(c.tail) && c.tail[k].Position == position {
			c.inline(runs[:n], c.tail[k].Value)
		} else {
			for _, r := range runs[:n] {
				c.lost(r, fmt.Errorf("inline at position %d, which is neither in the journal nor in an archive", position))
			}
		}
		runs = runs[n:]
	}
	return nil
}

// archiveRef is the archive of the newest root that holds a position.
func (c *checker) archiveRef(position int64) *pb.ArchiveRef {
	if len(c.roots) == 0 {
		return nil
	}
	for _, a := range c.roots[len(c.roots)-1].root.Archives {
		if a.From < position && position <= a.To {
			return a
		}
	}
	return nil
}
