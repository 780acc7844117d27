package segment

import (
	"errors"
	"fmt"
	"hash/crc32"
	"math"
)

var (
	// ErrCorrupt: the object is not what its checksums, lengths or counts say.
	ErrCorrupt = errors.New("segment corrupt")
	// ErrVersion: the object is a segment of a version that this program does not know.
	ErrVersion = errors.New("segment version unknown")
	// ErrInvalid: what Build was given cannot be a segment.
	ErrInvalid = errors.New("invalid segment content")
)

// Version1 is the only version so far.
const Version1 = 1

const (
	headerSize  = 16
	trailerSize = 24
	footerFixed = 16
	sectionSize = 64

	headerMagic  = "WADISEG\n"
	trailerMagic = "WSEG"

	// maxFooter bounds what a reader fetches and holds for a footer: a million sections.
	maxFooter = 64 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Kind tells who wrote a segment.
type Kind uint8

const (
	// Flush segments come from an agent's ingest; their offsets are only known to State.
	Flush Kind = 1
	// Merged segments come from the compactor; each section knows its base offset.
	Merged Kind = 2
)

// String is "flush" or "merged".
func (k Kind) String() string {
	switch k {
	case Flush:
		return "flush"
	case Merged:
		return "merged"
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

func (k Kind) known() bool { return k == Flush || k == Merged }

// Meta is what a segment says about itself as a whole.
type Meta struct {
	Kind      Kind
	CreatedMs int64  // the writer's clock, ms since 1970
	ClusterID string // at most 65,535 bytes
}

// Section is the batches of one partition, for Build.
type Section struct {
	Topic        [16]byte
	Partition    int32
	BaseOffset   int64    // of the first record; -1 in flush segments
	Chunks       [][]byte // whole batches in order, one or more per chunk
	Batches      int
	Records      int
	MaxTimestamp int64 // the largest of the batches' max timestamps, ms
}

// SectionInfo is a section as the footer describes it.
type SectionInfo struct {
	Topic        [16]byte
	Partition    int32
	BaseOffset   int64  // -1 in flush segments
	Offset       uint64 // position of the first byte in the object
	Length       uint64 // bytes
	Batches      int
	Records      int
	MaxTimestamp int64 // ms
	CRC          uint32
}

// Footer is a segment's table of contents.
type Footer struct {
	Meta
	Version  int
	Sections []SectionInfo // by Offset, without gaps between them
}

// DataEnd is the position behind the last section.
func (f *Footer) DataEnd() uint64 {
	if len(f.Sections) == 0 {
		return headerSize
	}
	last := &f.Sections[len(f.Sections)-1]
	return last.Offset + last.Length
}

// check reports why a section cannot be in a segment of this kind. It is the same for writers and readers.
func (s *SectionInfo) check(kind Kind) error {
	switch {
	case s.Partition < 0:
		return fmt.Errorf("partition %d", s.Partition)
	case s.Length == 0 || s.Length > math.MaxInt64/2:
		return fmt.Errorf("%d bytes", s.Length)
	case s.Batches <= 0 || s.Records < 0 || s.Batches > math.MaxUint32 || s.Records > math.MaxUint32:
		return fmt.Errorf("%d batches, %d records", s.Batches, s.Records)
	case uint64(s.Batches)*minBatch > s.Length:
		return fmt.Errorf("%d batches in %d bytes", s.Batches, s.Length)
	case kind == Flush && s.BaseOffset != -1, kind == Merged && s.BaseOffset < 0:
		return fmt.Errorf("base offset %d in a %v segment", s.BaseOffset, kind)
	}
	return nil
}
