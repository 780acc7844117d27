package groups

import (
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Stable reports whether all members are in one generation and own every partition between them, and says what is
// missing.
func (g *Group) Stable() (generation int32, missing string) {
	generation = -1
	owner := map[int32]string{}
	for i, m := range g.members {
		now, owned, _ := m.Now()
		if i > 0 && now != generation || now < 0 {
			return -1, fmt.Sprintf("%s is in generation %d, another in %d", m.id, now, generation)
		}
		generation = now
		for _, p := range owned {
			if owner[p] != "" {
				return -1, fmt.Sprintf("partition %d has two owners", p)
			}
			owner[p] = m.id
		}
	}
	if len(owner) != int(g.topic.Partitions) {
		return -1, fmt.Sprintf("%d partitions have an owner", len(owner))
	}
	return generation, ""
}

// Await waits until the group is stable in a generation of at least this one, and returns it.
func (g *Group) Await(within time.Duration, atLeast int32) int32 {
	g.t.Helper()
	began := time.Now()
	for {
		generation, missing := g.Stable()
		if missing == "" && generation >= atLeast {
			return generation
		}
		if time.Since(began) > within {
			g.t.Fatalf("group %s is not stable in generation %d after %v: %s (generation %d)", g.name, atLeast, within, missing, generation)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// AwaitState waits until the coordinator describes a classic group by one of these states.
func (g *Group) AwaitState(within time.Duration, states ...string) {
	g.t.Helper()
	began, last := time.Now(), ""
	for time.Since(began) < within {
		req := kmsg.NewPtrDescribeGroupsRequest()
		req.Groups = []string{g.name}
		resp, err := g.ask(g.ctx, g.raw, 2*time.Second, req, func(r kmsg.Response) int16 { return r.(*kmsg.DescribeGroupsResponse).Groups[0].ErrorCode })
		if err == nil {
			if last = resp.(*kmsg.DescribeGroupsResponse).Groups[0].State; slices.Contains(states, last) {
				return
			}
		}
		time.Sleep(5 * time.Millisecond)
	}
	g.t.Fatalf("group %s is %q and not one of %q", g.name, last, states)
}
