package server

import (
	"context"
	"sync/atomic"

	"golang.org/x/sync/semaphore"
)

// Budget bounds the bytes of Produce frames that are in memory at once: being read, buffered, being flushed.
type Budget interface {
	// Acquire waits until n bytes are free, first come first served. The error is ctx's.
	Acquire(ctx context.Context, n int64) error
	// Release gives back what an Acquire of the same n took. It never blocks.
	Release(n int64)
}

// MemoryBudget is a Budget of a fixed number of bytes.
type MemoryBudget struct {
	limit int64
	used  atomic.Int64
	sem   *semaphore.Weighted
}

// NewMemoryBudget makes a budget of limit bytes. A frame larger than the limit passes when it has the budget alone.
func NewMemoryBudget(limit int64) *MemoryBudget {
	return &MemoryBudget{limit: limit, sem: semaphore.NewWeighted(limit)}
}

func (b *MemoryBudget) Acquire(ctx context.Context, n int64) error {
	n = min(n, b.limit)
	if err := b.sem.Acquire(ctx, n); err != nil {
		return err
	}
	b.used.Add(n)
	return nil
}

func (b *MemoryBudget) Release(n int64) {
	n = min(n, b.limit)
	b.used.Add(-n)
	b.sem.Release(n)
}

// Used is the number of bytes taken now.
func (b *MemoryBudget) Used() int64 { return b.used.Load() }
