package view

import "sync"

// keepArchived is how many inline bytes stay in memory after an archive holds them too: tailing readers want them.
const keepArchived = 64 << 20

// inlineStore holds the inline bytes of recent entries. Those that no archive holds stay, whatever their size: State
// bounds them (64 MiB outstanding). Older ones go first when there are too many.
type inlineStore struct {
	mu struct {
		sync.RWMutex
		bytes    map[int64][]byte
		order    []int64 // positions, rising
		size     int64
		archived int64 // position up to which archives hold everything
	}
}

func (s *inlineStore) init() { s.mu.bytes = map[int64][]byte{} }

func (s *inlineStore) get(position int64) []byte {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.mu.bytes[position]
}

// keep retains b, which nobody changes any more.
func (s *inlineStore) keep(position int64, b []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.mu.bytes[position]; ok {
		return
	}
	s.mu.bytes[position] = b
	s.mu.order = append(s.mu.order, position)
	s.mu.size += int64(len(b))
	s.evictLocked()
}

// archivedTo says up to which position archives hold everything.
func (s *inlineStore) archivedTo(position int64) {
	s.mu.RLock()
	same := s.mu.archived == position
	s.mu.RUnlock()
	if same {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.archived = position
	s.evictLocked()
}

func (s *inlineStore) evictLocked() {
	n := 0
	for n < len(s.mu.order) && s.mu.size > keepArchived && s.mu.order[n] <= s.mu.archived {
		p := s.mu.order[n]
		s.mu.size -= int64(len(s.mu.bytes[p]))
		delete(s.mu.bytes, p)
		n++
	}
	s.mu.order = s.mu.order[n:]
}
