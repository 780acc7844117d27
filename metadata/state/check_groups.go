package state

import "fmt"

// groups checks that groups are what their names lead to, that members are in order and that what is counted is there.
func (c *checker) groups() error {
	s := c.s
	offsets, bytes := 0, int64(0)
	var err error
	s.groups.each(func(n uint64, slot **Group) {
		g := *slot
		if err != nil {
			return
		}
		if g.Number != n || n == 0 || n > s.groupsMade || (s.byGroup != nil && s.byGroup[g.Name] != n) {
			err = fmt.Errorf("group %d of %d is not what its name leads to", n, s.groupsMade)
			return
		}
		if err = g.check(s.position); err != nil {
			err = fmt.Errorf("group %d: %w", n, err)
			return
		}
		offsets += g.offsets.len()
		bytes += g.bytes
	})
	switch {
	case err != nil:
		return err
	case s.byGroup != nil && len(s.byGroup) != s.groups.len():
		return fmt.Errorf("%d groups, %d by name", s.groups.len(), len(s.byGroup))
	case offsets != s.offsetCount || bytes != s.groupBytes:
		return fmt.Errorf("%d offsets and %d bytes in groups, counted as %d and %d", offsets, bytes, s.offsetCount, s.groupBytes)
	}
	return nil
}

func (g *Group) check(position int64) error {
	bytes := int64(len(g.Name))
	for _, m := range g.members {
		bytes += memberBytes(m)
	}
	g.offsets.each(func(_ uint64, o *Offset) { bytes += int64(len(o.Metadata)) })
	_, led := findMember(g.members, g.Leader)
	switch {
	case g.Type != ClassicGroup && g.Type != ConsumerGroup, g.State > GroupStable, g.Generation < 0:
		return fmt.Errorf("type %d, state %d, generation %d", g.Type, g.State, g.Generation)
	case !sortedIDs(g.members), (len(g.members) == 0) != (g.State == GroupEmpty), (len(g.members) == 0) != (g.EmptySince != 0):
		return fmt.Errorf("%d members in state %d, empty since %d", len(g.members), g.State, g.EmptySince)
	case len(g.members) > 0 && g.Type == ClassicGroup && !led:
		return fmt.Errorf("its leader %q is no member", g.Leader)
	case g.Version <= 0 || g.Version > position || g.EmptySince > position || g.EmptySince < 0 || g.commits.at > position ||
		g.commits.other > g.commits.at || g.commits.other < 0:
		return fmt.Errorf("changed at %d, empty since %d, commits %+v", g.Version, g.EmptySince, g.commits)
	case bytes != g.bytes:
		return fmt.Errorf("%d bytes, counted as %d", bytes, g.bytes)
	}
	return nil
}
