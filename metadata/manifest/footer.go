package manifest

import (
	"cmp"
	"encoding/binary"
	"hash/crc32"
	"math"
	"slices"

	"wadi/internal/layout"
)

// footer is what a reader needs to find everything else.
type footer struct {
	info     Info
	sessions []layout.Session
	runs     []Block
	objects  []Block
	aborted  []Block
}

func compareSessions(a, b layout.Session) int { return cmp.Compare(uint64(a), uint64(b)) }

func appendHeader(dst []byte) []byte {
	dst = append(dst, headerMagic...)
	dst = binary.BigEndian.AppendUint16(dst, Version1)
	dst = append(dst, 0, 0)
	return binary.BigEndian.AppendUint32(dst, crc32.Checksum(dst, castagnoli))
}

// size is that of footer and trailer.
func (f *footer) size() int {
	return footerFixed + 8*len(f.sessions) + indexSize*(len(f.runs)+len(f.objects)+len(f.aborted)) + trailerSize
}

// appendFooter appends footer and trailer of a manifest whose blocks end at position at.
func appendFooter(dst []byte, f *footer, at uint64) []byte {
	start := len(dst)
	i := &f.info
	dst = append(dst, i.Topic[:]...)
	dst = binary.BigEndian.AppendUint32(dst, uint32(i.Partition))
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(f.sessions)))
	for _, v := range []int64{i.First, i.Last, int64(i.Runs), i.Bytes, i.MaxTimestamp} {
		dst = binary.BigEndian.AppendUint64(dst, uint64(v))
	}
	for _, v := range []uint32{i.Objects, i.Aborted, uint32(len(f.runs)), uint32(len(f.objects)), uint32(len(f.aborted)), 0} {
		dst = binary.BigEndian.AppendUint32(dst, v)
	}
	for _, s := range f.sessions {
		dst = binary.BigEndian.AppendUint64(dst, uint64(s))
	}
	for _, blocks := range [][]Block{f.runs, f.objects, f.aborted} {
		for _, b := range blocks {
			dst = b.appendTo(dst)
		}
	}
	length := len(dst) - start
	dst = binary.BigEndian.AppendUint32(dst, uint32(length))
	dst = binary.BigEndian.AppendUint16(dst, Version1)
	dst = append(dst, 0, 0)
	dst = binary.BigEndian.AppendUint64(dst, at+uint64(length)+trailerSize)
	dst = binary.BigEndian.AppendUint32(dst, crc32.Checksum(dst[start:], castagnoli))
	return append(dst, trailerMagic...)
}

func (b *Block) appendTo(dst []byte) []byte {
	for _, v := range []uint64{uint64(b.First), uint64(b.Last), uint64(b.MaxTimestamp), b.Position} {
		dst = binary.BigEndian.AppendUint64(dst, v)
	}
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(dst, b.Length), b.Entries)
}

func (b *Block) parse(p []byte) {
	b.First, b.Last = int64(binary.BigEndian.Uint64(p)), int64(binary.BigEndian.Uint64(p[8:]))
	b.MaxTimestamp, b.Position = int64(binary.BigEndian.Uint64(p[16:])), binary.BigEndian.Uint64(p[24:])
	b.Length, b.Entries = binary.BigEndian.Uint32(p[32:]), binary.BigEndian.Uint32(p[36:])
}

// parseFooter reads the footer from the last bytes of a manifest of size bytes. need tells how many bytes that takes when
// those are too few.
func parseFooter(tail []byte, size uint64) (f *footer, need uint64, err error) {
	if uint64(len(tail)) > size || len(tail) < trailerSize || size < headerSize+footerFixed+trailerSize {
		return nil, 0, corrupt("%d bytes of %d", len(tail), size)
	}
	trailer := tail[len(tail)-trailerSize:]
	if string(trailer[20:]) != trailerMagic {
		return nil, 0, corrupt("no trailer")
	}
	if v := binary.BigEndian.Uint16(trailer[4:]); v != Version1 {
		return nil, 0, unknownVersion(v)
	}
	length := uint64(binary.BigEndian.Uint32(trailer))
	switch {
	case binary.BigEndian.Uint64(trailer[8:]) != size:
		return nil, 0, corrupt("the trailer tells of %d bytes, there are %d", binary.BigEndian.Uint64(trailer[8:]), size)
	case length < footerFixed || length > maxFooter || length > size-headerSize-trailerSize:
		return nil, 0, corrupt("footer of %d bytes", length)
	case length+trailerSize > uint64(len(tail)):
		return nil, length + trailerSize, nil
	}
	end := tail[uint64(len(tail))-trailerSize-length:]
	if crc := crc32.Checksum(end[:length+16], castagnoli); crc != binary.BigEndian.Uint32(trailer[16:]) {
		return nil, 0, corrupt("footer has CRC %08x", crc)
	}
	if trailer[6] != 0 || trailer[7] != 0 {
		return nil, 0, corrupt("reserved bytes in use")
	}
	f, err = parseIndex(end[:length], size-trailerSize-length)
	return f, 0, err
}

