package manifest

import (
	"errors"
	"fmt"
	"hash/crc32"
	"math"

	"wadi/internal/layout"
	"wadi/metadata/state"
)

var (
	// ErrCorrupt: the object is not what its checksums, lengths or counts say.
	ErrCorrupt = errors.New("manifest corrupt")
	// ErrVersion: the object is a manifest of a version that this program does not know.
	ErrVersion = errors.New("manifest version unknown")
	// ErrInvalid: what a Writer was given cannot be a manifest.
	ErrInvalid = errors.New("invalid manifest content")
)

// Version1 is the only version so far.
const Version1 = 1

// BlockEntries is the most entries of a block.
const BlockEntries = 4096

const (
	headerSize  = 16
	trailerSize = 24
	footerFixed = 88
	indexSize   = 40
	crcSize     = 4

	headerMagic  = "WADIMAN\n"
	trailerMagic = "WMAN"

	// maxFooter bounds what a reader fetches and holds for a footer: 1.6 million blocks and sessions.
	maxFooter = 64 << 20
	// maxEntries bounds runs, objects and aborted transactions: State counts them in 32 bits.
	maxEntries = math.MaxUint32
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Object is a merged object that a manifest owns. All of its bytes that anybody refers to are runs of the manifest.
type Object struct {
	Number     uint64 // the number that it had in State, by which caches know it
	Session    layout.Session
	N          uint64
	Size       uint64 // bytes
	Introduced int64  // position of the entry that introduced it
	First      int64  // first offset of the manifest's runs in it
	Last       int64  // last offset likewise: the object is free when the log starts behind it
	Bytes      int64  // of the manifest's runs in it
}

// Key is the object's key in the store.
func (o Object) Key(keys layout.Objects) string { return keys.Merged(o.Session, o.N) }

// Stored is the object as State knew it, without its references.
func (o Object) Stored() state.Object {
	return state.Object{Session: o.Session, N: o.N, Kind: state.MergedObject, Size: o.Size, Introduced: o.Introduced}
}

// Run is a run of the manifest: as State knew it, Place being the object's number, and the object.
type Run struct {
	state.Run
	Index  uint32 // of the object, in the manifest's order
	Object Object
}

// Key is the key of the object that the run lies in.
func (r Run) Key(keys layout.Objects) string { return r.Object.Key(keys) }

// Block is a block as the index describes it.
type Block struct {
	First, Last  int64  // offsets
	MaxTimestamp int64  // Unix milliseconds; of runs alone
	Position     uint64 // in the manifest
	Length       uint32 // bytes
	Entries      uint32
}

// Info is what a manifest says about itself as a whole.
type Info struct {
	Topic        [16]byte // topic id
	Partition    int32
	First, Last  int64 // offsets
	Runs         uint32
	Objects      uint32
	Aborted      uint32
	Bytes        int64 // of the runs
	MaxTimestamp int64 // Unix milliseconds, over the runs
}

func corrupt(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrCorrupt, fmt.Errorf(format, args...))
}
