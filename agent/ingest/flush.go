package ingest

import (
	"cmp"
	"context"
	"slices"
	"time"

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
	opened  time.Duration // arrival of the first item
	state   flushState
	hedge   bool
	size    uint64   // of the object
	offsets []uint64 // of its sections
	err     error    // of the upload

	// Of the shell:
	key    string // of the object: the first name until it is stored, then the one that holds it
	second string // the name of the hedge
	closed time.Duration
	ctx    context.Context // of the upload
	cancel context.CancelFunc
}

type flushState uint8

const (
	uploading flushState = iota // or, before it has a number, ready to be uploaded
	uploaded
	proposed
	abandoned // its session was lost while it was uploading
)

// seal makes a flush of a buffer and empties it.
func (c *Core) seal(b *buffer) *Flush {
	f := &Flush{bytes: b.bytes, opened: b.opened}
	if b.items > 0 {
		f.items = make([]*Item, 0, b.items)
	}
	if len(b.parts) > 1 {
		slices.SortFunc(b.parts, func(x, y *partState) int {
			return cmp.Or(cmp.Compare(x.id.Topic, y.id.Topic), cmp.Compare(x.id.Index, y.id.Index))
		})
	}
	for _, p := range b.parts {
		start := len(f.items)
		for it := p.chain[b.lane].first; it != nil; {
			f.items = append(f.items, it)
			it, it.next = it.next, nil
		}
		p.chain[b.lane] = chain{}
		groupProducers(f.items[start:])
	}
	clear(b.parts)
	b.parts, b.items, b.bytes = b.parts[:0], 0, 0
	return f
}

// groupProducers brings the batches of one producer together, for that makes their description short. No batch passes
// an earlier one of its connection or of its producer: where it would, its producer's group is opened a second time.
func groupProducers(items []*Item) {
	mixed := false
	for _, it := range items {
		if it.pid != items[0].pid {
			mixed = true
			break
		}
	}
	if !mixed {
		return
	}
	groups := int32(0)
	ofProducer, ofConn := map[int64]int32{}, map[uint64]int32{}
	for _, it := range items {
		g, ok := ofProducer[it.pid]
		if !ok || g < ofConn[it.request.Conn] {
			groups++
			g = groups
			ofProducer[it.pid] = g
		}
		ofConn[it.request.Conn], it.group = g, g
	}
	slices.SortStableFunc(items, func(x, y *Item) int { return cmp.Compare(x.group, y.group) })
}

// Bytes is how many bytes of batches the flush holds, Batches how many batches.
func (f *Flush) Bytes() int   { return f.bytes }
func (f *Flush) Batches() int { return len(f.items) }

// sections counts the partitions.
func (f *Flush) sections() int {
	n := 0
	for i, it := range f.items {
		if i == 0 || f.items[i-1].Partition != it.Partition {
			n++
		}
	}
	return n
}

// Sections is the flush in the form of a segment. The chunks alias the batches.
func (f *Flush) Sections() []segment.Section {
	list := make([]segment.Section, 0, f.sections())
	chunks := f.inlineChunks() // all sections' share one array
	for i, it := range f.items {
		if i == 0 || f.items[i-1].Partition != it.Partition {
			list = append(list, segment.Section{
				Topic: it.TopicID, Partition: it.Partition.Index, BaseOffset: -1, MaxTimestamp: it.maxTime,
				Chunks: chunks[i:i:i],
			})
		}
		s := &list[len(list)-1]
		s.Chunks = chunks[i-len(s.Chunks) : i+1 : i+1]
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
	n, sections := len(f.items), f.sections()
	a := &pb.AppendBatches{
		Flush: f.N, Hedge: f.hedge, Size: f.size,
		Topics: make([]uint64, 0, sections), Partitions: make([]uint32, 0, sections),
		Offsets: make([]uint64, 0, sections), Runs: make([]uint32, 0, sections),
		ProducerIds: make([]int64, 0, sections), ProducerEpochs: make([]int32, 0, sections),
		Sequences: make([]int32, 0, sections), Batches: make([]uint32, 0, sections),
		Records: make([]uint32, 0, n), Bytes: make([]uint32, 0, n), MaxTimestamps: make([]int64, 0, n),
	}
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
			a.Transactional = it.mark(a)
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

// mark is the column of memberships with that of the run that the item opens, the last one so far. Where no run is of a
// transaction there is no column.
func (it *Item) mark(a *pb.AppendBatches) []uint32 {
	column := a.Transactional
	if it.txn != outside && column == nil {
		column = make([]uint32, len(a.Batches)-1, cap(a.Batches))
	}
	if column != nil {
		column = append(column, uint32(it.txn))
	}
	return column
}

// follows reports whether the item's sequence continues prev's, so that one producer run holds both.
func (it *Item) follows(prev *Item) bool {
	if it.pid != prev.pid || it.epoch != prev.epoch || it.txn != prev.txn {
		return false
	}
	return it.pid < 0 || it.seq == addSequence(prev.seq, prev.records)
}
