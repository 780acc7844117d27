package retention

import (
	"wadi/compactor/job"
	"wadi/metadata/state"
)

// damagePause is for how long a manifest that is lost or damaged is left alone, in ms. Its number comes up in the log each
// time.
const damagePause = 10 * 60_000

// part names a partition.
type part struct {
	topic     uint64
	partition uint32
}

func (a part) before(b part) bool {
	return a.topic < b.topic || a.topic == b.topic && a.partition < b.partition
}

// trim is a partition whose log start is to move.
type trim struct {
	part
	start int64
}

// look is a partition whose manifest has to be read to tell where its log is to start.
type look struct {
	part
	p    *state.Partition
	rule rule
}

// release is a manifest that owns objects which nobody can read.
type release struct {
	part
	manifest state.Manifest
	below    int64 // objects that end below it
}

// work is what a pass finds in a snapshot.
type work struct {
	trims    []trim
	looks    []look
	releases []release
	more     bool // there were more looks than a pass takes
}

// plan finds what is due. It is pure: it changes the notes only in noting which manifests came up.
//
// Of more looks than limit those come first that lie behind the partition at which the pass before stopped, so that every
// manifest gets its turn, also when some cannot be read.
func plan(in *job.View, known *notes, after part, limit int) work {
	w := work{}
	var wrapped []look // those that come after the others
	in.State.EachTopic(func(t *state.Topic) {
		r := ruleOf(in.Configs(t), in.Now, in.Clock == nil)
		for i := range int32(t.Partitions()) {
			p := t.Partition(i)
			if p.LogStart == p.Next && p.Manifest == nil || !in.Mine(t.Number, uint32(i)) {
				continue
			}
			at := part{t.Number, uint32(i)}
			x := note{}
			if p.Manifest != nil {
				x = known.at(p.Manifest)
				if x.rests(in.Now) {
					continue
				}
				if x.frees(p) {
					w.releases = append(w.releases, release{at, *p.Manifest, p.LogStart})
				}
			}
			if r.idle() {
				continue
			}
			start, sure := judge(r, p, &x)
			switch {
			case !sure && after.before(at):
				w.looks = w.put(w.looks, look{at, p, r}, limit)
			case !sure:
				wrapped = w.put(wrapped, look{at, p, r}, limit)
			case start > p.LogStart:
				w.trims = append(w.trims, trim{at, start})
			}
		}
	})
	in.State.EachLoose(func(m state.Manifest) {
		if x := known.at(&m); in.Mine(m.Object, 0) && !x.rests(in.Now) {
			w.releases = append(w.releases, release{manifest: m, below: m.Last + 1})
		}
	})
	if w.looks = append(w.looks, wrapped...); len(w.looks) > limit {
		w.looks, w.more = w.looks[:limit], true
	}
	return w
}

// put appends a look unless there are enough of them.
func (w *work) put(list []look, x look, limit int) []look {
	if len(list) == limit {
		w.more = true
		return list
	}
	return append(list, x)
}

// rests reports whether the manifest was found damaged a moment ago.
func (x *note) rests(now int64) bool {
	return x.damaged != 0 && now >= x.damaged && now-x.damaged < damagePause
}

// judge tells where a partition's log is to start, as far as State and a note about its manifest say; sure is false when
// the manifest has to be read.
func judge(r rule, p *state.Partition, x *note) (start int64, sure bool) {
	c := newCut(r, p, live(p))
	m := p.Manifest
	if m == nil {
		c.runs(p, p.LogStart)
		return c.start, true
	}
	// Once all of the manifest goes, what lay in it decides nothing about what follows.
	behind := c
	behind.start = m.Last + 1
	if behind.excess >= 0 {
		behind.excess -= m.Bytes
	}
	if x.knows(p) && c.excess >= 0 {
		c.excess -= m.Bytes - x.bytes // what lies below the log start
	}
	switch {
	case x.knows(p) && c.excess < x.first && !r.expired(x.oldest):
		if x.oldest >= 0 {
			return p.LogStart, true
		}
	case r.expired(m.MaxTimestamp):
		// All of it goes, unless its last runs have no timestamps: they go with what follows.
		behind.runs(p, behind.start)
		return behind.start, behind.start > m.Last+1
	case x.knows(p), c.excess >= 0, m.MaxTimestamp >= 0 && r.before >= 0:
		return 0, false
	case m.MaxTimestamp >= 0:
		return p.LogStart, true
	}
	// Nothing in the manifest has a timestamp, nor goes by size: it goes with what follows it, or stays.
	behind.runs(p, behind.start)
	if behind.start == m.Last+1 {
		return p.LogStart, true
	}
	return behind.start, true
}
