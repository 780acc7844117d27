package group

// Phase names as Kafka's tools print them.
var phaseNames = [...]string{"Empty", "PreparingRebalance", "CompletingRebalance", "Stable"}

// Description is a classic group as its coordinator sees it.
type Description struct {
	State                  string
	ProtocolType, Protocol string // Protocol only of a stable group
	Members                []DescribedMember
}

// DescribedMember is one member. Metadata is only there in a stable group.
type DescribedMember struct {
	ID, Instance         string
	ClientID, ClientHost string
	Metadata, Assignment []byte // shared, read-only
}

// Describe tells of a group in memory. One that is not there is as State says.
func (c *Core) Describe(name string) (Description, bool) {
	g := c.groups[name]
	if g == nil || g.foreign() || g.version == 0 && g.ticket != 0 && g.phase == empty {
		return Description{}, false
	}
	d := Description{State: phaseNames[g.phase], ProtocolType: g.protocolType}
	if g.phase == stable {
		d.Protocol = g.protocol
	}
	for _, m := range g.order {
		x := DescribedMember{
			ID: m.id, Instance: m.instance, ClientID: m.clientID, ClientHost: m.clientHost, Assignment: m.assignment,
		}
		if p := m.metadata(g.protocol); p != nil && g.phase == stable {
			x.Metadata = p.Metadata
		}
		d.Members = append(d.Members, x)
	}
	return d, true
}

// describe is a classic group that is not in memory.
func describe(s *Snapshot) Description {
	c := Core{groups: map[string]*group{}}
	g := newGroup("")
	g.wake = -1 // nothing is armed
	c.restore(g, s)
	c.groups[""] = g
	d, _ := c.Describe("")
	return d
}
