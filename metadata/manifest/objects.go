package manifest

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"wadi/internal/layout"
)

// leastObject is the least an object takes in a block, in bytes.
const leastObject = 8

// appendObjects appends a block's columns. sessions is the footer's list.
func appendObjects(dst []byte, objects []Object, sessions []layout.Session) []byte {
	for _, o := range objects {
		i, _ := slices.BinarySearchFunc(sessions, o.Session, compareSessions)
		dst = binary.AppendUvarint(dst, uint64(i))
	}
	differences := func(of func(Object) int64) {
		before := int64(0)
		for _, o := range objects {
			v := of(o)
			dst = binary.AppendVarint(dst, v-before)
			before = v
		}
	}
	differences(func(o Object) int64 { return int64(o.N) })
	differences(func(o Object) int64 { return int64(o.Number) })
	for _, o := range objects {
		dst = binary.AppendUvarint(dst, o.Size)
	}
	differences(func(o Object) int64 { return o.Introduced })
	last := int64(-1)
	for _, o := range objects {
		dst = binary.AppendVarint(dst, o.First-last-1)
		last = o.Last
	}
	for _, o := range objects {
		dst = binary.AppendUvarint(dst, uint64(o.Last-o.First))
	}
	for _, o := range objects {
		dst = binary.AppendUvarint(dst, o.Size-uint64(o.Bytes))
	}
	return dst
}

// parseObjects decodes a block of objects.
func parseObjects(x Block, data []byte, sessions []layout.Session) ([]Object, error) {
	c, err := opened(x, data)
	if err != nil {
		return nil, err
	}
	if x.Entries == 0 || x.Entries > BlockEntries || uint64(len(c.b)) < uint64(x.Entries)*leastObject {
		return nil, corrupt("%d objects in %d bytes", x.Entries, len(c.b))
	}
	list := make([]Object, x.Entries)
	for i := range list {
		k := c.unsigned()
		if k >= uint64(len(sessions)) {
			return nil, corrupt("object %d is of session %d of %d", i, k, len(sessions))
		}
		list[i].Session = sessions[k]
	}
	differences := func(to func(*Object, int64)) {
		v := int64(0)
		for i := range list {
			v += c.signed()
			to(&list[i], v)
		}
	}
	differences(func(o *Object, v int64) { o.N = uint64(v) })
	differences(func(o *Object, v int64) { o.Number = uint64(v) })
	for i := range list {
		list[i].Size = c.unsigned()
	}
	differences(func(o *Object, v int64) { o.Introduced = v })
	firsts := c // they build on the last offsets, which come behind them
	for range list {
		c.signed()
	}
	last := int64(-1)
	for i := range list {
		o := &list[i]
		o.First = last + 1 + firsts.signed()
		more := c.unsigned()
		if o.First < 0 || more > uint64(math.MaxInt64-o.First) || o.First+int64(more) <= last {
			return nil, corrupt("object %d from offset %d on, %d more; the one before ends at %d", i, o.First, more, last)
		}
		o.Last = o.First + int64(more)
		last = o.Last
	}
	for i := range list {
		o, rest := &list[i], c.unsigned()
		if o.Size > math.MaxUint32 || rest >= o.Size {
			return nil, corrupt("object %d of %d bytes, %d of no use", i, o.Size, rest)
		}
		o.Bytes = int64(o.Size - rest)
		if err := o.check(); err != nil {
			return nil, corrupt("object %d: %w", i, err)
		}
	}
	if !c.whole() || list[0].Last != x.First || last != x.Last {
		return nil, corrupt("objects that end at %d to %d, the index says %d to %d", list[0].Last, last, x.First, x.Last)
	}
	return list, nil
}

// check reports why an object cannot be in a manifest. It is the same for writers and readers.
func (o *Object) check() error {
	switch {
	case o.N == 0 || o.Number == 0 || o.Introduced < 0:
		return fmt.Errorf("number %d, n %d, introduced at %d", o.Number, o.N, o.Introduced)
	case o.First < 0 || o.Last < o.First:
		return fmt.Errorf("offsets %d to %d", o.First, o.Last)
	case o.Size > math.MaxUint32 || o.Bytes <= 0 || uint64(o.Bytes) > o.Size:
		return fmt.Errorf("%d of %d bytes", o.Bytes, o.Size)
	}
	return nil
}
