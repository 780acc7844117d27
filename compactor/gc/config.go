package gc

import (
	"context"
	"time"

	"wadi/internal/layout"
	"wadi/metadata/kv"
)

// Config of a Task. KV and Keys must be set.
type Config struct {
	// Grace is how long garbage stays, and how long a closed session may still have requests on their way. 0 is none.
	Grace time.Duration
	// Memory is about how many bytes of names a sweep remembers, 16 MiB by default.
	Memory int

	KV      kv.KV // for the checkpoint pointer
	Keys    layout.Etcd
	Observe Observe

	// Elapsed is a clock that only goes on, Pause waits. nil is this machine's time; a simulator has its own.
	Elapsed func() time.Duration
	Pause   func(context.Context, time.Duration) error
}

// Observe hears what a Task does and what it waits for. Any function may be nil; they are called by the pass and are
// quick.
type Observe struct {
	// Waiting tells how much garbage stays for now and why, at the end of a pass, for each of Reasons.
	Waiting  func(reason Reason, objects int, bytes int64)
	Deleted  func(objects int, bytes int64) // garbage that was deleted and forgotten
	Orphans  func(objects int)              // that a sweep deleted
	Unknown  func(objects int)              // that a sweep left, as State does not know their sessions
	Uploads  func(abandoned int)            // unfinished, by a sweep
	Sessions func(forgotten int)
}

func (c Config) withDefaults() Config {
	if c.Elapsed == nil {
		began := time.Now()
		c.Elapsed = func() time.Duration { return time.Since(began) }
	}
	if c.Pause == nil {
		c.Pause = pause
	}
	if c.Memory <= 0 {
		c.Memory = 16 << 20
	}
	o := &c.Observe
	if o.Waiting == nil {
		o.Waiting = func(Reason, int, int64) {}
	}
	if o.Deleted == nil {
		o.Deleted = func(int, int64) {}
	}
	for _, f := range []*func(int){&o.Orphans, &o.Unknown, &o.Uploads, &o.Sessions} {
		if *f == nil {
			*f = func(int) {}
		}
	}
	return c
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
