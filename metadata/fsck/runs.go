package fsck

import (
	"cmp"
	"fmt"
	"slices"

	"wadi/internal/layout"
	"wadi/metadata/state"
)

// partition is what runs are named by, and what is asked of those of its log.
type partition struct {
	topic     string
	number    uint64
	id        state.TopicID
	index     int32
	start     int64 // log start
	compacted int64 // below it offsets may be missing

	damaged bool   // runs cannot be read
	aborts  []mark // that were read, in any order
}

func (p *partition) String() string { return fmt.Sprintf("%s-%d", p.topic, p.index) }

func partitionOf(t *state.Topic, i int32) *partition {
	p := t.Partition(i)
	return &partition{topic: t.Name, number: t.Number, id: t.ID, index: i, start: p.LogStart, compacted: p.CompactedTo}
}

// piece is a run with the partition it belongs to.
type piece struct {
	state.Run
	of *partition
}

// homes are the runs by where their bytes lie. Transactions' markers have none until a merge writes them out: State holds
// all of them.
type homes struct {
	segments map[uint64][]piece // by object number
	archives map[uint64][]piece // inline runs, by the number of the archive that State names
	journal  []piece            // inline runs that State knows in no archive
}

// collectRuns visits all runs of live topics and checks that they cover each partition's log.
func (c *checker) collectRuns() homes {
	h := homes{segments: map[uint64][]piece{}, archives: map[uint64][]piece{}}
	var n Counts
	c.state.EachTopic(func(t *state.Topic) {
		n.Topics++
		for i := range t.Partitions() {
			n.Partitions++
			p := t.Partition(int32(i))
			of := partitionOf(t, int32(i))
			c.partitions = append(c.partitions, of)
			if err := covers(p); err != nil {
				c.finding(BadState, of.String(), "%v", err)
			}
			n.Records += p.Next - p.LogStart
			if p.Manifest != nil {
				n.Manifests++
				c.folds.add(c, c.state, *p.Manifest, of, 0)
			}
			p.EachRun(func(r state.Run) {
				n.Runs++
				if r.Marker() {
					if n.Markers++; r.Base >= p.LogStart {
						n.Records--
					}
				} else {
					c.place(&h, piece{r, of})
				}
			})
		}
	})
	for _, list := range h.segments {
		slices.SortFunc(list, func(a, b piece) int { return cmp.Compare(a.Offset, b.Offset) })
		c.overlaps(list)
	}
	for _, list := range h.archives {
		c.sortInline(list)
	}
	c.sortInline(h.journal)
	c.state.EachSession(func(layout.Session, state.Session) { n.Sessions++ })
	c.count(func(all *Counts) {
		all.Topics, all.Partitions, all.Sessions = n.Topics, n.Partitions, n.Sessions
		all.Runs, all.Markers, all.Records = n.Runs, n.Markers, n.Records
		all.Segments, all.Manifests = len(h.segments), n.Manifests
	})
	return h
}

// place enters a run where its bytes lie.
func (c *checker) place(h *homes, x piece) {
	if !x.Inline() {
		h.segments[x.Place] = append(h.segments[x.Place], x)
	} else if _, number, ok := c.state.Archive(int64(x.Place)); ok {
		h.archives[number] = append(h.archives[number], x)
	} else {
		h.journal = append(h.journal, x)
	}
}

func (c *checker) sortInline(list []piece) {
	slices.SortFunc(list, func(a, b piece) int {
		return cmp.Or(cmp.Compare(a.Place, b.Place), cmp.Compare(a.Offset, b.Offset))
	})
	c.overlaps(list)
}

// covers checks that a partition's manifest and runs lead from its log start, or from below it, to its next offset without
// gap or overlap. Deleting records cuts no run, and those wholly below the log start stay until they are swept. Where the last
// stable offset lies in the log, readers of committed records stop: a run begins there.
func covers(p *state.Partition) error {
	next, first := p.LogStart, true
	stable := p.LSO()
	whole := stable == p.LogStart || stable == p.Next
	if m := p.Manifest; m != nil {
		if m.First > p.LogStart {
			return fmt.Errorf("its manifest begins at offset %d, the log at %d", m.First, p.LogStart)
		}
		next, first = m.Last+1, false
	}
	var err error
	p.EachRun(func(r state.Run) {
		if err != nil {
			return
		}
		if first && r.Base > next || !first && r.Base != next || r.Last < r.Base {
			err = fmt.Errorf("a run goes from offset %d to %d where one from %d is due", r.Base, r.Last, next)
		}
		next, first = r.Last+1, false
		whole = whole || r.Base == stable
	})
	if err == nil && !whole {
		err = fmt.Errorf("the last stable offset %d lies within a run", stable)
	}
	if err == nil && next != p.Next {
		err = fmt.Errorf("the runs end before offset %d, the log before %d", next, p.Next)
	}
	return err
}

// overlaps reports runs that share bytes: one batch would be served twice. The list is sorted by place and offset.
func (c *checker) overlaps(list []piece) {
	for i := 1; i < len(list); i++ {
		a, b := list[i-1], list[i]
		if a.Place == b.Place && uint64(a.Offset)+uint64(a.Length) > uint64(b.Offset) {
			c.finding(BadState, b.of.String(), "the run at offset %d shares bytes with the one of %s at offset %d", b.Base, a.of, a.Base)
		}
	}
}
