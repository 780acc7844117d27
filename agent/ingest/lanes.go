package ingest

import (
	"slices"
	"time"
)

// lane is a way to the journal.
type lane uint8

const (
	nowhere lane = iota // held, or refused before it was admitted
	inlineLane
	objectLane
	lanes
)

// partState is what the core knows of a partition while something of it is pending. It is used again when nothing is.
type partState struct {
	id      Partition
	pending [lanes]int   // items that are buffered, uploading, proposed or unresolved
	chain   [lanes]chain // those of them that are buffered, in the order in which they came
}

type chain struct {
	first, last *Item
	n, bytes    int
}

// buffer collects items of one lane until it becomes a flush. The items hang on their partitions.
type buffer struct {
	lane   lane
	parts  []*partState // with a chain in this lane
	items  int
	bytes  int
	opened time.Duration // arrival of the first item
}

func (b *buffer) add(now time.Duration, it *Item) {
	if b.items == 0 {
		b.opened = now
	}
	ch := &it.part.chain[b.lane]
	if ch.n == 0 {
		b.parts = append(b.parts, it.part)
		ch.first = it
	} else {
		ch.last.next = it
	}
	ch.last = it
	ch.n++
	ch.bytes += len(it.Data)
	b.items++
	b.bytes += len(it.Data)
	it.lane = b.lane
}

// take removes a partition's items.
func (b *buffer) take(p *partState) chain {
	ch := p.chain[b.lane]
	p.chain[b.lane] = chain{}
	if ch.n > 0 {
		i := slices.Index(b.parts, p)
		b.parts[i] = b.parts[len(b.parts)-1]
		b.parts = b.parts[:len(b.parts)-1]
		b.items -= ch.n
		b.bytes -= ch.bytes
	}
	return ch
}

// heaviest is the partition with the most bytes, the first of several.
func (b *buffer) heaviest() *partState {
	best := b.parts[0]
	for _, p := range b.parts[1:] {
		if p.chain[b.lane].bytes > best.chain[b.lane].bytes {
			best = p
		}
	}
	return best
}

// entryBytes estimates, from above, what the buffer's command takes in an entry: each item as a producer run of its own.
func (b *buffer) entryBytes() int { return 64 + len(b.parts)*22 + b.items*41 }

func (c *Core) partition(id Partition) *partState {
	p := c.parts[id]
	if p == nil {
		if n := len(c.idleParts); n > 0 {
			p, c.idleParts = c.idleParts[n-1], c.idleParts[:n-1]
		} else {
			p = &partState{}
		}
		p.id = id
		c.parts[id] = p
	}
	return p
}

// maxIdle bounds the records that are kept for being used again.
const maxIdle = 1 << 14

// leave takes an item out of its partition's books.
func (c *Core) leave(it *Item) {
	p := it.part
	it.part = nil
	p.pending[it.lane]--
	if p.pending == [lanes]int{} {
		delete(c.parts, p.id)
		if len(c.idleParts) < maxIdle {
			c.idleParts = append(c.idleParts, p)
		}
	}
}

// admit puts an item into a lane's buffer. A partition goes inline only when nothing of it is on the way of objects; in
// the other direction it takes its buffered inline batches along, and only those: the other partitions stay where they
// are, so that a quiet topic never waits behind a busy one's upload. The batches of a request that is too large for the
// inline lane as a whole do not go there one by one: its answer waits for all of them.
func (c *Core) admit(it *Item) {
	p := c.partition(it.Partition)
	it.part = p
	c.expect(it)
	if p.pending[objectLane] == 0 && c.inlineAllowed(it.request.bytes) {
		p.pending[inlineLane]++
		c.inline.add(c.now, it)
		return
	}
	c.convert(p)
	p.pending[objectLane]++
	c.toObject(it)
}

func (c *Core) inlineAllowed(size int) bool {
	return !c.noInline && !c.full && size <= c.cfg.InlineMaxBytes && c.budget.allows(c.now)
}

// convert moves what the inline buffer holds of a partition over to the object lane.
func (c *Core) convert(p *partState) {
	ch := c.inline.take(p)
	p.pending[inlineLane] -= ch.n
	p.pending[objectLane] += ch.n
	for it := ch.first; it != nil; {
		next := it.next
		it.next = nil
		c.toObject(it)
		it = next
	}
}

// overflow keeps the inline buffer at the size of an inline flush: the busiest partitions leave it first.
func (c *Core) overflow() {
	for b := &c.inline; b.items > 0 &&
		(c.noInline || b.bytes > c.cfg.InlineMaxBytes || b.entryBytes() > entryTarget); {
		c.convert(b.heaviest())
	}
}

// toObject buffers an item in the object lane. A buffer that is large enough is sealed, so that none grows beyond a
// flush whatever waits.
func (c *Core) toObject(it *Item) {
	b := &c.object
	if b.items > 0 && b.bytes+len(it.Data) > c.cfg.FlushBytes {
		c.ready = append(c.ready, c.seal(b))
	}
	b.add(c.now, it)
	if b.bytes >= c.cfg.FlushBytes || b.entryBytes() >= entryTarget {
		c.ready = append(c.ready, c.seal(b))
	}
}

// plan closes what is due.
func (c *Core) plan() {
	if c.session == 0 || c.noProduce {
		return
	}
	if c.inline.items > 0 && c.inAir == nil {
		f := c.seal(&c.inline)
		f.state = proposed
		c.budget.spend(c.now, f.bytes)
		c.inAir = f
		c.out.Propose(f, f.command(), f.inlineChunks())
	}
	for len(c.ready) > 0 && len(c.flushes) < maxUploads {
		f := c.ready[0]
		c.ready[0] = nil
		if c.ready = c.ready[1:]; len(c.ready) == 0 {
			c.ready = nil
		}
		c.upload(f)
	}
	if c.now >= c.objectDue() {
		c.upload(c.seal(&c.object))
	}
}

// objectDue is when the object buffer closes if nothing more comes.
func (c *Core) objectDue() time.Duration {
	b := &c.object
	if b.items == 0 || c.session == 0 || c.noProduce || len(c.ready) > 0 || len(c.flushes) >= maxUploads {
		return forever
	}
	latest := b.opened + c.cfg.FlushInterval
	due := c.lastArrival + quietFlush
	if c.uploads == 0 {
		due = min(due, b.opened+quickFlush)
	}
	return min(max(due, c.puts.next(c.now)), latest)
}

// stallEnds is when what waits for room in the journal is refused.
func (c *Core) stallEnds() time.Duration {
	if !c.noProduce {
		return forever
	}
	oldest := forever
	for _, b := range []*buffer{&c.inline, &c.object} {
		if b.items > 0 {
			oldest = min(oldest, b.opened)
		}
	}
	if len(c.ready) > 0 {
		oldest = min(oldest, c.ready[0].opened)
	}
	if oldest == forever {
		return forever
	}
	return oldest + maxStall
}

func (c *Core) upload(f *Flush) {
	c.puts.take(c.now)
	f.Session, f.N = c.session, c.nextN
	c.nextN++
	c.uploads++
	c.flushes = append(c.flushes, f)
	c.out.Upload(f)
}
