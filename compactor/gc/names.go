package gc

import (
	"cmp"
	"maps"
	"math/bits"
	"slices"

	"wadi/internal/layout"
	"wadi/metadata/state"
)

// name is what makes the key of an object that a session numbers.
type name struct {
	kind    state.ObjectKind
	session layout.Session
	n       uint64
}

// parse tells the name of a key; ok is false for keys of other kinds, checkpoint objects among them.
func parse(keys layout.Objects, key string) (name, bool) {
	if f, err := keys.ParseFlush(key); err == nil {
		kind := state.FlushObject
		if f.Hedge {
			kind = state.FlushHedgeObject
		}
		return name{kind, f.Session, f.N}, true
	}
	if m, err := keys.ParseMerged(key); err == nil {
		return name{state.MergedObject, m.Session, m.N}, true
	}
	if m, err := keys.ParseManifest(key); err == nil {
		return name{state.ManifestObject, m.Session, m.N}, true
	}
	return name{}, false
}

func (x name) key(keys layout.Objects) string {
	return state.Object{Kind: x.kind, Session: x.session, N: x.n}.Key(keys)
}

const (
	rowBits  = 512
	rowBytes = rowBits/8 + 64 // about, with what the map takes
)

// row is where a name's bit is.
type row struct {
	kind    state.ObjectKind
	session layout.Session
	n       uint64 // the name's, by rowBits
}

// names is a set of names. Those of a session are mostly dense, so it is rows of bits.
type names map[row]*[rowBits / 64]uint64

func (s names) at(x name) (r row, word int, bit uint64) {
	return row{x.kind, x.session, x.n / rowBits}, int(x.n % rowBits / 64), 1 << (x.n % 64)
}

func (s names) add(x name) {
	r, word, bit := s.at(x)
	if s[r] == nil {
		s[r] = new([rowBits / 64]uint64)
	}
	s[r][word] |= bit
}

func (s names) remove(x name) {
	r, word, bit := s.at(x)
	if b := s[r]; b != nil {
		if b[word] &^= bit; *b == [rowBits / 64]uint64{} {
			delete(s, r)
		}
	}
}

// has reports whether there is a name of a kind.
func (s names) has(kind state.ObjectKind) bool {
	for r := range s {
		if r.kind == kind {
			return true
		}
	}
	return false
}

// merged tells the sessions of which there are merged objects.
func (s names) merged() func(layout.Session) bool {
	sessions := map[layout.Session]bool{}
	for r := range s {
		if r.kind == state.MergedObject {
			sessions[r.session] = true
		}
	}
	return func(id layout.Session) bool { return sessions[id] }
}

// bytes is about what the set takes.
func (s names) bytes() int { return len(s) * rowBytes }

// rows are where the set's names are, in order.
func (s names) rows() []row {
	return slices.SortedFunc(maps.Keys(s), func(a, b row) int {
		return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(a.session, b.session), cmp.Compare(a.n, b.n))
	})
}

// sorted visits the names in order. The set must not change meanwhile, but for the name that is visited.
func (s names) sorted(visit func(name)) {
	for _, r := range s.rows() {
		s.row(r, func(x name) bool { visit(x); return true })
	}
}

// row visits the names of a row in order, until visit returns false. It may be gone, and may change meanwhile.
func (s names) row(r row, visit func(name) bool) {
	b := s[r]
	if b == nil {
		return
	}
	for i, word := range *b {
		for ; word != 0; word &= word - 1 {
			if !visit(name{r.kind, r.session, r.n*rowBits + uint64(i*64+bits.TrailingZeros64(word))}) {
				return
			}
		}
	}
}

// first are up to limit names, of those rows in their order.
func (s names) first(rows []row, limit int) (list []name) {
	for _, r := range rows {
		s.row(r, func(x name) bool {
			if len(list) < limit {
				list = append(list, x)
			}
			return len(list) < limit
		})
		if len(list) == limit {
			break
		}
	}
	return list
}
