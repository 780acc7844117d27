package fetch

import (
	"context"
	"fmt"
	"slices"
	"time"

	"wadi/agent/api"
	"wadi/metadata/state"
	"wadi/metadata/view"
)

// Bounds of what one look at State plans. A fetch that ends at them gets the rest with the next one.
const (
	maxRunsPerPart  = 1024
	maxRunsPerFetch = 8192
)

// plan is what one look at State gave for a part.
type plan struct {
	from, to int   // its places
	end      int64 // records from here on are not for this reader yet
	retry    error // an error that counts only when it is still there after a barrier
	err      error
}

// of are the places of a part's plan.
func (f *fetch) of(i int) []place { return f.places[f.plans[i].from:f.plans[i].to] }

// look is one look at State, over all parts of a fetch.
type look struct {
	state *state.State
	blind bool  // the view cannot tell that there is nothing new
	left  int64 // bytes that the answer may still hold
	total int64 // bytes found
	runs  int   // found
	error bool

	topic  uint64 // the part's before, whose lookup is not repeated
	lookup *state.Topic
}

// plan looks at State once, for all parts. It reports whether the request can be answered now (Semantics line 34).
//
// In a session the parts are those that may have news. A blind view has none, and cannot say so of any partition: then
// the parts are all of them.
func (f *fetch) plan() bool {
	l := look{blind: f.log.blind(), left: int64(f.call.MaxBytes)}
	if s := f.call.Session; s != nil {
		parts, wait := s.Parts(l.blind)
		l.error = !wait
		f.call.Parts, f.plans = parts, slices.Grow(f.plans[:0], len(parts))[:len(parts)]
	}
	f.log.o.View.Read(func(s *state.State) {
		l.state, f.position, f.places, f.wants = s, s.Position(), f.places[:0], f.wants[:0]
		for i := range f.call.Parts {
			f.planPart(&l, i)
		}
	})
	return l.error || l.total >= int64(f.call.MinBytes)
}

// blind reports whether the view has been out of touch for so long that "nothing new" would be a guess: readers must
// hear of it instead of waiting for ever.
func (l *Log) blind() bool {
	switch h, _ := l.o.View.Health(); h {
	case view.Current:
		return false
	case view.Behind:
		return l.o.View.Lag() > l.o.MaxLag
	default:
		return true
	}
}

func (f *fetch) planPart(l *look, i int) {
	part, p := &f.call.Parts[i], &f.plans[i]
	*p = plan{from: len(f.places), to: len(f.places)}
	part.HighWatermark, part.LastStable, part.LogStart, part.Aborted = -1, -1, -1, nil
	if l.lookup == nil || l.topic != part.Topic {
		l.topic, l.lookup = part.Topic, l.state.TopicByNumber(part.Topic)
	}
	var x *state.Partition
	if l.lookup != nil {
		x = l.lookup.Partition(part.Partition)
	}
	if x == nil {
		p.retry, l.error = api.ErrUnknownTopic, true
		return
	}
	part.HighWatermark, part.LastStable, part.LogStart = x.Next, x.LSO(), x.LogStart
	p.end = x.Next
	if f.call.ReadCommitted {
		p.end = x.LSO()
	}
	switch {
	case part.Offset < x.LogStart || part.Offset > x.Next:
		p.retry, l.error = api.ErrOffsetOutOfRange, true
	case part.Offset < p.end:
		f.gather(l, x, part, p)
	case l.blind:
		p.err, l.error = api.ErrViewBehind, true
	}
}

// gather collects the runs to read for a part, of those that its reader may see: the last stable offset is where a run
// begins. The first one is entered in its middle: what lies before the offset is guessed from the share of its records,
// and does not count as bytes that the answer will hold.
func (f *fetch) gather(l *look, x *state.Partition, part *api.FetchPart, p *plan) {
	limit, room := min(int64(part.MaxBytes), l.left), min(maxRunsPerPart, maxRunsPerFetch-l.runs)
	if l.runs == 0 {
		limit = max(limit, 1) // whatever the limits, the first batch found is returned (KIP-74)
	}
	if limit <= 0 || room <= 0 {
		return
	}
	var old *folded
	if x.Manifest != nil && part.Offset <= x.Manifest.Last {
		if old = f.unfold(l, x.Manifest, part, p, room, limit); old == nil {
			return
		}
	}
	f.runs = old.runsFrom(x, part.Offset, room, limit, f.runs[:0])
	runs := below(f.runs, p.end)
	if len(runs) == 0 {
		return
	}
	first, bytes := runs[0], int64(0)
	for _, r := range runs {
		bytes += int64(r.Length)
	}
	bytes -= int64(float64(first.Length) * float64(part.Offset-first.Base) / float64(first.Last-first.Base+1))
	if last := runs[len(runs)-1].Last; bytes < limit && len(runs) < room && last+1 < p.end {
		n := len(runs)
		f.runs = old.runsFrom(x, last+1, room-n, limit-bytes, runs)
		runs = below(f.runs, p.end)
		for _, r := range runs[n:] {
			bytes += int64(r.Length)
		}
	}
	if end := first.Last + 1; len(runs) == 1 && part.Offset > first.Base && first.Base < x.CompactedTo && end < p.end && room > 1 {
		f.runs = old.runsFrom(x, end, 1, 1, runs) // the first may hold nothing from the offset on
		runs = below(f.runs, p.end)
	}
	if f.places == nil {
		f.places = make([]place, 0, max(len(runs), len(f.plans)))
	}
	for _, r := range runs {
		if old.holds(r) {
			f.places = append(f.places, old.place(r))
		} else {
			f.places = append(f.places, resolve(l.state, r))
		}
	}
	p.to = len(f.places)
	if f.call.ReadCommitted {
		f.aborted(old, x, part, runs[len(runs)-1].Last)
	}
	l.runs += p.to - p.from
	bytes = min(bytes, limit)
	l.left -= bytes
	l.total += bytes
}

// below cuts off the runs from end on. There is one at most, unless a transaction is open.
func below(runs []state.Run, end int64) []state.Run {
	for len(runs) > 0 && runs[len(runs)-1].Base >= end {
		runs = runs[:len(runs)-1]
	}
	return runs
}

func (f *fetch) allCached() bool {
	for i := range f.plans {
		if f.plans[i].retry != nil {
			return false
		}
	}
	for i := range f.places {
		if !f.log.src.cached(&f.places[i]) {
			return false
		}
	}
	return true
}

// ready plans, and confirms by a barrier what would be an error: another agent may know better.
func (f *fetch) ready() bool {
	ready, _ := f.look(false)
	if f.confirm() {
		f.forget()
		ready, _ = f.look(false)
		for i := range f.plans {
			if p := &f.plans[i]; p.retry != nil {
				p.err = f.log.missing(p.retry)
			}
		}
	}
	return ready || !time.Now().Before(f.deadline) || f.ctx.Err() != nil || f.call.Drain.Err() != nil
}

// confirm passes a barrier when a plan asks for it. When there is none to be had, that is the error: an agent that is
// merely behind never sends a client to another offset (Semantics line 35).
func (f *fetch) confirm() bool {
	asks := false
	for i := range f.plans {
		asks = asks || f.plans[i].retry != nil
	}
	if !asks {
		return false
	}
	ctx, cancel := context.WithTimeout(f.ctx, barrierTimeout)
	defer cancel()
	if err := f.log.o.View.Barrier(ctx); err != nil {
		for i := range f.plans {
			if p := &f.plans[i]; p.retry != nil {
				p.err, p.retry = fmt.Errorf("%w: %w", api.ErrViewBehind, err), nil
			}
		}
		return false
	}
	return true
}
