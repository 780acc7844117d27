package manifest

import (
	"encoding/binary"
	"math"

	"wadi/metadata/state"
)

// leastRun is the least a run takes in a block, in bytes: one per column.
const leastRun = 5

// run is a run as it lies in a block.
type run struct {
	base, last, maxTimestamp int64
	object                   uint32
	offset, length           uint32
}

// appendRuns appends a block's columns.
func appendRuns(dst []byte, runs []run) []byte {
	for _, r := range runs {
		dst = binary.AppendUvarint(dst, uint64(r.last-r.base))
	}
	before := run{}
	for _, r := range runs {
		dst = binary.AppendVarint(dst, int64(r.object)-int64(before.object))
		before = r
	}
	for i, r := range runs {
		dst = binary.AppendVarint(dst, int64(r.offset)-expected(runs, i, r.object))
	}
	for _, r := range runs {
		dst = binary.AppendUvarint(dst, uint64(r.length))
	}
	before = run{}
	for _, r := range runs {
		dst = binary.AppendVarint(dst, r.maxTimestamp-before.maxTimestamp)
		before = r
	}
	return dst
}

// expected is where a run's bytes begin most times: behind those of the run before.
func expected(runs []run, i int, object uint32) int64 {
	if i == 0 || runs[i-1].object != object {
		return 0
	}
	return int64(runs[i-1].offset) + int64(runs[i-1].length)
}

// parseRuns decodes a block of runs. objects is how many objects the manifest has.
func parseRuns(x Block, data []byte, objects uint32) ([]run, error) {
	c, err := opened(x, data)
	if err != nil {
		return nil, err
	}
	if x.Entries == 0 || x.Entries > BlockEntries || uint64(len(c.b)) < uint64(x.Entries)*leastRun {
		return nil, corrupt("%d runs in %d bytes", x.Entries, len(c.b))
	}
	runs := make([]run, x.Entries)
	base := x.First
	for i := range runs {
		more := c.unsigned()
		if base > x.Last || more > uint64(x.Last-base) {
			return nil, corrupt("run %d of the block of offsets %d to %d ends behind it", i, x.First, x.Last)
		}
		runs[i].base, runs[i].last = base, base+int64(more)
		base = runs[i].last + 1
	}
	index, top := int64(0), int64(math.MinInt64)
	for i := range runs {
		index += c.signed()
		if index < 0 || index >= int64(objects) {
			return nil, corrupt("run %d lies in object %d of %d", i, index, objects)
		}
		runs[i].object = uint32(index)
	}
	at := c // lengths come behind the positions, which build on them
	for range runs {
		c.signed()
	}
	for i := range runs {
		n := c.unsigned()
		if n == 0 || n > math.MaxUint32 {
			return nil, corrupt("run %d of %d bytes", i, n)
		}
		runs[i].length = uint32(n)
	}
	for i := range runs {
		position := expected(runs, i, runs[i].object) + at.signed()
		if position < 0 || position > math.MaxUint32 {
			return nil, corrupt("run %d at byte %d", i, position)
		}
		runs[i].offset = uint32(position)
	}
	ms := int64(0)
	for i := range runs {
		ms += c.signed()
		runs[i].maxTimestamp = ms
		top = max(top, ms)
	}
	if !c.whole() || base-1 != x.Last || top != x.MaxTimestamp {
		return nil, corrupt("runs to offset %d, largest timestamp %d; the index says %d and %d", base-1, top, x.Last, x.MaxTimestamp)
	}
	return runs, nil
}

// resolve makes a run of what lies in a block.
func (r run) resolve(o Object) (Run, error) {
	if uint64(r.offset)+uint64(r.length) > o.Size || r.base < o.First || r.last > o.Last {
		return Run{}, corrupt("run of offsets %d to %d, %d bytes at %d of an object of %d", r.base, r.last, r.length, r.offset, o.Size)
	}
	return Run{Index: r.object, Object: o, Run: state.Run{
		Base: r.base, Last: r.last, MaxTimestamp: r.maxTimestamp, Place: o.Number, Offset: r.offset, Length: r.length,
		Flags: state.RunPlaced,
	}}, nil
}
