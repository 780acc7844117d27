package ingest

// Sequences. The agent holds back a batch that came before its turn: another connection or agent may bring the one
// before it within a moment, and State would refuse it. The expectation is State's, advanced by what is pending here.

// Turn is what State knows about a producer id's place in a partition.
type Turn struct {
	Asked bool  // else nothing here means anything
	Over  bool  // the epoch is over: State refuses its batches, and none of them is worth waiting for
	Known bool  // something is remembered of the id
	Fresh bool  // an id of which nothing is remembered must start at sequence 0
	Next  int32 // the sequence expected next, 0 for an epoch that is new
}

// early reports whether a batch that starts at seq lies ahead of what State expects.
func (t *Turn) early(seq int32) bool {
	if t.Over {
		return false
	}
	if !t.Known {
		return t.Fresh && seq != 0
	}
	return ahead(seq, t.Next)
}

type producerKey struct {
	partition Partition
	pid       int64
}

// expectation is what follows the batches of a producer that are pending here.
type expectation struct {
	epoch   int16
	next    int32
	pending int
}

// early reports whether the batch's sequence lies ahead of what its partition expects. The item's own Turn may be older
// than State is now, and State's sequences only rise: it can tell that the batch is not early, but not that it is.
func (c *Core) early(it *Item) bool {
	if it.pid < 0 || it.Turn.Over {
		return false
	}
	if e := c.expected[producerKey{it.Partition, it.pid}]; e != nil {
		if it.epoch != e.epoch {
			return it.epoch > e.epoch && it.seq != 0
		}
		return ahead(it.seq, e.next)
	}
	if it.Turn.Asked && !it.Turn.early(it.seq) {
		return false
	}
	it.Turn = c.prod.Turn(it.Partition, it.pid, it.epoch)
	return it.Turn.early(it.seq)
}

// ahead compares on the ring of sequences: seq lies within half of it behind next.
func ahead(seq, next int32) bool {
	d := uint32(seq-next) & 0x7fffffff
	return d != 0 && d < 1<<30
}

// expect advances the expectation over an item that was admitted. A repeat of an old batch leaves it where it is.
func (c *Core) expect(it *Item) {
	if it.pid < 0 {
		return
	}
	k := producerKey{it.Partition, it.pid}
	e := c.expected[k]
	if e == nil {
		e = c.newExpectation(it)
		c.expected[k] = e
	}
	e.pending++
	it.exp = e
	next := addSequence(it.seq, it.records)
	if it.epoch > e.epoch || it.epoch == e.epoch && (it.seq == e.next || ahead(next, e.next)) {
		e.epoch, e.next = it.epoch, next
	}
}

func (c *Core) newExpectation(it *Item) *expectation {
	var e *expectation
	if n := len(c.idleExp); n > 0 {
		e, c.idleExp = c.idleExp[n-1], c.idleExp[:n-1]
	} else {
		e = new(expectation)
	}
	*e = expectation{epoch: it.epoch, next: it.seq}
	if it.Turn.Asked && it.Turn.Known {
		e.next = it.Turn.Next
	}
	return e
}

func (c *Core) unexpect(it *Item) {
	e := it.exp
	if e == nil {
		return
	}
	it.exp = nil
	if e.pending--; e.pending == 0 {
		delete(c.expected, producerKey{it.Partition, it.pid})
		if len(c.idleExp) < maxIdle {
			c.idleExp = append(c.idleExp, e)
		}
	}
}
