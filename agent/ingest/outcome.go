package ingest

import (
	"time"

	"wadi/metadata/session"
	"wadi/metadata/state"
)

// committed takes the outcome of a flush's proposal. It runs while the outcome's result is valid.
func (g *Ingest) committed(f *Flush, o session.Outcome) {
	var verdicts []Result
	var err error
	g.o.View.Read(func(s *state.State) { verdicts, err = f.Judged(o, s) })
	if f.N != 0 && g.o.OnSettled != nil {
		g.o.OnSettled(f.key, g.number(f, verdicts))
	}
	g.step(func(c *Core, now time.Duration) {
		if g.o.OnFlush != nil && err == nil {
			path := "object"
			if f.N == 0 {
				path = "inline"
			}
			g.o.OnFlush(path, now-f.closed)
		}
		c.Committed(now, f, verdicts, err)
	})
}

// number is the object number that State gave to a flush: that of the run of its first accepted batch. The entry is the
// last one applied, so that no merge can have replaced the run.
func (g *Ingest) number(f *Flush, verdicts []Result) (number uint64) {
	g.o.View.Read(func(s *state.State) {
		for i, v := range verdicts {
			if v.Code != state.OK {
				continue
			}
			if p := partitionOf(s, f.items[i].Partition); p != nil {
				if runs := p.RunsFrom(v.Base, 1, 1, nil); len(runs) == 1 && !runs[0].Inline() {
					number = runs[0].Place
					return
				}
			}
		}
	})
	return number
}

// producers asks the live State.
type producers struct{ view View }

func (p producers) Turn(id Partition, pid int64, epoch int16) (t Turn) {
	p.view.Read(func(s *state.State) { t = TurnIn(s, id, pid, epoch) })
	return t
}
