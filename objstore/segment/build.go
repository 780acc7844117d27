package segment

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"

	"wadi/internal/batch"
	"wadi/objstore"
)

const minBatch = batch.HeaderSize

// Build lays sections out as one segment, in their order, and returns the object's body and the position of each
// section in it. Batches are not copied: the body's chunks are those of the sections, which must stay as they are until
// the body has been stored. One pass over the bytes serves the checksums of sections and object. That the chunks hold
// whole batches and that the counts are right is up to the caller (Verify checks it); what cannot be is ErrInvalid.
func Build(meta Meta, sections []Section) (objstore.Body, []uint64, error) {
	size, err := footerSize(meta, sections)
	if err != nil {
		return objstore.Body{}, nil, err
	}
	chunks := 2
	for i := range sections {
		chunks += len(sections[i].Chunks)
	}
	var (
		body    = objstore.Body{Chunks: make([][]byte, 0, chunks)}
		offsets = make([]uint64, 0, len(sections))
		tail    = appendFooterHead(make([]byte, 0, size+trailerSize), meta, len(sections))
		header  = appendHeader(make([]byte, 0, headerSize), meta.Kind)
		at      = uint64(headerSize)
	)
	body.Chunks = append(body.Chunks, header)
	body.CRC32C = crc32.Checksum(header, castagnoli)
	for i := range sections {
		s := &sections[i]
		info := SectionInfo{Topic: s.Topic, Partition: s.Partition, BaseOffset: s.BaseOffset, Offset: at,
			Batches: s.Batches, Records: s.Records, MaxTimestamp: s.MaxTimestamp}
		for _, c := range s.Chunks {
			info.CRC = crc32.Update(info.CRC, castagnoli, c)
			info.Length += uint64(len(c))
		}
		if err := info.check(meta.Kind); err != nil {
			return objstore.Body{}, nil, fmt.Errorf("%w: section %d: %w", ErrInvalid, i, err)
		}
		body.Chunks = append(body.Chunks, s.Chunks...)
		body.CRC32C = objstore.CombineCRC(body.CRC32C, info.CRC, int64(info.Length))
		offsets = append(offsets, at)
		tail = info.appendTo(tail)
		at += info.Length
	}
	tail = appendTrailer(tail, at)
	body.Chunks = append(body.Chunks, tail)
	body.CRC32C = crc32.Update(body.CRC32C, castagnoli, tail)
	return body, offsets, nil
}

func footerSize(meta Meta, sections []Section) (int, error) {
	size := footerFixed + len(meta.ClusterID) + len(sections)*sectionSize
	switch {
	case !meta.Kind.known():
		return 0, fmt.Errorf("%w: %v", ErrInvalid, meta.Kind)
	case len(meta.ClusterID) > math.MaxUint16:
		return 0, fmt.Errorf("%w: cluster id of %d bytes", ErrInvalid, len(meta.ClusterID))
	case len(sections) == 0:
		return 0, fmt.Errorf("%w: no sections", ErrInvalid)
	case size > maxFooter:
		return 0, fmt.Errorf("%w: %d sections", ErrInvalid, len(sections))
	}
	return size, nil
}

func appendHeader(dst []byte, kind Kind) []byte {
	dst = append(dst, headerMagic...)
	dst = binary.BigEndian.AppendUint16(dst, Version1)
	dst = append(dst, byte(kind), 0)
	return binary.BigEndian.AppendUint32(dst, crc32.Checksum(dst, castagnoli))
}

func appendFooterHead(dst []byte, meta Meta, sections int) []byte {
	dst = binary.BigEndian.AppendUint64(dst, uint64(meta.CreatedMs))
	dst = append(dst, byte(meta.Kind), 0)
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(meta.ClusterID)))
	dst = binary.BigEndian.AppendUint32(dst, uint32(sections))
	return append(dst, meta.ClusterID...)
}

func (s *SectionInfo) appendTo(dst []byte) []byte {
	dst = append(dst, s.Topic[:]...)
	dst = binary.BigEndian.AppendUint32(dst, uint32(s.Partition))
	dst = binary.BigEndian.AppendUint32(dst, s.CRC)
	dst = binary.BigEndian.AppendUint64(dst, uint64(s.BaseOffset))
	dst = binary.BigEndian.AppendUint64(dst, s.Offset)
	dst = binary.BigEndian.AppendUint64(dst, s.Length)
	dst = binary.BigEndian.AppendUint32(dst, uint32(s.Batches))
	dst = binary.BigEndian.AppendUint32(dst, uint32(s.Records))
	return binary.BigEndian.AppendUint64(dst, uint64(s.MaxTimestamp))
}

// appendTrailer closes a footer that starts at position at of the object.
func appendTrailer(footer []byte, at uint64) []byte {
	size := at + uint64(len(footer)) + trailerSize
	dst := binary.BigEndian.AppendUint32(footer, uint32(len(footer)))
	dst = binary.BigEndian.AppendUint16(dst, Version1)
	dst = append(dst, 0, 0)
	dst = binary.BigEndian.AppendUint64(dst, size)
	dst = binary.BigEndian.AppendUint32(dst, crc32.Checksum(dst, castagnoli))
	return append(dst, trailerMagic...)
}
