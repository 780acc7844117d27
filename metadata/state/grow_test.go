package state

import (
	"slices"
	"testing"
)

// Semantics line 90: a topic grows and never shrinks; what it had stays as it was.
func TestTopicsGrow(t *testing.T) {
	j := newJournal(t)
	topic := uint64(j.must(alice, createTopic("t", 2, 0)))
	id := j.s.Topic("t").ID
	j.must(alice, appendBatches(1, idempotent(topic, 1, 1, 0, 3)))
	r := j.apply(alice, nil, createPartitions(topic, 2, j.position), createPartitions(topic, 1, j.position),
		createPartitions(topic, 0, j.position), createPartitions(99, 5, j.position), createPartitions(topic, 5, j.position),
		createPartitions(topic, MaxTopicPartitions+1, j.position))
	var codes []Code
	var had []int64
	for _, c := range r.Commands {
		codes, had = append(codes, c.Code), append(had, c.ID)
	}
	if !slices.Equal(codes, []Code{NotMore, NotMore, NotMore, UnknownTopic, OK, TooMany}) || !slices.Equal(had, []int64{2, 2, 2, 0, 2, 5}) {
		t.Errorf("codes %v, partitions before %v", codes, had)
	}
	grown := j.s.Topic("t")
	if grown.Partitions() != 5 || j.s.Partitions() != 5 || grown.ID != id || grown.Changed != j.position || grown.Partition(1).Next != 3 {
		t.Errorf("%d partitions of %d, changed at %d", grown.Partitions(), j.s.Partitions(), grown.Changed)
	}
	b := j.apply(alice, nil, appendBatches(2, plain(topic, 4, 1), plain(topic, 5, 1))).Commands[0].Batches
	if b[0] != (BatchResult{Base: 0, Time: -1}) || b[1].Code != UnknownTopic {
		t.Errorf("batches to a new partition and to the one behind it: %+v", b)
	}
}

// A growth that was judged before another session grew or deleted the topic is judged again; its own session's changes
// do not stand in the way.
func TestLateGrowth(t *testing.T) {
	j := newJournal(t)
	topic := uint64(j.must(alice, createTopic("t", 1, 0)))
	before := j.position
	if got := j.codes(bob, createPartitions(topic, 4, before), createPartitions(topic, 6, before)); !slices.Equal(got, []Code{OK, OK}) {
		t.Errorf("of its own: %v", got)
	}
	if got := j.codes(alice, createPartitions(topic, 8, before), createPartitions(topic, 8, j.position)); !slices.Equal(got, []Code{Conflict, OK}) {
		t.Errorf("before and behind the other's growth: %v", got)
	}
	j.must(bob, deleteTopic(topic, j.position))
	if got := j.codes(alice, createPartitions(topic, 9, j.position)); got[0] != UnknownTopic {
		t.Errorf("behind the deletion: %v", got)
	}
}

// The cap holds for what topics grow to as for what they begin with.
func TestGrowthIsCapped(t *testing.T) {
	j := newJournal(t)
	j.unchecked = true
	topic := uint64(j.must(alice, createTopic("t", 1, 0)))
	j.must(alice, createTopic("most", MaxPartitions-3, j.position))
	if got := j.codes(alice, createPartitions(topic, 4, j.position), createPartitions(topic, 3, j.position)); !slices.Equal(got, []Code{TooMany, OK}) {
		t.Errorf("codes %v", got)
	}
}
