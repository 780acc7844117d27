package merge

import (
	"wadi/metadata/state"
)

// item is a run that may be merged.
type item struct {
	run      state.Run
	kind     kind
	object   *object // that it keeps: the archive for an inline run; nil for one in no archive yet, and for a marker
	position int64   // of the entry that brought it; 0 for a marker
}

type kind uint8

const (
	fresh  kind = iota // in a flush, in an archive or in the journal
	merged             // in a merged object
	marker             // nowhere: it goes with its neighbours
)

// stretches visits what may be merged of a partition: stretches of runs side by side, between those that stay. They are
// valid during the visit.
func (m *planner) stretches(t *state.Topic, i uint32, p *state.Partition, visit func([]item)) {
	m.runs = m.runs[:0]
	p.EachRun(func(r state.Run) { m.runs = append(m.runs, r) })
	stable := p.LSO()
	clean := int64(0)
	if p.CompactedTo > 0 && m.scope.Compacts != nil && m.scope.Compacts(t) {
		clean, m.left = p.CompactedTo, true
	}
	m.items = m.items[:0]
	end := func() {
		if len(m.items) > 0 {
			visit(m.items)
		}
		m.items = m.items[:0]
	}
	defer end()
	for k := 0; k < len(m.runs); {
		group, x, known := m.group(m.runs[k:])
		waits := len(m.items) > 0 // what lies in front of it cannot fold: they go together
		for _, r := range m.runs[k : k+group] {
			switch {
			case r.Last < p.LogStart: // left to the sweep
				continue
			case r.Last >= stable || !known:
				return // whatever follows is newer
			case r.Last < clean && !m.cleaned, x.final && !waits, m.scope.Bad != nil && m.scope.Bad(t.Number, i, r):
				end()
				continue
			}
			if n := len(m.items); n > 0 && m.items[n-1].run.Last < clean && r.Last >= clean {
				end() // what is dirty is measured by the run
			}
			m.items = append(m.items, item{run: r, kind: x.kind, object: x.object, position: x.position})
		}
		k += group
	}
}

// origin is where a group of runs lies.
type origin struct {
	kind     kind
	object   *object
	position int64
	final    bool
}

// object is what a number stands for.
func (m *planner) object(number uint64) *object {
	o := m.objects[number]
	if o == nil {
		o = &object{}
		o.Object, o.known = m.s.Object(number)
		m.objects[number] = o
	}
	return o
}

// group is how many of the first runs lie in one object, and which. known is false for what only the journal holds and
// nobody has in memory.
func (m *planner) group(runs []state.Run) (n int, x origin, known bool) {
	r := runs[0]
	switch {
	case r.Marker():
		return 1, origin{kind: marker}, true
	case r.Inline():
		x = origin{kind: fresh, position: int64(r.Place)}
		if _, number, ok := m.s.Archive(int64(r.Place)); ok {
			x.object = m.object(number)
			return 1, x, true
		}
		return 1, x, m.scope.Inline != nil && m.scope.Inline(int64(r.Place))
	}
	bytes := int64(0)
	for n < len(runs) && runs[n].Place == r.Place && !runs[n].Inline() && !runs[n].Marker() {
		bytes += int64(runs[n].Length)
		n++
	}
	o := m.object(r.Place)
	x = origin{kind: fresh, object: o, position: o.Introduced}
	if o.Kind == state.MergedObject {
		// All that is left in it is this partition's, and that is not just a remainder.
		x.kind, x.final = merged, o.Refs == uint64(n) && bytes >= m.c.Own/2
	}
	return n, x, o.known
}

// overdue finds a stretch of merged runs of which there are too many: debt of the lowest tier, twice as many of the two
// lowest, and so on; or a front that makes an object of its own.
func (c *Config) overdue(sh shape, list []item, debt int) (from, to int, ok bool) {
	front, bytes := 0, int64(0)
	for ; front < len(list) && list[front].kind != fresh; front++ {
		bytes += int64(list[front].run.Length)
		if bytes >= c.MaxOutput {
			return 0, front + 1, true
		}
	}
	if bytes >= c.Own && front >= max(debt/4, 2) {
		return 0, front, true
	}
	for tier := range tiers {
		least := debt * (tier + 1)
		for k := 0; k < len(list); k++ {
			from, bytes := k, int64(0)
			for k < len(list) && list[k].kind != fresh && c.tier(list[k].run.Length) <= tier {
				bytes += int64(list[k].run.Length)
				k++
			}
			if k-from < least {
				continue
			}
			// A run that is more than all behind it, or stays one by itself, would be written over and over.
			for keep := max(least/2, 2); k-from > keep; from++ {
				n := int64(list[from].run.Length)
				if 2*n <= bytes && !sh.apart(&list[from], &list[from+1]) {
					break
				}
				bytes -= n
			}
			if bytes >= c.Own || sh.lessens(list[from:k]) {
				return from, k, true
			}
		}
	}
	return 0, 0, false
}

// crowd is how many runs have not been merged yet. Those that no archive holds do not count: they go with others, but are
// in memory, and come to an archive without a merge for each few of them.
func crowd(list []item) (n int) {
	for i := range list {
		if x := &list[i]; x.kind == marker || x.kind == fresh && x.object != nil {
			n++
		}
	}
	return n
}

// oldest finds the first stretch of runs in flushes and archives up to a position, with the markers, and the runs in the
// journal, between and behind them.
func oldest(list []item, to int64) (from, end int, ok bool) {
	for from < len(list) && list[from].kind == merged {
		from++
	}
	for end = from; end < len(list) && list[end].kind != merged && list[end].position <= to; end++ {
		ok = ok || list[end].object != nil
	}
	return from, end, ok
}

// thin finds the first stretch of runs in objects that are to go.
func thin(list []item, objects map[*object]bool) (from, to int, ok bool) {
	for from = 0; from < len(list) && !objects[list[from].object]; from++ {
	}
	for to = from; to < len(list) && objects[list[to].object]; to++ {
	}
	return from, to, to > from
}

func bytesOf(list []item) (n int64) {
	for i := range list {
		n += int64(list[i].run.Length)
	}
	return n
}
