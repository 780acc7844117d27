package clients

import (
	"fmt"
	"testing"
	"time"

	"wadi/integration/binary"
)

// TestTransactionalIDChangesHands: an id goes back and forth between clients of both versions of the protocol, from
// transactions that are open and from others that were committed. Whoever had it last is fenced.
func TestTransactionalIDChangesHands(t *testing.T) {
	t.Parallel()
	b := oneBroker(t)
	ctx := b.context(t, patience)
	b.waitFor(ctx, t, transactionAPIs...)
	var stages []*stage
	for _, c := range transactionals {
		binary.Need(t, c.Check())
		stages = append(stages, newStage(ctx, t, b, c))
	}
	topic, id := stages[0].topic(t, 1), stages[0].name("changing")
	var committed []placed
	var last *transactor
	for i := range 8 {
		s := stages[i%2]
		x := s.program.producer(ctx, t, id, time.Minute)
		x.do("begin")
		records := x.send(topic, 0, fmt.Sprint("v", i))
		if last != nil {
			if a := last.ask("send", topic, "0", "late"); a.Error == "" {
				t.Errorf("%s goes on after %s has come", last.name, x.name)
			}
		}
		last = x
		if i%4 >= 2 { // both clients take over from both
			x.do("commit")
			x.do("begin")
			committed = append(committed, records...)
		}
	}
	last.do("abort")
	stages[0].reads(t, "read_committed", topic, committed)
}
