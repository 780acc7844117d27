package keycompact

import (
	"wadi/compactor/job"
	"wadi/metadata/state"
)

// readable tells of the runs of a snapshot whether their bytes can be had: those of an entry that just came may be in no
// archive yet, and not in this process' memory.
func readable(env *job.Env, s *state.State) func(state.Run) bool {
	return func(r state.Run) bool {
		if !r.Inline() {
			return true
		}
		if _, _, ok := s.Archive(int64(r.Place)); ok {
			return true
		}
		return env.Inline != nil && env.Inline(int64(r.Place)) != nil
	}
}