// parseIndex decodes a footer whose checksum fits; the blocks end at position end.
func parseIndex(p []byte, end uint64) (*footer, error) {
	f := &footer{}
	i := &f.info
	copy(i.Topic[:], p)
	i.Partition = int32(binary.BigEndian.Uint32(p[16:]))
	sessions := uint64(binary.BigEndian.Uint32(p[20:]))
	i.First, i.Last = int64(binary.BigEndian.Uint64(p[24:])), int64(binary.BigEndian.Uint64(p[32:]))
	runs := binary.BigEndian.Uint64(p[40:])
	i.Bytes, i.MaxTimestamp = int64(binary.BigEndian.Uint64(p[48:])), int64(binary.BigEndian.Uint64(p[56:]))
	i.Objects, i.Aborted = binary.BigEndian.Uint32(p[64:]), binary.BigEndian.Uint32(p[68:])
	blocks := [3]uint64{}
	for k := range blocks {
		blocks[k] = uint64(binary.BigEndian.Uint32(p[72+4*k:]))
	}
	switch {
	case uint64(len(p)) != footerFixed+8*sessions+indexSize*(blocks[0]+blocks[1]+blocks[2]):
		return nil, corrupt("footer of %d bytes for %d sessions and %v blocks", len(p), sessions, blocks)
	case runs == 0 || runs > maxEntries || i.Bytes <= 0 || i.Partition < 0 || i.First < 0 || i.Last < i.First || i.Last == math.MaxInt64:
		return nil, corrupt("%d runs of %d bytes, offsets %d to %d of partition %d", runs, i.Bytes, i.First, i.Last, i.Partition)
	case binary.BigEndian.Uint32(p[84:]) != 0:
		return nil, corrupt("reserved bytes in use")
	}
	i.Runs = uint32(runs)
	p = p[footerFixed:]
	f.sessions = make([]layout.Session, sessions)
	for k := range f.sessions {
		f.sessions[k] = layout.Session(binary.BigEndian.Uint64(p[8*k:]))
		if k > 0 && compareSessions(f.sessions[k-1], f.sessions[k]) >= 0 {
			return nil, corrupt("sessions out of order")
		}
	}
	p = p[8*sessions:]
	at := uint64(headerSize)
	for k, to := range []*[]Block{&f.runs, &f.objects, &f.aborted} {
		list := make([]Block, blocks[k])
		for n := range list {
			b := &list[n]
			b.parse(p[n*indexSize:])
			if b.Position != at || uint64(b.Length) > end-at || b.Length <= crcSize || b.Entries == 0 || b.Entries > BlockEntries {
				return nil, corrupt("block of %d entries, %d bytes, at %d; expected at %d", b.Entries, b.Length, b.Position, at)
			}
			at += uint64(b.Length)
		}
		*to, p = list, p[uint64(len(list))*indexSize:]
	}
	if at != end {
		return nil, corrupt("blocks end at %d, the footer starts at %d", at, end)
	}
	return f, f.check()
}

// check compares the index with the totals and looks at the order of its offsets.
func (f *footer) check() error {
	i := &f.info
	entries, next, top := uint64(0), i.First, int64(math.MinInt64)
	for _, b := range f.runs {
		if b.First != next || b.Last < b.First || b.Last > i.Last {
			return corrupt("block of runs %d to %d, expected from %d up to %d", b.First, b.Last, next, i.Last)
		}
		entries, next, top = entries+uint64(b.Entries), b.Last+1, max(top, b.MaxTimestamp)
	}
	if entries != uint64(i.Runs) || next != i.Last+1 || top != i.MaxTimestamp {
		return corrupt("blocks of %d runs to offset %d, newest of %d ms; the totals are %d, %d, %d", entries, next-1, top, i.Runs, i.Last, i.MaxTimestamp)
	}
	for _, x := range []struct {
		blocks []Block
		total  uint32
	}{{f.objects, i.Objects}, {f.aborted, i.Aborted}} {
		entries, before := uint64(0), i.First-1
		for _, b := range x.blocks {
			if b.First <= before || b.Last < b.First || b.Last > i.Last || b.MaxTimestamp != 0 {
				return corrupt("block of offsets %d to %d behind %d", b.First, b.Last, before)
			}
			entries, before = entries+uint64(b.Entries), b.Last
		}
		if entries != uint64(x.total) {
			return corrupt("blocks of %d entries, the total is %d", entries, x.total)
		}
	}
	switch {
	case i.Objects == 0 || i.Objects > i.Runs || uint64(len(f.sessions)) > uint64(i.Objects):
		return corrupt("%d objects of %d sessions for %d runs", i.Objects, len(f.sessions), i.Runs)
	case f.objects[len(f.objects)-1].Last != i.Last:
		return corrupt("objects to offset %d, runs to %d", f.objects[len(f.objects)-1].Last, i.Last)
	case !full(f.runs) || !full(f.objects) || !full(f.aborted):
		return corrupt("a block before the last has room")
	}
	return nil
}

// full reports whether all blocks but the last have as many entries as they can: entry i lies in block i/BlockEntries.
func full(blocks []Block) bool {
	return !slices.ContainsFunc(blocks[:max(len(blocks), 1)-1], func(b Block) bool { return b.Entries != BlockEntries })
}
