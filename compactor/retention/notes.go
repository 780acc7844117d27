package retention

import "wadi/metadata/state"

// note is what was found in a manifest. It says what need not be looked up again: as long as State has this manifest, with
// the log start that the note is about, nothing in it is due before the note says so.
type note struct {
	// Of the runs from an offset on.
	start  int64 // 0 and first 0: they were not looked at
	bytes  int64 // in the manifest, from start on
	first  int64 // bytes of the run at start
	oldest int64 // of the first run that has timestamps the largest, -1 = none has in the manifest

	next int64 // last offset of an object that was not released once, -1 = none was looked at

	damaged int64 // Unix ms: when it could not be read, 0 = it could
	seen    uint64
}

// notes are kept by the number of the manifest's object. It belongs to one task and is not locked.
type notes struct {
	of   map[uint64]*note
	pass uint64
}

// at is the note about a manifest, an empty one when there is none.
func (n *notes) at(m *state.Manifest) note {
	if x := n.of[m.Object]; x != nil {
		x.seen = n.pass
		return *x
	}
	return note{next: -1}
}

// keep replaces the note about a manifest.
func (n *notes) keep(object uint64, x note) {
	x.seen = n.pass
	n.of[object] = &x
}

// begin is called before a pass, end behind it: manifests that did not come up are gone, or someone else's.
func (n *notes) begin() {
	if n.of == nil {
		n.of = make(map[uint64]*note)
	}
	n.pass++
}

func (n *notes) end() {
	for object, x := range n.of {
		if x.seen != n.pass {
			delete(n.of, object)
		}
	}
}

// knows reports whether the note tells of the runs from the log start on.
func (x *note) knows(p *state.Partition) bool { return x.first > 0 && x.start == p.LogStart }

// frees reports whether an object may be released, as far as is known: the log starts behind some of the manifest, and
// behind the object at which the release before ended.
func (x *note) frees(p *state.Partition) bool {
	return p.LogStart > p.Manifest.First && p.LogStart > x.next
}
