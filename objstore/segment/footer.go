package segment

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"wadi/objstore"
)

// TailSize is how much of an object's end ReadFooter asks for first, in bytes: room for a thousand sections.
const TailSize = 64 << 10

// ErrShortTail: the footer is longer than the tail that was given to ParseFooter. The error is a *ShortTailError.
var ErrShortTail = errors.New("tail does not hold the whole footer")

// ShortTailError says how long a tail must be.
type ShortTailError struct {
	Need int64 // bytes, footer and trailer
}

func (e *ShortTailError) Error() string {
	return fmt.Sprintf("%v: %d bytes needed", ErrShortTail, e.Need)
}

// Is makes the error an ErrShortTail.
func (e *ShortTailError) Is(target error) bool { return target == ErrShortTail }

// ReadFooter fetches and checks the footer of an object of size bytes: one read of the tail, a second if the footer is
// longer than TailSize. Errors are the store's, ErrCorrupt or ErrVersion.
func ReadFooter(ctx context.Context, store objstore.Store, key string, size int64) (*Footer, error) {
	need := min(size, TailSize)
	for {
		if need < trailerSize {
			return nil, fmt.Errorf("segment %s: %w: %d bytes", key, ErrCorrupt, size)
		}
		tail, err := store.Get(ctx, key, size-need, need)
		if err != nil {
			return nil, fmt.Errorf("read footer of segment %s: %w", key, err)
		}
		f, err := ParseFooter(tail, size)
		var short *ShortTailError
		if errors.As(err, &short) && short.Need > need {
			need = short.Need
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("segment %s: %w", key, err)
		}
		return f, nil
	}
}

// ParseFooter reads the footer from the last bytes of an object of size bytes. ErrShortTail asks for more of them; at
// most the whole object.
func ParseFooter(tail []byte, size int64) (*Footer, error) {
	if int64(len(tail)) > size || size < headerSize+footerFixed+trailerSize {
		return nil, fmt.Errorf("%w: %d bytes of an object of %d", ErrCorrupt, len(tail), size)
	}
	if len(tail) < trailerSize {
		return nil, &ShortTailError{Need: trailerSize}
	}
	trailer := tail[len(tail)-trailerSize:]
	if string(trailer[20:]) != trailerMagic {
		return nil, fmt.Errorf("%w: no trailer", ErrCorrupt)
	}
	version := binary.BigEndian.Uint16(trailer[4:])
	if version != Version1 {
		return nil, fmt.Errorf("%w: %d", ErrVersion, version)
	}
	length := int64(binary.BigEndian.Uint32(trailer))
	switch {
	case binary.BigEndian.Uint64(trailer[8:]) != uint64(size):
		return nil, fmt.Errorf("%w: trailer tells of %d bytes, object has %d", ErrCorrupt,
			binary.BigEndian.Uint64(trailer[8:]), size)
	case length < footerFixed || length > maxFooter || length > size-headerSize-trailerSize:
		return nil, fmt.Errorf("%w: footer of %d bytes", ErrCorrupt, length)
	case length+trailerSize > int64(len(tail)):
		return nil, &ShortTailError{Need: length + trailerSize}
	}
	end := tail[int64(len(tail))-trailerSize-length:]
	if crc := crc32.Checksum(end[:length+16], castagnoli); crc != binary.BigEndian.Uint32(trailer[16:]) {
		return nil, fmt.Errorf("%w: footer has CRC %08x", ErrCorrupt, crc)
	}
	if trailer[6] != 0 || trailer[7] != 0 {
		return nil, fmt.Errorf("%w: reserved bytes in use", ErrCorrupt)
	}
	return parseSections(end[:length], uint64(size-trailerSize-length))
}

// parseSections decodes a footer whose checksum fits. dataEnd is the position at which it starts.
func parseSections(p []byte, dataEnd uint64) (*Footer, error) {
	f := &Footer{Version: Version1}
	f.CreatedMs = int64(binary.BigEndian.Uint64(p))
	f.Kind = Kind(p[8])
	idLength := int(binary.BigEndian.Uint16(p[10:]))
	n := int64(binary.BigEndian.Uint32(p[12:]))
	switch {
	case !f.Kind.known() || p[9] != 0:
		return nil, fmt.Errorf("%w: %v, reserved byte %d", ErrCorrupt, f.Kind, p[9])
	case int64(len(p)) != footerFixed+int64(idLength)+n*sectionSize:
		return nil, fmt.Errorf("%w: footer of %d bytes for %d sections", ErrCorrupt, len(p), n)
	}
	f.ClusterID = string(p[footerFixed : footerFixed+idLength])
	f.Sections = make([]SectionInfo, n)
	at := uint64(headerSize)
	p = p[footerFixed+idLength:]
	for i := range f.Sections {
		s := &f.Sections[i]
		s.parse(p[i*sectionSize:])
		if err := s.check(f.Kind); err != nil {
			return nil, fmt.Errorf("%w: section %d: %w", ErrCorrupt, i, err)
		}
		if s.Offset != at || s.Length > dataEnd-at {
			return nil, fmt.Errorf("%w: section %d of %d bytes at %d instead of %d", ErrCorrupt, i, s.Length, s.Offset, at)
		}
		at += s.Length
	}
	if n == 0 || at != dataEnd {
		return nil, fmt.Errorf("%w: %d sections end at %d, footer starts at %d", ErrCorrupt, n, at, dataEnd)
	}
	return f, nil
}

func (s *SectionInfo) parse(p []byte) {
	copy(s.Topic[:], p)
	s.Partition = int32(binary.BigEndian.Uint32(p[16:]))
	s.CRC = binary.BigEndian.Uint32(p[20:])
	s.BaseOffset = int64(binary.BigEndian.Uint64(p[24:]))
	s.Offset = binary.BigEndian.Uint64(p[32:])
	s.Length = binary.BigEndian.Uint64(p[40:])
	s.Batches = int(binary.BigEndian.Uint32(p[48:]))
	s.Records = int(binary.BigEndian.Uint32(p[52:]))
	s.MaxTimestamp = int64(binary.BigEndian.Uint64(p[56:]))
}
