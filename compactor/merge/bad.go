package merge

import "wadi/metadata/state"

// badRuns are runs that could not be read. They are left alone for as long as the process lives, so that a pass does not
// fail on them again and again; what follows them is merged without them.
type badRuns map[badRun]struct{}

type badRun struct {
	topic     uint64
	partition uint32
	base      int64
	place     uint64
}

// maxBad bounds the memory of what is damaged. Beyond it all are tried once more.
const maxBad = 100_000

func (m badRuns) add(u Unread) {
	if len(m) >= maxBad {
		clear(m)
	}
	m[badRun{u.Topic, u.Partition, u.Err.Run.Base, u.Err.Run.Place}] = struct{}{}
}

func (m badRuns) has(topic uint64, partition uint32, r state.Run) bool {
	_, ok := m[badRun{topic, partition, r.Base, r.Place}]
	return ok
}
