package ingest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"wadi/objstore"
	"wadi/objstore/segment"
)

// uploadTimeout bounds all attempts at one upload together, attemptTimeout one of them: a request that hangs must not
// take the time of the next one. uploadAttempts bounds their number, firstPause is doubled after each.
const (
	uploadTimeout  = 30 * time.Second
	attemptTimeout = 10 * time.Second
	uploadAttempts = 8
	firstPause     = 100 * time.Millisecond
)

// upload stores a flush and tells the core. When it returns, no attempt reads the flush's bytes any more.
func (g *Ingest) upload(meta segment.Meta, f *Flush) {
	defer g.mu.wg.Done()
	defer f.cancel()
	var size uint64
	body, offsets, err := segment.Build(meta, f.Sections())
	if err == nil {
		size = uint64(body.Size())
		err = g.put(f.ctx, f.key, body)
	}
	if err == nil && g.o.OnStored != nil {
		g.o.OnStored(f.key, body)
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", f.key, err)
	}
	g.step(func(c *Core, now time.Duration) { c.Uploaded(now, f, size, offsets, false, err) })
}

// put stores the object, repeating what failed: name and bytes stay the same, so a repeat is harmless.
func (g *Ingest) put(ctx context.Context, key string, body objstore.Body) error {
	pause := firstPause
	for attempt := 1; ; attempt++ {
		err := g.putOnce(ctx, key, body)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			// The session is over, the agent ends, or the time is up.
			g.o.Log.Warn("flush given up", "key", key, "attempts", attempt, "error", err)
			return err
		case attempt == uploadAttempts, errors.Is(err, objstore.ErrExists), errors.Is(err, objstore.ErrDenied):
			g.o.Log.Error("flush not stored", "key", key, "attempts", attempt, "error", err)
			return err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
		pause *= 2
	}
}

func (g *Ingest) putOnce(ctx context.Context, key string, body objstore.Body) error {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	return g.o.Store.Put(ctx, key, body)
}
