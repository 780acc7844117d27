package retention

import (
	"context"

	"wadi/compactor/job"
	"wadi/metadata/manifest"
	"wadi/metadata/state"
)

// reading is a look on its way: it is shown the runs of the manifest from the front on.
type reading struct {
	look
	cut    cut
	begun  bool  // runs at or above the log start were shown
	left   int64 // bytes in the manifest from the new start on, as far as runs were shown
	passed int64 // bytes behind the new start that were shown
}

func (x look) begin() *reading {
	return &reading{look: x, cut: newCut(x.rule, x.p, live(x.p)), left: x.p.Manifest.Bytes}
}

// take takes the next run of the manifest; false: that was all that matters.
func (x *reading) take(r state.Run) bool {
	switch {
	case r.Last < x.p.Manifest.First:
		return true // released
	case r.Last < x.p.LogStart:
		x.left -= int64(r.Length)
		return true
	}
	if !x.begun {
		x.begun = true
		if x.cut.excess >= 0 {
			x.cut.excess -= x.p.Manifest.Bytes - x.left
		}
	}
	start := x.cut.start
	more := x.cut.take(r)
	if x.cut.start > start {
		// What was passed over for lack of timestamps goes along.
		x.left -= int64(r.Length) + x.passed
		x.passed = 0
	} else if more {
		x.passed += int64(r.Length)
	}
	return more
}

// done tells the new log start, and what is known of the manifest then. whole tells that all its runs were shown.
func (x *reading) done(whole bool) (start int64, found note) {
	found = note{start: x.cut.start, bytes: x.left, first: x.cut.first, oldest: x.cut.oldest}
	if whole {
		x.cut.runs(x.p, x.p.Manifest.Last+1)
	}
	return x.cut.start, found
}

// open opens the manifest of a number in a snapshot of State.
func open(ctx context.Context, env *job.Env, s *state.State, object uint64) (*manifest.Reader, error) {
	o, _ := s.Object(object)
	return manifest.Open(ctx, env.Store, o.Key(env.Objects), o.Size)
}

// read carries a look out.
func (x look) read(ctx context.Context, env *job.Env, s *state.State) (start int64, found note, err error) {
	r, err := open(ctx, env, s, x.p.Manifest.Object)
	if err != nil {
		return 0, note{}, err
	}
	reading := x.begin()
	for i := r.BlockOf(x.p.Manifest.First); i >= 0 && i < len(r.RunBlocks()); i++ {
		runs, err := r.RunBlock(ctx, i)
		if err != nil {
			return 0, note{}, err
		}
		for _, y := range runs {
			if !reading.take(y.Run) {
				start, found = reading.done(false)
				return start, found, nil
			}
		}
	}
	start, found = reading.done(true)
	return start, found, nil
}
