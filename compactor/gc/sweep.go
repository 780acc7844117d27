package gc

import (
	"maps"
	"slices"

	"wadi/internal/layout"
	"wadi/metadata/state"
)

type phase uint8

const (
	resting phase = iota
	listing
	judging   // waiting for a State that is newer than the listing
	owning    // reading manifests
	deleting  // orphans
	finishing // uploads, sessions
)

// hourly is how often a bucket is swept in which only live sessions write, in ms.
const hourly = 60 * 60 * 1000

// sweep is one sweep of the bucket, or what the next one goes by.
type sweep struct {
	phase phase
	// Of the sweep under way.
	began   int64                   // position
	gone    map[layout.Session]bool // closed for the grace when it began
	after   string                  // the last key listed
	listed  bool                    // to the end
	holds   map[layout.Session]bool // sessions with checkpoint objects in the bucket
	found   names                   // what was listed and may be an orphan
	settle  int64                   // State is newer than the listing from this position on
	owners  []manifestObject        // to be read
	missing string                  // the manifest that was not there when it was to be read
	left    []row                   // what is found there is orphans, to be deleted
	unknown int                     // objects of sessions that State does not know

	// Between sweeps.
	since int64 // when the last one began, Unix ms; the first pass counts as one
	known bool
	last  map[layout.Session]progress // of sessions, then
	kept  map[layout.Session]bool     // closed sessions that had checkpoint objects left
}

// progress is what a session has introduced.
type progress struct{ flush, merge uint64 }

func newSweep() sweep {
	return sweep{last: map[layout.Session]progress{}, kept: map[layout.Session]bool{}}
}

// due reports whether it is time for a sweep: a closed session waits to be forgotten and is past its grace, or an hour is
// over in which something was introduced. Between two sweeps lies at least the grace.
func (w *sweep) due(s *state.State, a *ages, now int64) bool {
	if !w.known {
		w.since, w.known = now, true
	}
	w.since = min(w.since, now) // the clock may go back
	waits, moved := false, false
	s.EachSession(func(id layout.Session, v state.Session) {
		waits = waits || past(v, a) && !w.kept[id]
		moved = moved || w.last[id] != progress{v.LastFlush, v.LastMerge}
	})
	since := now - w.since
	return waits && since >= a.grace || moved && since >= max(hourly, a.grace)
}

// past reports whether a session has been closed for the grace, as this process has seen it.
func past(v state.Session, a *ages) bool { return v.Closed != 0 && v.Closed <= a.aged }

// begin starts a sweep.
func (w *sweep) begin(s *state.State, a *ages, now int64) {
	*w = sweep{
		phase: listing, began: s.Position(), gone: map[layout.Session]bool{}, holds: map[layout.Session]bool{}, found: names{},
		since: now, known: true, last: map[layout.Session]progress{}, kept: map[layout.Session]bool{},
	}
	s.EachSession(func(id layout.Session, v state.Session) {
		w.last[id] = progress{v.LastFlush, v.LastMerge}
		if past(v, a) {
			w.gone[id] = true
		}
	})
}

// saw takes a key of the listing.
func (w *sweep) saw(keys layout.Objects, key string) {
	w.after = key
	if x, ok := parse(keys, key); ok {
		w.found.add(x)
	} else if c, err := keys.ParseCheckpoint(key); err == nil {
		w.holds[c.Session] = true
	}
}

// judge goes by a State that is newer than the listing.
func (w *sweep) judge(s *state.State, keys layout.Objects) {
	w.unknown += orphans(s, w.found, w.gone)
	w.owners = manifests(s, w.found, keys)
	w.phase = owning
}

// owned takes out what a manifest owns.
func (w *sweep) owned(session layout.Session, n uint64) {
	w.found.remove(name{state.MergedObject, session, n})
}

// spare leaves merged objects alone, and their sessions in State, as nobody can tell whose they are: a manifest is lost or
// damaged.
func (w *sweep) spare() {
	w.owners = nil
	w.found.sorted(func(x name) {
		if x.kind == state.MergedObject {
			w.found.remove(x)
			w.holds[x.session] = true
		}
	})
}

// condemn says that what is left is orphans.
func (w *sweep) condemn() { w.left, w.phase = w.found.rows(), deleting }

// condemned are the next orphans to be deleted.
func (w *sweep) condemned(limit int) []name { return w.found.first(w.left, limit) }

// buried takes out what is deleted.
func (w *sweep) buried(list []name) {
	for _, x := range list {
		w.found.remove(x)
	}
	for len(w.left) > 0 && w.found[w.left[0]] == nil {
		w.left = w.left[1:]
	}
}

// onward follows when all orphans found are deleted.
func (w *sweep) onward() {
	if w.left = nil; w.listed {
		w.phase = finishing
	} else {
		w.phase = listing
	}
}

// forgettable are the closed sessions of which nothing is left.
func (w *sweep) forgettable() []int64 {
	var list []int64
	for _, id := range slices.Sorted(maps.Keys(w.gone)) {
		if !w.holds[id] {
			list = append(list, int64(id))
		}
	}
	return list
}

// end closes the sweep.
func (w *sweep) end() {
	for id := range w.gone {
		if w.holds[id] {
			w.kept[id] = true
		}
	}
	*w = sweep{since: w.since, known: true, last: w.last, kept: w.kept}
}
