package fetch

import (
	"cmp"
	"slices"

	"wadi/agent/api"
	"wadi/internal/batch"
	"wadi/metadata/manifest"
	"wadi/metadata/state"
)

// A transaction's marker is a run without bytes: its control batch is made here, for each answer anew, out of what State
// says. It costs no read. Readers of both isolation levels get it, as in Apache Kafka.

// marker is the control batch of a run, appended to dst.
func marker(dst []byte, r *state.Run) []byte {
	return r.MarkerBatch().AppendTo(dst)
}

// marker is the control batch of a run, in the array that the markers of an answer share.
func (f *fetch) marker(r *state.Run) []byte {
	if f.markers == nil {
		n := 0
		for i := range f.places {
			if f.places[i].run.Marker() {
				n++
			}
		}
		f.markers = make([]byte, 0, n*batch.MarkerBytes)
	}
	at := len(f.markers)
	f.markers = marker(f.markers, r)
	return slices.Clip(f.markers[at:])
}

// aborted lists the aborted transactions that overlap what is planned for a part (Semantics line 44): it is of the same
// State as everything else that the answer says. Those that begin first come first: Apache Kafka lists them in the order
// in which they ended, and promises none, but KafkaJS goes by where they begin and shows aborted records else.
func (f *fetch) aborted(old *folded, x *state.Partition, part *api.FetchPart, last int64) {
	f.overlaps = f.overlaps[:0]
	if old != nil {
		f.overlaps, _ = manifest.Overlapping(old.aborted, part.Offset, last, f.overlaps)
	}
	f.overlaps = x.Aborted(part.Offset, last, f.overlaps)
	if len(f.overlaps) == 0 {
		return
	}
	part.Aborted = make([]api.Aborted, len(f.overlaps))
	for i, a := range f.overlaps {
		part.Aborted[i] = api.Aborted{ProducerID: a.ProducerID, FirstOffset: a.First}
	}
	slices.SortFunc(part.Aborted, func(a, b api.Aborted) int { return cmp.Compare(a.FirstOffset, b.FirstOffset) })
}

// onlyRead keeps of a part's aborted transactions those that begin in what was read, as limits may have cut the plan.
func onlyRead(part *api.FetchPart) {
	if len(part.Aborted) == 0 {
		return
	}
	last := lastOffset(part.Records)
	part.Aborted = slices.DeleteFunc(part.Aborted, func(a api.Aborted) bool { return a.FirstOffset > last })
}

// lastOffset is that of the last record, -1 when there is none.
func lastOffset(chunks [][]byte) int64 {
	if len(chunks) == 0 {
		return -1
	}
	for rest := chunks[len(chunks)-1]; ; {
		b, tail, err := batch.Split(rest)
		if err != nil {
			return -1 // what was patched has whole batches alone
		}
		if rest = tail; len(rest) == 0 {
			return b.LastOffset()
		}
	}
}
