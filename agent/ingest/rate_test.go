package ingest

import (
	"slices"
	"testing"
	"time"

	"wadi/internal/layout"
)

// cluster is some agents' budgets, all of which see the same journal. Each agent wants to send `wants` bytes per second.
func cluster(budget int, wants []int, seconds int) (total float64, each []float64) {
	const step, size = 5 * time.Millisecond, 4096
	agents := make([]inlineBudget, len(wants))
	for i := range agents {
		agents[i] = newInlineBudget(budget)
	}
	sent, backlog := make([]int, len(wants)), make([]float64, len(wants))
	from := time.Duration(seconds/2) * time.Second // what comes before is for settling
	end := time.Duration(seconds) * time.Second
	for now := time.Duration(0); now < end; now += step {
		for i := range agents {
			backlog[i] = min(backlog[i]+float64(wants[i])*step.Seconds(), 1<<20)
			for backlog[i] >= size && agents[i].allows(now) {
				agents[i].spend(now, size)
				backlog[i] -= size
				if now >= from {
					sent[i] += size
				}
				for j := range agents {
					agents[j].shares(layout.Session(i + 1))
					agents[j].seen(now, size)
				}
			}
		}
		for j := range agents { // entries without inline data
			agents[j].seen(now, 0)
		}
	}
	for _, n := range sent {
		rate := float64(n) / (end - from).Seconds()
		each = append(each, rate)
		total += rate
	}
	return total, each
}

// DESIGN 1.1: agents that only see the journal keep near the cluster's budget together, and share it fairly.
func TestInlineBudgetConverges(t *testing.T) {
	const budget = 1 << 20
	for _, n := range []int{1, 2, 3, 10, 30} {
		wants := slices.Repeat([]int{budget}, n)
		total, each := cluster(budget, wants, 60)
		if total < 0.7*budget || total > 1.2*budget {
			t.Errorf("%d agents send %.2f of the budget", n, total/budget)
		}
		if least, most := slices.Min(each), slices.Max(each); most > 1.5*least {
			t.Errorf("%d agents: the greediest gets %.0f, the poorest %.0f", n, most, least)
		}
	}
}

// Who needs little gets it, beside others that want everything.
func TestInlineBudgetLeavesTheQuietAlone(t *testing.T) {
	const budget = 1 << 20
	_, each := cluster(budget, []int{20_000, budget, budget, budget}, 60)
	if each[0] < 19_000 {
		t.Errorf("the quiet agent gets %.0f of 20000 bytes/s", each[0])
	}
	if sum := each[1] + each[2] + each[3]; sum < 0.6*budget {
		t.Errorf("the others get %.0f bytes/s together", sum)
	}
}

// A cluster that was busy lets a single agent have it all soon.
func TestInlineBudgetRecovers(t *testing.T) {
	b := newInlineBudget(1 << 20)
	now := time.Duration(0)
	for range 20 {
		now += time.Second
		b.seen(now, 10<<20)
	}
	if b.allowance != minAllowance {
		t.Fatalf("allowance %.0f after 20 s of ten times the budget", b.allowance)
	}
	for range 10 {
		now += time.Second
		b.seen(now, 0)
	}
	if b.allowance < 1<<20 {
		t.Fatalf("allowance %.0f after 10 s of silence", b.allowance)
	}
}
