package cluster

import (
	"fmt"
	"testing"
	"time"

	"wadi/internal/busy"
)

// survive runs a fault under load and reports the longest waits. fault returns when the fault is over; the load then
// flows again before the waits are read. None of them may pass the limit, and the time for which the machine kept everybody
// waiting.
func survive(t *testing.T, l *Load, name string, limit time.Duration, fault func()) {
	t.Helper()
	l.Flowing(patience)
	l.Stalls()
	waited := busy.Since()
	fault()
	l.Flowing(patience)
	acks, reads := l.Stalls()
	limit += waited()
	t.Logf("%s: longest wait for an acknowledgement %v, for a record %v", name, acks, reads)
	if acks.Length > limit || reads.Length > limit {
		t.Errorf("%s: stuck for %v (acknowledgements), %v (reads), at most %v is allowed", name, acks, reads, limit)
	}
}

// TestFaultsUnderLoad takes the agents of one cluster away, each in turn and in every way, under idempotent load:
// nothing acknowledged is lost, doubled or reordered, and nobody is stuck.
func TestFaultsUnderLoad(t *testing.T) {
	c := Start(t, Options{})
	l := StartLoad(c, ledByAll(t, c, "load", 6), LoadOptions{})
	roamer := Roam(t, c, newTopic(t, c, "roam", 1), 1)
	for round := range rounds(1, 10) {
		for _, a := range c.Agents {
			// F1: the process is gone without a word, and comes back.
			survive(t, l, fmt.Sprintf("round %d, kill %s", round, a.Name), stuck, func() {
				a.Kill()
				l.Flowing(patience)
				a.Start()
			})
		}
		for _, a := range c.Agents {
			// F2: it sleeps past its lease, and goes on as if nothing had happened.
			survive(t, l, fmt.Sprintf("round %d, freeze %s", round, a.Name), stuck, func() {
				a.Pause()
				time.Sleep(2 * c.TTL)
				a.Resume()
			})
		}
		for _, a := range c.Agents {
			// F24: a rolling restart. Stop fails the test unless the exit code is 0 (Regression R16).
			survive(t, l, fmt.Sprintf("round %d, restart %s", round, a.Name), stuck, func() {
				took := a.Stop()
				again := a.Start()
				t.Logf("%s drained in %v and served again after %v", a.Name, took.Round(time.Millisecond), again.Round(time.Millisecond))
			})
		}
	}
	t.Log(l.Finish())
	v := roamer.Finish()
	t.Logf("the roaming producer, with %d tries and a longest wait of %v: %v", roamer.Tries(), roamer.Acks.Take(), v)
	defaults(t, c)
}

// defaults: clients whose settings nobody touched get along too. franz-go asks for metadata every 5 s at most, and a killed
// agent is listed until its session is over: whoever asks a moment before that asks again 5 s later. The longest wait is
// the sum of the two.
func defaults(t *testing.T, c *Cluster) {
	l := StartLoad(c, ledByAll(t, c, "defaults", 6), LoadOptions{Defaults: true})
	for range rounds(1, 10) {
		survive(t, l, "default clients, kill A", stuck, func() {
			c.Agents[0].Kill()
			l.Flowing(patience)
			c.Agents[0].Start()
		})
		survive(t, l, "default clients, restart B", stuck, func() {
			c.Agents[1].Stop()
			c.Agents[1].Start()
		})
	}
	t.Log(l.Finish())
}
