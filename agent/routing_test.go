package agent

import (
	"fmt"
	"testing"

	"wadi/agent/api"
)

// routingOf is the routing of the first of some agents, which counts the lists of them that it makes.
func routingOf(agents int) (r *routing, lists *int) {
	lists = new(int)
	return &routing{
		self: func() (int32, bool) { return 0, true },
		members: func() (list []api.Broker) {
			*lists++
			for i := range agents {
				list = append(list, api.Broker{NodeID: int32(i)})
			}
			return list
		},
	}, lists
}

// Before a client is sent away the list is made anew; who goes through all names has it made once.
func TestManyNamesTakeOneList(t *testing.T) {
	r, lists := routingOf(3)
	groups, txns := groupRouting{r}, txnRouting{r}
	ours, theirs := 0, 0
	group, txn := groups.Many(), txns.Many()
	if *lists != 2 {
		t.Fatalf("%d lists", *lists)
	}
	for i := range 3000 {
		name := fmt.Sprint("name-", i)
		if group(name) {
			ours++
		}
		if txn(name) {
			theirs++
		}
	}
	if *lists != 2 || ours < 900 || ours > 1100 || theirs < 900 || theirs > 1100 {
		t.Errorf("%d lists, %d groups and %d transactional ids of this agent's", *lists, ours, theirs)
	}
	for i := range 3000 {
		before, name := *lists, fmt.Sprint("name-", i)
		if mine := groups.Mine(name); mine != group(name) || !mine && *lists == before {
			t.Fatalf("group %q: %v, %d lists", name, mine, *lists-before)
		}
		before = *lists
		if rank := txns.Rank(name); (rank == 0) != txn(name) || rank != 0 && *lists == before {
			t.Fatalf("transactional id %q: %d, %d lists", name, rank, *lists-before)
		}
	}
}

// Nobody's session is nobody's share.
func TestManyNamesOfNobody(t *testing.T) {
	r, _ := routingOf(1)
	r.self = func() (int32, bool) { return 0, false }
	if (groupRouting{r}).Many()("a") || (txnRouting{r}).Many()("a") {
		t.Error("an agent without a session coordinates")
	}
}
