package state

import (
	"slices"
	"strings"
	"testing"

	pb "wadi/metadata/metadatapb"
)

// Semantics line 11: names that differ in '.' and '_' only collide; the first one stays.
func TestNamesCollide(t *testing.T) {
	j := newJournal(t)
	number := j.must(alice, createTopic("a.b_c", 1, 0))
	got := j.codes(alice, createTopic("a_b.c", 1, j.position), createTopic("a.b.c", 1, j.position), createTopic("a-b.c", 1, j.position))
	if !slices.Equal(got, []Code{NameCollision, NameCollision, OK}) {
		t.Errorf("codes %v", got)
	}
	for name, want := range map[string]bool{"a.b_c": false, "a_b.c": true, "a_b_c": true, "a-b.c": false, "a-b_c": true, "other": false} {
		if with := j.s.Collides(name); (with != "") != want || want && collisionKey(with) != collisionKey(name) {
			t.Errorf("Collides(%q): %q", name, with)
		}
	}
	j.must(alice, deleteTopic(uint64(number), j.position))
	if j.s.Collides("a_b_c") != "" {
		t.Error("a deleted topic's name collides")
	}
	if got := j.codes(alice, createTopic("a_b_c", 1, j.position)); got[0] != OK {
		t.Errorf("after the deletion: %v", got)
	}
	if got := j.codes(alice, createTopic("", 1, 0), createTopic(strings.Repeat("x", 250), 1, 0), createTopic("y", 0, 0)); got[0] != Invalid ||
		got[1] != Invalid || got[2] != Invalid {
		t.Errorf("malformed topics: %v", got)
	}
}

// Semantics line 10 and Regression R12: of two agents that create one topic at once, one wins, the other learns its number, and
// there is one id.
func TestConcurrentCreation(t *testing.T) {
	j := newJournal(t)
	base := j.position
	number := j.must(alice, createTopic("t", 2, base))
	got := j.apply(bob, nil, createTopic("t", 4, base)).Commands[0]
	if got.Code != TopicExists || got.ID != number || j.s.Topics() != 1 || j.s.Topic("t").Partitions() != 2 {
		t.Errorf("the second creation: %+v, %d topics", got, j.s.Topics())
	}
}

// Semantics lines 12, 30, 91, Regression R11: a topic created again has another id and number, is empty, knows no producers, and
// what is sent to the old one is not written to it.
func TestRecreatedTopicIsNew(t *testing.T) {
	j := newJournal(t)
	old := uint64(j.must(alice, createTopic("t", 1, 0)))
	oldID := j.s.Topic("t").ID
	j.must(alice, appendBatches(1, idempotent(old, 0, 1, 0, 5)))
	j.must(alice, deleteTopic(old, j.position))
	number := uint64(j.must(alice, createTopic("t", 1, j.position)))
	topic := j.s.Topic("t")
	if number == old || topic.ID == oldID || topic.ID == (TopicID{}) || j.s.TopicByID(oldID) != nil {
		t.Fatalf("number %d then %d, id %x then %x", old, number, oldID, topic.ID)
	}
	p := topic.Partition(0)
	if _, known := p.ProducerNext(1, 0); p.Next != 0 || p.Runs() != 0 || known {
		t.Errorf("the new topic starts at %d with %d runs, its producer known: %v", p.Next, p.Runs(), known)
	}
	r := j.apply(alice, nil, appendBatches(2, plain(old, 0, 1), idempotent(number, 0, 1, 0, 2)))
	if b := r.Commands[0].Batches; b[0].Code != UnknownTopic || b[0].Base != -1 || b[1] != (BatchResult{Base: 0, Time: -1}) {
		t.Errorf("batches: %+v", b) // Semantics line 22: no offset with an error
	}
}

// DESIGN section 3: a creation that lands late does not undo another session's deletion, before and after the sweep.
func TestLateCreation(t *testing.T) {
	j := newJournal(t)
	number := uint64(j.must(alice, createTopic("t", 1, 0)))
	before := j.position
	j.must(alice, deleteTopic(number, before))
	if got := j.codes(bob, createTopic("t", 1, before), createTopic("other", 1, before)); !slices.Equal(got, []Code{Conflict, OK}) {
		t.Errorf("before the sweep: %v", got)
	}
	j.must(alice, sweep(MaxSweep))
	if got := j.codes(bob, createTopic("t", 1, before)); got[0] != Conflict {
		t.Errorf("after the sweep: %v", got)
	}
	if got := j.codes(bob, createTopic("t", 1, j.position)); got[0] != OK {
		t.Errorf("with a base after the deletion: %v", got)
	}
}

func TestConfigsAreSorted(t *testing.T) {
	j := newJournal(t)
	a, b := &pb.Config{Name: "a", Value: "1"}, &pb.Config{Name: "message.timestamp.type", Value: "LogAppendTime"}
	got := j.codes(alice, createTopic("t", 1, 0, b, a), createTopic("t", 1, 0, a, a), createTopic("t", 1, 0, a, b))
	if !slices.Equal(got, []Code{Invalid, Invalid, OK}) {
		t.Errorf("codes %v", got)
	}
	if v, ok := j.s.Topic("t").Config("a"); v != "1" || !ok || !j.s.Topic("t").LogAppendTime {
		t.Errorf("config a is %q, LogAppendTime %v", v, j.s.Topic("t").LogAppendTime)
	}
}

// Objects are introduced once, by a number that rises; an introduction that stores nothing still uses its number up.
func TestFlushNumbersRise(t *testing.T) {
	j := newJournal(t)
	topic := uint64(j.must(alice, createTopic("t", 1, 0)))
	j.must(alice, appendBatches(5, plain(topic, 0, 1)))
	got := j.codes(alice, appendBatches(5, plain(topic, 0, 1)), appendBatches(4, plain(topic, 0, 1)),
		appendBatches(7, plain(99, 0, 1)), appendBatches(7, plain(topic, 0, 1)), appendBatches(8, plain(topic, 0, 1)))
	if !slices.Equal(got, []Code{FlushReused, FlushReused, OK, FlushReused, OK}) {
		t.Errorf("codes %v", got)
	}
	objects := 0
	j.s.EachObject(func(uint64, Object) { objects++ })
	if objects != 2 || j.s.Topic("t").Partition(0).Next != 2 {
		t.Errorf("%d objects, log to %d", objects, j.s.Topic("t").Partition(0).Next)
	}
}
