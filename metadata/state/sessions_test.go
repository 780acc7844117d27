package state

import "testing"

// DESIGN section 3: an administrative command is refused when another session changed its object after base.
func TestDeleteConflict(t *testing.T) {
	j := newJournal(t)
	before := j.position
	number := uint64(j.must(bob, createTopic("t", 1, before)))
	if got := j.codes(alice, deleteTopic(number, before)); got[0] != Conflict {
		t.Errorf("a deletion that arrived before another session's creation: %v", got)
	}
	if got := j.codes(bob, deleteTopic(number, before)); got[0] != OK {
		t.Errorf("a deletion by the session that created: %v", got)
	}
}
