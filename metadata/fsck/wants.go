package fsck

import (
	"cmp"
	"slices"

	"wadi/internal/layout"
	"wadi/metadata/state"
)

// name is what makes an object's key, smaller than the key itself.
type name struct {
	session layout.Session
	n       uint64
	kind    state.ObjectKind
}

func nameOf(o state.Object) name { return name{o.Session, o.N, o.Kind} }

func (n name) key(keys layout.Objects) string {
	return state.Object{Session: n.session, N: n.n, Kind: n.kind}.Key(keys)
}

func (n name) compare(m name) int {
	return cmp.Or(cmp.Compare(uint64(n.session), uint64(m.session)), cmp.Compare(n.n, m.n), cmp.Compare(n.kind, m.kind))
}

// want is an object that must be in the bucket and is not in State's table, or may be gone from it: a manifest owns it,
// or a kept root names it.
type want struct {
	name
	found bool
	size  uint64
	root  int64  // position of the kept root, 0 = State's manifest owns it
	owner string // key of the manifest, "" = the root's State lists it
}

// wants are sorted by name; an object may be wanted for several reasons.
type wants []want

func (w wants) sort() {
	slices.SortFunc(w, func(a, b want) int { return cmp.Or(a.compare(b.name), cmp.Compare(a.root, b.root)) })
}

// find returns those of a name.
func (w wants) find(n name) wants {
	from, _ := slices.BinarySearchFunc(w, n, func(x want, n name) int { return x.compare(n) })
	to := from
	for to < len(w) && w[to].name == n {
		to++
	}
	return w[from:to]
}
