package manifest

import (
	"encoding/binary"
	"fmt"
	"math"

	"wadi/metadata/state"
)

// leastAborted is the least an aborted transaction takes in a block, in bytes.
const leastAborted = 4

// Aborted is an aborted transaction whose marker lies in the manifest's runs. Its first record may lie below them.
type Aborted = state.AbortedTxn

func appendAborted(dst []byte, list []Aborted) []byte {
	before := int64(0)
	for _, a := range list {
		dst = binary.AppendVarint(dst, a.ProducerID-before)
		before = a.ProducerID
	}
	before = list[0].Last
	for _, a := range list {
		dst = binary.AppendUvarint(dst, uint64(a.Last-before))
		before = a.Last
	}
	for _, a := range list {
		dst = binary.AppendUvarint(dst, uint64(a.Last-a.First))
	}
	for _, a := range list {
		dst = binary.AppendVarint(dst, a.Stable-a.Last)
	}
	return dst
}

func parseAborted(x Block, data []byte) ([]Aborted, error) {
	c, err := opened(x, data)
	if err != nil {
		return nil, err
	}
	if x.Entries == 0 || x.Entries > BlockEntries || uint64(len(c.b)) < uint64(x.Entries)*leastAborted {
		return nil, corrupt("%d aborted transactions in %d bytes", x.Entries, len(c.b))
	}
	list := make([]Aborted, x.Entries)
	id := int64(0)
	for i := range list {
		id += c.signed()
		list[i].ProducerID = id
	}
	last := x.First
	for i := range list {
		more := c.unsigned()
		if (i == 0) != (more == 0) || more > uint64(x.Last-last) {
			return nil, corrupt("marker %d lies %d behind offset %d", i, more, last)
		}
		last += int64(more)
		list[i].Last = last
	}
	for i := range list {
		a, back := &list[i], c.unsigned()
		if back > uint64(a.Last) {
			return nil, corrupt("the transaction of the marker at %d begins %d before", a.Last, back)
		}
		a.First = a.Last - int64(back)
	}
	for i := range list {
		a := &list[i]
		if a.Stable = a.Last + c.signed(); checkAborted(a) != nil {
			return nil, corrupt("aborted transaction %+v", *a)
		}
	}
	if !c.whole() || last != x.Last {
		return nil, corrupt("markers to offset %d, the index says %d", last, x.Last)
	}
	return list, nil
}

// checkAborted reports why an aborted transaction cannot be in a manifest.
func checkAborted(a *Aborted) error {
	if a.ProducerID < 0 || a.First < 0 || a.Last < a.First || a.Last == math.MaxInt64 || a.Stable < 0 {
		return fmt.Errorf("aborted transaction %+v", *a)
	}
	return nil
}

// Overlapping appends to dst those of a block that overlap the offsets from `from` to `to`, both included, and tells
// whether none that comes later does.
func Overlapping(list []Aborted, from, to int64, dst []Aborted) (_ []Aborted, done bool) {
	for _, a := range list {
		if a.Last >= from && a.First <= to {
			dst = append(dst, a)
		}
		if a.Stable > to {
			return dst, true
		}
	}
	return dst, false
}
