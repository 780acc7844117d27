package fsck

import (
	"cmp"
	"context"
	"encoding/binary"
	"slices"

	"wadi/internal/batch"
	"wadi/metadata/manifest"
	"wadi/metadata/state"
)

// mark is the end of an aborted transaction in a log.
type mark struct {
	offset   int64
	producer int64
}

func (m mark) compare(n mark) int {
	return cmp.Or(cmp.Compare(m.offset, n.offset), cmp.Compare(m.producer, n.producer))
}

// aborts reports whether a control batch ends a transaction by an abort: its record's key is {version, type}.
func aborts(b batch.Batch) bool {
	it := b.Iter()
	defer it.Close()
	r, ok := it.Next()
	return ok && len(r.Key) >= 4 && binary.BigEndian.Uint16(r.Key[2:]) == 0
}

// judgeAborts compares the markers in the logs with the aborted transactions that State and the manifests list. Readers
// of committed records pass over what is listed, and nothing else.
func (c *checker) judgeAborts(ctx context.Context) error {
	manifests := map[*partition]*fold{}
	for _, f := range c.folds {
		if f.of != nil {
			manifests[f.of] = f
		}
	}
	for _, of := range c.partitions {
		if of.damaged {
			continue // that is reported, and what it held is not known
		}
		p := c.state.TopicByNumber(of.number).Partition(of.index)
		found := of.aborts
		p.EachRun(func(r state.Run) {
			if r.Marker() && !r.MarkerCommits() {
				id, _ := r.MarkerProducer()
				found = append(found, mark{r.Base, id})
			}
		})
		var listed []mark
		if f := manifests[of]; f != nil {
			list, err := c.abortedIn(ctx, f)
			if err != nil {
				if err := c.badManifest(f, err); err != nil {
					return err
				}
				continue
			}
			listed = list
		}
		p.EachAborted(func(a state.AbortedTxn) { listed = append(listed, mark{a.Last, a.ProducerID}) })
		c.sameAborts(of, found, listed)
	}
	return nil
}

func (c *checker) abortedIn(ctx context.Context, f *fold) ([]mark, error) {
	r, err := manifest.Open(ctx, c.o.Store, f.key, f.size)
	if err != nil {
		return nil, err
	}
	var list []mark
	for i := range r.AbortedBlocks() {
		some, err := r.AbortedBlock(ctx, i)
		if err != nil {
			return nil, err
		}
		for _, a := range some {
			list = append(list, mark{a.Last, a.ProducerID})
		}
	}
	return list, nil
}

// sameAborts compares two lists of one log. What lies below its start is dropped sooner or later, and a compaction that has
// passed a marker leaves nothing of its transaction.
func (c *checker) sameAborts(of *partition, found, listed []mark) {
	slices.SortFunc(found, mark.compare)
	slices.SortFunc(listed, mark.compare)
	for _, m := range listed {
		if _, ok := slices.BinarySearchFunc(found, m, mark.compare); !ok && m.offset >= of.start {
			c.finding(BadState, of.String(), "an aborted transaction of producer %d is listed up to offset %d, where no marker of it is", m.producer, m.offset)
		}
	}
	for _, m := range found {
		if _, ok := slices.BinarySearchFunc(listed, m, mark.compare); !ok && m.offset >= max(of.start, of.compacted) {
			c.finding(BadState, of.String(), "the transaction of producer %d that is aborted at offset %d is not listed: readers get its records",
				m.producer, m.offset)
		}
	}
}
