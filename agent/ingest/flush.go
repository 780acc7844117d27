package ingest

import (
	"cmp"
	"slices"

	"wadi/internal/layout"
	pb "wadi/metadata/metadatapb"
	"wadi/objstore/segment"
)

// Flush is a closed buffer: sections sorted by topic and partition, in each the batches of one producer side by side,
// in the order in which they came.
type Flush struct {
	Session layout.Session // whose object it is; 0 for inline flushes
	N       uint64         // the object's number in its session, 0 = inline
	items   []*Item        // in section order
	bytes   int
	state   flushState
	hedge   bool
	size    uint64   // of the object
	offsets []uint64 // of its sections
	err     error
	key     string // of the object
}

type flushState uint8

const (
	uploading flushState = iota
	uploaded
	failed
	proposed
)

// newFlush sorts a buffer's items. Within a partition, producers come in the order of their first batch.
func newFlush(b *buffer) *Flush {
	type producerOf struct {
		p   Partition
		pid int64
	}
	first := make(map[producerOf]int, len(b.items))
	for i, it := range b.items {
		k := producerOf{it.Partition, it.pid}
		if _, ok := first[k]; !ok {
			first[k] = i
		}
	}
	slices.SortStableFunc(b.items, func(x, y *Item) int {
		if c := cmp.Compare(x.Partition.Topic, y.Partition.Topic); c != 0 {
			return c
		}
		if c := cmp.Compare(x.Partition.Index, y.Partition.Index); c != 0 {
			return c
		}
		return cmp.Compare(first[producerOf{x.Partition, x.pid}], first[producerOf{y.Partition, y.pid}])
	})
	return &Flush{items: b.items, bytes: b.bytes}
}

// Bytes is how many bytes of batches the flush holds, Batches how many batches.
func (f *Flush) Bytes() int   { return f.bytes }
func (f *Flush) Batches() int { return len(f.items) }

// Sections is the flush in the form of a segment. The chunks alias the batches.
func (f *Flush) Sections() []segment.Section {
	var list []segment.Section
	for i, it := range f.items {
		if i == 0 || f.items[i-1].Partition != it.Partition {
			list = append(list, segment.Section{
				Topic: it.TopicID, Partition: it.Partition.Index, BaseOffset: -1, MaxTimestamp: it.maxTime,
			})
		}
		s := &list[len(list)-1]
		s.Chunks = append(s.Chunks, it.Data)
		s.Batches++
		s.Records += int(it.records)
		s.MaxTimestamp = max(s.MaxTimestamp, it.maxTime)
	}
	return list
}

// inlineChunks is the flush's bytes in section order.
func (f *Flush) inlineChunks() [][]byte {
	chunks := make([][]byte, len(f.items))
	for i, it := range f.items {
		chunks[i] = it.Data
	}
	return chunks
}

// command is the flush as AppendBatches. The first max timestamp is absolute; the proposer makes it relative.
func (f *Flush) command() *pb.Command {
	a := &pb.AppendBatches{Flush: f.N, Hedge: f.hedge, Size: f.size}
	offset, last := uint64(0), int64(0)
	for i, it := range f.items {
		var prev *Item
		if i > 0 {
			prev = f.items[i-1]
		}
		section := prev == nil || prev.Partition != it.Partition
		if section {
			at := offset
			if f.N != 0 {
				at = f.offsets[len(a.Topics)]
			}
			a.Topics = append(a.Topics, it.Partition.Topic)
			a.Partitions = append(a.Partitions, uint32(it.Partition.Index))
			a.Offsets = append(a.Offsets, at)
			a.Runs = append(a.Runs, 0)
		}
		if section || !it.follows(prev) {
			a.Runs[len(a.Runs)-1]++
			a.ProducerIds = append(a.ProducerIds, it.pid)
			a.ProducerEpochs = append(a.ProducerEpochs, int32(it.epoch))
			a.Sequences = append(a.Sequences, it.seq)
			a.Batches = append(a.Batches, 0)
		}
		a.Batches[len(a.Batches)-1]++
		a.Records = append(a.Records, uint32(it.records))
		a.Bytes = append(a.Bytes, uint32(len(it.Data)))
		a.MaxTimestamps = append(a.MaxTimestamps, it.maxTime-last)
		last = it.maxTime
		offset += uint64(len(it.Data))
	}
	return &pb.Command{Kind: &pb.Command_AppendBatches{AppendBatches: a}}
}

// follows reports whether the item's sequence continues prev's, so that one producer run holds both.
func (it *Item) follows(prev *Item) bool {
	if it.pid != prev.pid || it.epoch != prev.epoch {
		return false
	}
	return it.pid < 0 || it.seq == addSequence(prev.seq, prev.records)
}
