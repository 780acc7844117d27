package sim

import (
	"fmt"
	"slices"
	"strings"

	"wadi/metadata/state"
)

// unsettled says what keeps a group from being what it is to be when nothing happens to it: its members are those that
// live, and each partition has one owner.
func (g *consumers) unsettled() string {
	w := g.w
	live := g.live()
	st := w.oracle.st.Group(g.name)
	if len(live) == 0 {
		if st != nil && len(st.Members()) > 0 {
			return "nobody lives of " + g.name
		}
		return ""
	}
	if st == nil || st.State != state.GroupStable || len(st.Members()) != len(live) {
		return g.name + " has not its members"
	}
	owners := map[slot]int{}
	for _, m := range live {
		x := st.Member(m.id)
		switch {
		case x == nil || !m.inGroup || m.paused:
			return fmt.Sprintf("member %d of %s is not in it", m.n, g.name)
		case g.modern && (x.State != 0 || x.Epoch != st.Generation || st.AssignmentEpoch != st.Generation || !slices.Equal(m.owned, slotsOf(x.Owned))):
			return g.name + " reconciles"
		case !g.modern && m.generation != st.Generation:
			return g.name + " rebalances"
		case len(m.dirty()) > 0:
			return fmt.Sprintf("member %d of %s has not committed", m.n, g.name)
		}
		for _, s := range m.owned {
			owners[s]++
			if p := m.positions[s]; p != nil && !p.fetched {
				return fmt.Sprintf("member %d of %s does not know where to go on", m.n, g.name)
			}
		}
	}
	want := 0
	for _, name := range g.topics {
		t := w.oracle.st.Topic(name)
		if t == nil {
			continue
		}
		want += t.Partitions()
		for p := range t.Partitions() {
			if n := owners[slot{t.Number, uint32(p)}]; n != 1 {
				return fmt.Sprintf("partition %d of %s has %d owners in %s", p, name, n, g.name)
			}
		}
	}
	if len(owners) != want {
		return g.name + " owns partitions of a topic that is gone"
	}
	return ""
}

// generations are those of all groups, to see whether any rebalances.
func (w *World) generations() string {
	var b strings.Builder
	w.oracle.st.EachGroup(func(g *state.Group) { fmt.Fprintf(&b, "%s:%d ", g.Name, g.Generation) })
	return b.String()
}
