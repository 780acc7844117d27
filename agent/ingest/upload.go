package ingest

import (
	"fmt"
	"time"

	"wadi/objstore"
	"wadi/objstore/segment"
)

// uploadTimeout bounds an upload with all its attempts and with its wait for a store that asks to slow down. What one
// attempt may take, and how often it is repeated, is the store's affair (objstore/steady).
const uploadTimeout = 30 * time.Second

// upload stores a flush and tells the core. The store may put it under either of two names; the one that holds it for
// certain is committed, and the other, if it is there or comes later, is an orphan like the number of an upload that
// failed. When upload returns, no attempt reads the flush's bytes any more.
func (g *Ingest) upload(meta segment.Meta, f *Flush) {
	defer g.mu.wg.Done()
	defer f.cancel()
	var size uint64
	hedge := false
	body, offsets, err := segment.Build(meta, f.Sections())
	if err == nil {
		size = uint64(body.Size())
		var key string
		if key, err = objstore.PutEither(f.ctx, g.o.Store, f.key, f.second, body); err == nil {
			hedge, f.key = key == f.second, key
		}
	}
	switch {
	case err == nil:
		if g.o.OnStored != nil {
			g.o.OnStored(f.key, body)
		}
	case f.ctx.Err() != nil:
		// The session is over, the agent ends, or the time is up.
		g.o.Log.Warn("flush given up", "key", f.key, "error", err)
	default:
		g.o.Log.Error("flush not stored", "key", f.key, "error", err)
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", f.key, err)
	}
	g.step(func(c *Core, now time.Duration) { c.Uploaded(now, f, size, offsets, hedge, err) })
}
