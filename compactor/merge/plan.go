package merge

import (
	"cmp"
	"math"
	"slices"

	"wadi/metadata/state"
)

// Plan is what to merge next.
type Plan struct {
	Why     Reason
	Outputs []Output
}

// Reason is why a plan was made.
type Reason string

const (
	Runs    Reason = "runs"    // a partition has too many runs that were merged before
	Flushes Reason = "flushes" // there are many flushes, or much in them
	Debt    Reason = "debt"    // a partition has too many runs in few flushes and archives
	Thin    Reason = "thin"    // objects hold little that anybody needs
)

// Output is one object: ranges sorted by topic and partition, no partition twice.
type Output struct {
	Ranges []Range
	Bytes  int64 // of their runs

	from *state.State // the snapshot that the plan was made of
}

// runs is how many there are in its ranges.
func (o *Output) runs() (n int) {
	for i := range o.Ranges {
		n += len(o.Ranges[i].Runs)
	}
	return n
}

// Range is a stretch of a partition's runs, side by side, that become runs of one object.
type Range struct {
	Topic     uint64
	Partition uint32
	Version   uint64 // State's structure version when the plan was made
	Runs      []state.Run

	shape shape
}

// Bytes is the size of the range's runs.
func (r *Range) Bytes() (n int64) {
	for _, x := range r.Runs {
		n += int64(x.Length)
	}
	return n
}

// Make looks for the next thing worth merging in a snapshot of State. ok is false when there is none. It visits all runs,
// up to four times.
//
// Runs that were merged before go first: they are few, and they only become more as flushes are merged. Then flushes, many
// at a time, as each is read whole; only where they are too few for that do those that one partition has too many runs in
// come by themselves.
func Make(s *state.State, c Config, scope Scope) (p Plan, ok bool) {
	m := planner{c: c.withDefaults(), s: s, scope: scope}
	m.survey()
	for _, why := range []Reason{Runs, Flushes, Debt, Thin} {
		find := m.finder(why)
		if find == nil {
			continue
		}
		if outputs := m.outputs(find); len(outputs) > 0 {
			return Plan{Why: why, Outputs: outputs}, true
		}
	}
	return Plan{}, false
}

// object is one that runs lie in, and what may be merged of it.
type object struct {
	state.Object
	known    bool
	runs     uint64
	bytes    int64
	position int64 // of the newest run's entry: the order in which records were written
}

type planner struct {
	c     Config
	s     *state.State
	scope Scope

	objects map[uint64]*object // those that were met
	overdue bool               // a partition has too many merged runs
	crowd   int                // the most runs of a partition that were not merged yet
	cleaned bool               // what compactions wrote counts, too
	left    bool               // something that a compaction wrote was left to it

	runs  []state.Run // scratch
	items []item
}

func (m *planner) each(visit func(t *state.Topic, sh shape, i uint32, p *state.Partition)) {
	m.s.EachTopic(func(t *state.Topic) {
		sh := m.shape(t)
		for i := range t.Partitions() {
			if p := t.Partition(int32(i)); p.Runs() > 0 && (m.scope.Mine == nil || m.scope.Mine(t.Number, uint32(i))) {
				visit(t, sh, uint32(i), p)
			}
		}
	})
}

// survey finds out what there is.
func (m *planner) survey() {
	m.objects = map[uint64]*object{}
	m.each(func(t *state.Topic, sh shape, i uint32, p *state.Partition) {
		m.stretches(t, i, p, func(list []item) {
			for k := range list {
				if x := &list[k]; x.object != nil {
					x.object.runs++
					x.object.bytes += int64(x.run.Length)
					x.object.position = max(x.object.position, x.position)
				}
			}
			m.crowd = max(m.crowd, crowd(list))
			if !m.overdue {
				_, _, m.overdue = m.c.overdue(sh, list, m.c.Debt)
			}
		})
	})
}

// finder finds the stretch of a list that is to be merged.
type finder func(sh shape, list []item) (from, to int, ok bool)

// finder returns nil when there is nothing to merge for that reason. Where one partition is overdue those join that are
// half way there: their runs lie side by side in the same objects.
func (m *planner) finder(why Reason) finder {
	switch why {
	case Runs:
		if m.overdue {
			return func(sh shape, list []item) (int, int, bool) { return m.c.overdue(sh, list, (m.c.Debt+1)/2) }
		}
	case Flushes:
		if to, ok := m.window(); ok {
			return func(_ shape, list []item) (int, int, bool) { return oldest(list, to) }
		}
	case Debt:
		if m.crowd >= m.c.Crowd {
			return func(_ shape, list []item) (from, to int, ok bool) {
				if 2*crowd(list) < m.c.Crowd {
					return 0, 0, false
				}
				return oldest(list, math.MaxInt64)
			}
		}
	case Thin:
		if m.left { // objects that compactions wrote are kept by what is compacted no more
			m.cleaned = true
			m.survey()
		}
		if objects := m.thin(); len(objects) > 0 {
			return func(_ shape, list []item) (int, int, bool) { return thin(list, objects) }
		}
	}
	return nil
}

// window finds up to which position flushes are merged: the oldest, and as many as one plan takes, so that what becomes
// of them is as large as it can be. Whoever is patient has merged those that there were just now, and would merge a few
// at a time, over and over, what one merge can do.
func (m *planner) window() (to int64, ok bool) {
	var list []*object
	bytes := int64(0)
	for _, o := range m.objects {
		if o.runs > 0 && o.Kind != state.MergedObject {
			list = append(list, o)
			bytes += o.bytes
		}
	}
	due := m.lying() >= m.c.Few || len(list) >= m.c.FanIn || bytes >= m.c.MaxInput || m.crowd >= m.c.Crowd && len(list) >= m.c.FanIn/8
	if m.scope.Patient {
		due = bytes >= m.c.MaxOutput || len(list) >= m.c.MaxSources
	}
	if !due || len(list) == 0 {
		return 0, false
	}
	slices.SortFunc(list, func(a, b *object) int { return cmp.Compare(a.position, b.position) })
	bytes = 0
	for i, o := range list {
		if bytes += o.bytes; bytes >= m.c.MaxInput || i+1 >= m.c.MaxSources {
			return o.position, true
		}
	}
	return math.MaxInt64, true
}

// lying counts flushes that have been left lying. Each is a read for whoever reads a partition from its start, so when little
// is written they do not wait for many.
func (m *planner) lying() (n int) {
	for _, o := range m.objects {
		if o.runs > 0 && (o.Kind == state.FlushObject || o.Kind == state.FlushHedgeObject) && o.Introduced <= m.scope.Lying {
			n++
		}
	}
	return n
}

// thin finds merged objects most of which nobody needs any more, if enough would be gained. Each byte that is written
// sets free three at least.
func (m *planner) thin() map[*object]bool {
	objects, gain := map[*object]bool{}, int64(0)
	for _, o := range m.objects {
		if o.Kind == state.MergedObject && o.runs > 0 && o.Refs == o.runs && 4*o.bytes <= int64(o.Size) {
			objects[o] = true
			gain += int64(o.Size) - o.bytes
		}
	}
	if gain < m.c.MaxOutput/4 {
		return nil
	}
	return objects
}
