package state

import "testing"

// An archive holds entries up to a mark before the Archived entry: one that claims its own position would hold runs that
// the entry appends after it.
func TestArchiveOfItsOwnPosition(t *testing.T) {
	j := newJournal(t)
	topic := uint64(j.must(alice, createTopic("t", 1, 0)))
	own := j.position + 3
	inline := appendBatches(0, plain(topic, 0, 1))
	if got := j.codes(alice, inline, mark(), archived(0, own), inline); got[2] != Invalid {
		t.Errorf("an archive up to its own position: %v", got[2])
	}
	if got := j.s.InlineOutstanding(); got != 20 {
		t.Errorf("%d inline bytes outstanding, want 20", got)
	}
}

func TestArchivedJudgement(t *testing.T) {
	j := newJournal(t)
	topic := uint64(j.must(alice, createTopic("t", 1, 0)))
	j.must(alice, appendBatches(0, plain(topic, 0, 1)))
	inlineAt := j.position
	first := j.must(alice, mark())
	j.must(alice, appendBatches(0, plain(topic, 0, 2)))
	second := j.must(alice, mark())
	negative := archived(0, first)
	negative.GetArchived().Head = -1
	for name, c := range map[string]Code{
		"between marks": j.codes(alice, archived(0, first-1))[0],
		"not a mark":    j.codes(alice, archived(0, first+1))[0],
		"a gap":         j.codes(alice, archived(first, second))[0],
		"negative head": j.codes(alice, negative)[0],
		"future":        j.codes(alice, archived(0, 1<<40))[0],
	} {
		if c != Invalid {
			t.Errorf("%s: %v", name, c)
		}
	}
	if got := j.s.InlineOutstanding(); got != 30 {
		t.Fatalf("%d inline bytes outstanding, want 30", got)
	}
	j.must(alice, archived(0, first))
	if got := j.codes(alice, archived(0, first)); got[0] != Stale {
		t.Errorf("the same archive again: %v", got)
	}
	o, number, ok := j.s.Archive(inlineAt)
	if !ok || o.Refs != 1 || o.Kind != ArchiveObject || number == 0 || j.s.ArchivedTo() != first {
		t.Errorf("archive of position %d: %+v %d %v", inlineAt, o, number, ok)
	}
	if _, _, ok := j.s.Archive(first + 3); ok {
		t.Errorf("a position behind the archive is in it")
	}
	if got := j.s.InlineOutstanding(); got != 20 {
		t.Errorf("%d inline bytes outstanding, want 20", got)
	}
}
