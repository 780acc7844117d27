package merge

import (
	"cmp"
	"slices"

	"wadi/metadata/state"
)

// Config bounds plans.
type Config struct {
	MaxInput  int64 // bytes that one plan reads, at most; the last stretch of runs may pass it
	MaxOutput int64 // bytes of an object, at most; one stretch of runs may pass it
	FanIn     int   // objects of a tier that are worth a merge
	Debt      int   // runs of a tier in one partition that are worth a merge, in however few objects they lie
	FirstTier int64 // bytes: smaller objects are of the lowest tier
	Factor    int64 // each further tier's bound is so many times the one before
}

// Defaults write a record once more where a lot is written, twice more where little is: 64 flushes of 8 MiB become two
// objects that stay; 64 small ones become one of the second tier, 64 of which become objects that stay.
func Defaults() Config {
	return Config{MaxInput: 512 << 20, MaxOutput: 256 << 20, FanIn: 64, Debt: 64, FirstTier: 1 << 20, Factor: 64}
}

// stays is the tier of objects that are not merged any further.
const stays = 8

// tier of an object by its size. Runs in the journal are of the lowest.
func (c Config) tier(size int64) int {
	if size >= c.MaxOutput/2 {
		return stays
	}
	t, bound := 0, c.FirstTier
	for size >= bound && t < stays-1 {
		t, bound = t+1, bound*c.Factor
	}
	return t
}

// Plan is what one merge does.
type Plan struct {
	Tier    int
	Outputs []Output
}

// Output is one object: ranges sorted by topic and partition, no partition twice.
type Output struct {
	Ranges []Range
	Bytes  int64 // of their runs
}

// Range is a stretch of a partition's runs, side by side, that become runs of one object.
type Range struct {
	Topic     uint64
	Partition uint32
	Version   uint64 // State's structure version when the plan was made
	Runs      []state.Run
}

// Bytes is the size of the range's runs.
func (r *Range) Bytes() (n int64) {
	for _, x := range r.Runs {
		n += int64(x.Length)
	}
	return n
}

// Make looks for the next thing worth merging in a snapshot of State: the lowest tier first, in it the oldest objects.
// ok is false when there is none. It visits all runs.
func Make(s *state.State, c Config) (p Plan, ok bool) {
	m := planner{c: c, s: s, objects: map[uint64]source{}}
	s.EachObject(func(number uint64, o state.Object) {
		if o.Refs > 0 && o.Kind != state.ArchiveObject {
			m.objects[number] = source{tier: c.tier(int64(o.Size)), position: o.Introduced, size: int64(o.Size)}
		}
	})
	for tier := range stays {
		if to, ok := m.window(tier); ok {
			if outputs := m.outputs(tier, to); m.worth(outputs) {
				return Plan{Tier: tier, Outputs: outputs}, true
			}
		}
	}
	return Plan{}, false
}

// worth reports whether outputs leave less than they take: enough objects go with them, or enough runs. What cannot be
// merged for now, as a transaction is open above it, must not have its neighbours written over and over.
func (m *planner) worth(outputs []Output) bool {
	taken, runs, ranges := map[uint64]uint64{}, 0, 0
	for _, o := range outputs {
		for _, r := range o.Ranges {
			ranges++
			runs += len(r.Runs)
			for _, x := range r.Runs {
				if !x.Marker() && !x.Inline() {
					taken[x.Place]++
				}
			}
		}
	}
	gone := 0
	for number, n := range taken {
		if o, _ := m.s.Object(number); o.Refs == n {
			gone++
		}
	}
	return gone > len(outputs) && 2*gone >= m.c.FanIn || 2*(runs-ranges) >= m.c.Debt
}

// source is where runs come from: an object, or an entry of the journal.
type source struct {
	tier     int
	position int64 // of the entry that introduced it: the order in which records were written
	size     int64
}

type planner struct {
	c       Config
	s       *state.State
	objects map[uint64]source // by number
}

// origin is where a run comes from; false for an inline one that no archive holds yet. Markers have none: they go with
// their neighbours.
func (m *planner) origin(r state.Run) (source, bool) {
	if r.Inline() {
		_, _, ok := m.s.Archive(int64(r.Place))
		return source{position: int64(r.Place)}, ok
	}
	o, ok := m.objects[r.Place]
	return o, ok
}

// window finds up to which position a tier's objects are worth merging: there are enough of them, or enough of their
// bytes, or a partition has too many runs in them.
func (m *planner) window(tier int) (to int64, ok bool) {
	var list []source
	for _, o := range m.objects {
		if o.tier == tier {
			list = append(list, o)
		}
	}
	slices.SortFunc(list, func(a, b source) int { return cmp.Compare(a.position, b.position) })
	bytes := int64(0)
	for i, o := range list {
		if bytes += o.size; bytes >= m.c.MaxInput || i+1 >= m.c.FanIn {
			return o.position, true
		}
	}
	m.s.EachTopic(func(t *state.Topic) {
		for i := range int32(t.Partitions()) {
			if !ok {
				to, ok = m.indebted(t.Partition(i), tier)
			}
		}
	})
	return to, ok
}

// indebted finds the position up to which a partition has too many runs of a tier.
func (m *planner) indebted(p *state.Partition, tier int) (to int64, ok bool) {
	if p.Runs() < m.c.Debt {
		return 0, false
	}
	n, stable := 0, p.LSO()
	p.EachRun(func(r state.Run) {
		if r.Marker() || r.Last >= stable || n >= m.c.Debt {
			return
		}
		if o, known := m.origin(r); known && o.tier == tier {
			n++
			to = max(to, o.position)
		}
	})
	return to, n >= m.c.Debt
}

// outputs are the objects that a tier's runs from up to a position become.
func (m *planner) outputs(tier int, to int64) []Output {
	var list []Output
	var open Output
	runs, left := 0, m.c.MaxInput
	flush := func() {
		if len(open.Ranges) > 0 {
			list = append(list, open)
		}
		open, runs = Output{}, 0
	}
	m.s.EachTopic(func(t *state.Topic) {
		for i := range int32(t.Partitions()) {
			if left <= 0 {
				return
			}
			p := t.Partition(i)
			r := Range{Topic: t.Number, Partition: uint32(i), Version: p.Version, Runs: m.stretch(p, tier, to)}
			if len(r.Runs) == 0 {
				continue
			}
			n := r.Bytes()
			if open.Bytes+n > m.c.MaxOutput || len(open.Ranges) == state.MaxReplaceRanges || runs+len(r.Runs) > state.MaxReplacedRuns {
				flush()
			}
			open.Ranges = append(open.Ranges, r)
			open.Bytes += n
			runs += len(r.Runs)
			left -= n
		}
	})
	flush()
	return list
}

// stretch is a partition's oldest stretch of runs, side by side, that come from a tier up to a position, with the markers
// between and behind them. What lies below the log start is left to the sweep.
func (m *planner) stretch(p *state.Partition, tier int, to int64) []state.Run {
	var runs []state.Run
	bytes, stable, ended := int64(0), p.LSO(), false
	p.EachRun(func(r state.Run) {
		if ended || r.Last < p.LogStart {
			return
		}
		mine := r.Last < stable && len(runs) < state.MaxReplacedRuns && bytes < m.c.MaxOutput
		if mine && !r.Marker() {
			o, known := m.origin(r)
			mine = known && o.tier == tier && o.position <= to
		}
		switch {
		case mine && (len(runs) > 0 || !r.Marker()):
			runs = append(runs, r)
			bytes += int64(r.Length)
		case len(runs) > 0:
			ended = true
		}
	})
	return runs
}
