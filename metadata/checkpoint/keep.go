package checkpoint

import (
	"time"

	pb "wadi/metadata/metadatapb"
)

// keep tells which roots, oldest first, stay at a time in Unix ms: the newest ones, and of those before them the first of
// each hour while it is young enough. What is kept of an hour was its first root when it was the newest, so it stays when
// later ones go.
func (l Limits) keep(roots []*pb.KeptRoot, now int64) (kept, dropped []*pb.KeptRoot) {
	hours := map[int64]bool{}
	old := len(roots) - l.KeepRoots // as many are not among the newest
	for i, r := range roots {
		hour := r.AtMs / time.Hour.Milliseconds()
		if i >= old || !hours[hour] && now-r.AtMs < l.KeepHourly.Milliseconds() {
			kept = append(kept, r)
		} else {
			dropped = append(dropped, r)
		}
		hours[hour] = true
	}
	// Clocks that differ by hours must not make a pointer of any length.
	if n := len(kept) - l.KeepRoots - int(l.KeepHourly/time.Hour) - 1; n > 0 {
		dropped, kept = append(dropped, kept[:n]...), kept[n:]
	}
	return kept, dropped
}

// garbage is what the core knows of State's.
type garbage struct {
	lost int64 // position at which the newest lost its last reference, 0 = there is none
	wall int64 // Unix ms, when that was so
}

// Garbage tells the position at which the newest of State's garbage lost its last reference, 0 when there is none, and the
// time in Unix ms. Kept roots hold garbage, and only a checkpoint lets go of one; so while there is garbage that the next
// one helps, one is due, though nothing happens.
func (c *Core) Garbage(now time.Duration, lost, wall int64) {
	c.now, c.garbage = now, garbage{lost, wall}
}

// waits reports whether garbage waits for another checkpoint: one of the newest roots is older, as many checkpoints as
// roots are kept mend that, or another one may go by now. Each checkpoint moves the roots on and makes no garbage, so a
// quiet cluster falls silent.
func (g garbage) waits(l Limits, p *pb.Pointer) bool {
	roots := p.GetKept()
	if g.lost == 0 || l.KeepRoots <= 0 {
		return false
	}
	if len(roots) == 0 || roots[max(0, len(roots)-l.KeepRoots)].Position < g.lost {
		return true
	}
	_, dropped := l.keep(append(roots[:len(roots):len(roots)], &pb.KeptRoot{AtMs: g.wall}), g.wall)
	for _, r := range dropped {
		if r.Position < g.lost {
			return true
		}
	}
	return false
}
