package fetch

import (
	"sync"
	"sync/atomic"
)

// unsettled holds flush objects that this agent stored and whose commit is on its way, by key: as many as ingest has in
// flight, up to a limit of bytes.
type unsettled struct {
	limit int64
	bytes atomic.Int64
	mu    struct {
		sync.Mutex
		blocks map[string]*block
	}
}

func newUnsettled(limit int64) *unsettled {
	u := &unsettled{limit: limit}
	u.mu.blocks = map[string]*block{}
	return u
}

// reserve makes room for a block that put will bring. It reports false when there is none.
func (u *unsettled) reserve(n int64) bool {
	if u.bytes.Add(n) > u.limit {
		u.bytes.Add(-n)
		return false
	}
	return true
}

func (u *unsettled) put(key string, b *block) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.mu.blocks[key] = b
}

func (u *unsettled) empty() bool { return u.bytes.Load() == 0 }

func (u *unsettled) get(key string) *block {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.mu.blocks[key]
}

func (u *unsettled) take(key string) *block {
	u.mu.Lock()
	defer u.mu.Unlock()
	b := u.mu.blocks[key]
	if b != nil {
		delete(u.mu.blocks, key)
		u.bytes.Add(-int64(len(b.data)))
	}
	return b
}
