package merge

import "wadi/metadata/state"

// shape is how what is written of a topic is cut into runs: retention deletes runs, as a whole, when their newest record is
// due, so none may reach over too much time, or hold too much.
type shape struct {
	span  int64 // ms, 0 = any: a run begins with a batch of a later multiple of it
	bytes int64
}

// Clients choose timestamps, and runs must become fewer whatever those are.
const (
	maxCuts       = 24   // runs of a range that begin because of their time
	maxOutputCuts = 2000 // likewise of an output, whose command has to fit an entry
)

// shape of a topic. A topic's own bound of bytes is a hint: a tail that is too short for an object of its own has no more
// runs than it should.
func (m *planner) shape(t *state.Topic) shape {
	sh := shape{bytes: m.c.MaxRun}
	if m.scope.Shape == nil {
		return sh
	}
	span, bytes := m.scope.Shape(t)
	if bytes > 0 {
		sh.bytes = min(max(bytes, 2*m.c.Own/int64(m.c.Debt)), m.c.MaxRun)
	}
	sh.span = max(span, 0)
	return sh
}

// cutter follows what is written and says where runs begin.
type cutter struct {
	shape
	length int64 // of the open run
	newest int64 // timestamp in it
	cuts   int   // that are left
}

func (sh shape) cutter(left int) cutter { return cutter{shape: sh, cuts: min(left, maxCuts)} }

// next takes a batch, or a whole run, of so many bytes and reports whether a run begins with it.
func (c *cutter) next(length, newest int64) bool {
	late := c.later(newest)
	if c.length > 0 && c.length+length <= c.bytes && !late {
		c.length += length
		c.newest = max(c.newest, newest)
		return false
	}
	if late {
		c.cuts--
	}
	c.length, c.newest = length, newest
	return true
}

func (c *cutter) later(ms int64) bool {
	return c.length > 0 && c.span > 0 && c.cuts > 0 && ms >= 0 && ms/c.span > max(c.newest, 0)/c.span
}

// lessens reports whether a stretch becomes fewer runs. Within its runs, too, there may be batches of another time, so that
// only their number at worst tells: any two that are written side by side, and not cut apart by time, are longer than one
// may be.
func (sh shape) lessens(list []item) bool {
	if sh.span > 0 && int64(len(list)) <= 2*bytesOf(list)/sh.bytes+1+maxCuts {
		return false
	}
	n, c := 0, sh.cutter(maxCuts)
	for i := range list {
		if c.next(int64(list[i].run.Length), list[i].run.MaxTimestamp) {
			n++
		}
	}
	return n < len(list)
}

// apart reports whether two runs side by side stay two.
func (sh shape) apart(a, b *item) bool {
	c := sh.cutter(1)
	c.next(int64(a.run.Length), a.run.MaxTimestamp)
	return c.next(int64(b.run.Length), b.run.MaxTimestamp)
}
