package state

import pb "wadi/metadata/metadatapb"

// warmer walks to the producers of a command's batches before they are judged, one level of pointers at a time. What it
// finds is thrown away: its use is that the loads of one level do not depend on each other, so the processor waits for
// many cache misses at once, where judging batch after batch waits for each. With half a million (producer, partition)
// pairs that is most of Apply's time.
type warmer struct {
	parts   []*Partition
	ids     []uint64
	buckets []*bucket[producer]
	sum     uint64 // keeps the loads from being optimised away
}

// warm expects a well-formed command.
func (w *warmer) warm(s *State, c *pb.AppendBatches) {
	w.parts, w.ids, w.buckets = w.parts[:0], w.ids[:0], w.buckets[:0]
	run := 0
	for i, number := range c.Topics {
		end := run + int(c.Runs[i])
		if t := s.TopicByNumber(number); t != nil && int(c.Partitions[i]) < len(t.parts) {
			for _, id := range c.ProducerIds[run:end] {
				w.parts, w.ids = append(w.parts, t.parts[c.Partitions[i]]), append(w.ids, uint64(id))
			}
		}
		run = end
	}
	for i, p := range w.parts {
		if k := len(p.runs.chunks); k > 0 {
			w.sum += uint64(len(p.runs.chunks[k-1]))
		}
		if p.producers.n > 0 {
			w.buckets = append(w.buckets, p.producers.buckets[p.producers.index(w.ids[i])])
		} else {
			w.buckets = append(w.buckets, nil)
		}
	}
	for i, b := range w.buckets {
		if b == nil {
			continue
		}
		for j := range b.items {
			if b.items[j].key == w.ids[i] {
				w.sum += b.items[j].value.stamp
				break
			}
		}
	}
	clear(w.parts) // keeps nothing alive
	clear(w.buckets)
}
