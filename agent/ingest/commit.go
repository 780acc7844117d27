package ingest

import (
	"errors"
	"time"
)

// Uploaded takes an upload's outcome: size and section offsets of the object, and whether the hedge won. No body of the
// flush is read any more.
//
// A failed upload's number is never used again in its session: the object may turn up later.
func (c *Core) Uploaded(now time.Duration, f *Flush, size uint64, offsets []uint64, hedge bool, err error) {
	c.now = now
	if f.state == abandoned {
		c.abandoned--
		for _, it := range f.items {
			c.free(it)
		}
		f.items = nil
		c.out.Drop(f)
		return
	}
	c.uploads--
	f.state, f.size, f.offsets, f.hedge = uploaded, size, offsets, hedge
	if err != nil {
		f.err = errors.Join(ErrUpload, err)
	}
	c.advance()
	c.plan()
}

// advance proposes the uploaded flushes at the front, in the order in which they closed, and ends those whose upload
// failed: nothing of them lands, and the others go on. An inline commit in flight may hold earlier batches of their
// partitions; it was proposed first, and proposals keep their order.
func (c *Core) advance() {
	kept, waiting := c.flushes[:0], false
	for _, f := range c.flushes {
		switch {
		case f.state == uploaded && f.err != nil:
			c.fail(f, f.err)
			continue
		case f.state == uploaded && !waiting:
			f.state = proposed
			c.out.Propose(f, f.command(), nil)
		case f.state != proposed:
			waiting = true
		}
		kept = append(kept, f)
	}
	clear(c.flushes[len(kept):])
	c.flushes = kept
}

// Committed takes the outcome of a flush's command: State's verdict on each batch in section order, or err.
func (c *Core) Committed(now time.Duration, f *Flush, verdicts []Result, err error) {
	c.now = now
	if f == c.inAir {
		c.inAir = nil
	} else {
		for i, x := range c.flushes {
			if x == f {
				c.flushes = append(c.flushes[:i], c.flushes[i+1:]...)
				break
			}
		}
	}
	c.resolveAll(f, verdicts, err)
	c.advance()
	c.plan()
}

// fail ends a flush that will not be proposed.
func (c *Core) fail(f *Flush, err error) {
	c.resolveAll(f, nil, err)
	c.out.Drop(f)
}

func (c *Core) resolveAll(f *Flush, verdicts []Result, err error) {
	items := f.items
	f.items = nil
	for i, it := range items {
		r := Result{Err: err, Base: -1, Time: -1, LogStart: -1}
		if err == nil {
			r = verdicts[i]
		}
		c.settle(it, r)
		c.free(it)
	}
}

// settle gives an item its result and takes it out of the books about order: whatever comes next of its partition need
// not wait for it. Its bytes may still be read.
func (c *Core) settle(it *Item, r Result) {
	if it.lane != nowhere {
		c.leave(it)
		c.unexpect(it)
	}
	c.result(it, r)
}

// result is set once: a timeout stands although the batch lands later.
func (c *Core) result(it *Item, r Result) {
	if it.done {
		return
	}
	it.done, it.Result = true, r
	req := it.request
	if req.open--; req.open == 0 {
		c.deadlines.drop(req)
		c.out.Answer(req)
	}
}

// free tells that an item's bytes are not in use any more.
func (c *Core) free(it *Item) {
	c.bytes -= int64(len(it.Data))
	c.unuse(it.request)
}

func (c *Core) unuse(req *Request) {
	if req.used--; req.used == 0 {
		c.out.Release(req)
	}
}

// refuseItem ends an item that was never taken.
func (c *Core) refuseItem(it *Item, err error) {
	c.result(it, Result{Err: err, Base: -1, Time: -1, LogStart: -1})
	c.unuse(it.request)
}
