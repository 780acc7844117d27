package state

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
)

// Digest chains over every entry: SHA-256 of the digest before, the position, and the encoded results.
type Digest [sha256.Size]byte

func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// Kinds of a digest's step.
const (
	stepApplied byte = 1
	stepRepeat  byte = 2
	stepRefused byte = 3
	stepVoid    byte = 4
)

func (s *State) chain(step byte) {
	b := append(s.scratch[:0], s.digest[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(s.position))
	b = append(b, step)
	for i := range s.results.Commands {
		r := &s.results.Commands[i]
		b = append(b, byte(r.Code))
		b = binary.AppendVarint(b, r.ID)
		if r.Epoch != 0 {
			b = binary.AppendVarint(b, int64(r.Epoch))
		}
		b = binary.AppendUvarint(b, uint64(len(r.Batches)))
		for _, x := range r.Batches {
			b = append(b, byte(x.Code))
			b = binary.AppendVarint(b, x.Base)
			if x.Code == Duplicate {
				b = binary.AppendVarint(b, x.Time)
			}
		}
	}
	s.scratch = b
	s.digest = sha256.Sum256(b)
}
