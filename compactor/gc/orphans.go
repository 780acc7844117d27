package gc

import (
	"wadi/internal/layout"
	"wadi/metadata/state"
)

// orphans takes out of found, the names of what a listing showed, all that is no orphan by a State that is newer than the
// listing: but for merged objects, which manifests may own. gone are sessions of which nothing can land any more. It says how
// many are left to fsck, as State does not know their sessions.
func orphans(s *state.State, found names, gone map[layout.Session]bool) (unknown int) {
	s.EachObject(func(_ uint64, o state.Object) {
		found.remove(name{o.Kind, o.Session, o.N})
	})
	sessions := map[layout.Session]state.Session{}
	s.EachSession(func(id layout.Session, v state.Session) { sessions[id] = v })
	found.sorted(func(x name) {
		v, known := sessions[x.session]
		switch {
		case !known:
			unknown++
			found.remove(x)
		case v.Closed != 0 && gone[x.session]:
		case x.n > introduced(v, x.kind):
			found.remove(x) // it may be named yet, or land again
		}
	})
	return unknown
}

// introduced is the highest number of that kind of object that State took of a session.
func introduced(v state.Session, kind state.ObjectKind) uint64 {
	if kind == state.FlushObject || kind == state.FlushHedgeObject {
		return v.LastFlush
	}
	return v.LastMerge
}

// manifestObject is one whose owner table is to be read.
type manifestObject struct {
	key  string
	size uint64
}

// manifests are those that State holds, if a merged object was found that may be theirs.
func manifests(s *state.State, found names, keys layout.Objects) (list []manifestObject) {
	if !found.has(state.MergedObject) {
		return nil
	}
	s.EachManifest(func(m state.Manifest) {
		if o, ok := s.Object(m.Object); ok {
			list = append(list, manifestObject{o.Key(keys), o.Size})
		}
	})
	return list
}
