package keycompact

import (
	"crypto/sha256"
	"encoding/binary"
)

// keyHash stands for a key: the first half of its SHA-256. Two keys of a partition with the same hash would cost a record,
// so the hash must leave no room for that: among a billion keys the chance is 10^-21, and to make such a pair on purpose
// takes 2^64 steps, by somebody who may write to the partition and could delete what is in it with two tombstones. (Apache
// Kafka goes by MD5, for which pairs are made in seconds.)
type keyHash [16]byte

func hashOf(key []byte) keyHash {
	sum := sha256.Sum256(key)
	return keyHash(sum[:16])
}

// keyMap remembers the last offset of each key, in a table of bounded size. The zero value has no room; see reset.
type keyMap struct {
	slots []keySlot
	used  int
	limit int // of used: a full table would be searched to its end
}

// keySlot is one key. next is its offset plus one, 0 in a free slot.
type keySlot struct {
	hash keyHash
	next int64
}

const slotBytes = 24

// reset forgets all keys and makes room for so many, or as many as fit into maxBytes.
func (m *keyMap) reset(keys, maxBytes int64) {
	n := max(min(keys+keys/4+2, maxBytes/slotBytes), 2)
	if int64(cap(m.slots)) < n {
		m.slots = make([]keySlot, n)
	} else {
		m.slots = m.slots[:n]
		clear(m.slots)
	}
	m.used, m.limit = 0, max(int(n*9/10), 1)
}

// put notes the offset of a key, above all before. false: there is no room for another key.
func (m *keyMap) put(h keyHash, offset int64) bool {
	s := m.find(h)
	if s.next == 0 {
		if m.used == m.limit {
			return false
		}
		m.used++
		s.hash = h
	}
	s.next = offset + 1
	return true
}

// last is the last offset noted of a key, -1 for none.
func (m *keyMap) last(h keyHash) int64 { return m.find(h).next - 1 }

// find is a key's slot, or the free one that it would get.
func (m *keyMap) find(h keyHash) *keySlot {
	n := uint64(len(m.slots))
	for i := binary.LittleEndian.Uint64(h[:]) % n; ; {
		s := &m.slots[i]
		if s.next == 0 || s.hash == h {
			return s
		}
		if i++; i == n {
			i = 0
		}
	}
}
