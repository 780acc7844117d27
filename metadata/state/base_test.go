package state

import (
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"

	pb "wadi/metadata/metadatapb"
)

// A replica that starts from a base in the middle of a sweep counts producers as the others do: the cap on them is
// part of what Apply judges.
func TestBaseInTheMiddleOfASweep(t *testing.T) {
	j := newJournal(t)
	topic := uint64(j.must(alice, createTopic("t", 2, 0)))
	j.must(alice, appendBatches(1, idempotent(topic, 0, 1, 0, 1), idempotent(topic, 0, 2, 0, 1), idempotent(topic, 1, 3, 0, 1)))
	j.must(alice, deleteTopic(topic, j.position), sweep(2)) // one run, then partition 0 is done
	loaded := reload(t, j.s)
	if j.s.ProducerCount() != 1 || loaded.ProducerCount() != 1 {
		t.Errorf("%d producers, %d after a reload, want 1", j.s.ProducerCount(), loaded.ProducerCount())
	}
}

// Topics deleted by one entry are swept in one order, whether a replica saw the deletions or loaded a base after them.
func TestDeletionsOfOneEntryKeepTheirOrder(t *testing.T) {
	j := newJournal(t)
	for _, name := range []string{"a", "b", "c"} {
		j.must(alice, createTopic(name, 1, 0))
	}
	j.must(alice, appendBatches(1, plain(1, 0, 1), plain(2, 0, 2), plain(3, 0, 3)))
	j.must(alice, deleteTopic(3, j.position), deleteTopic(1, j.position), deleteTopic(2, j.position))
	loaded := reload(t, j.s)
	if !slices.Equal(j.s.deleted, loaded.deleted) {
		t.Fatalf("topics wait as %v, after a reload as %v", j.s.deleted, loaded.deleted)
	}
	j.must(alice, sweep(2))
	loaded.Apply(j.entries[len(j.entries)-1])
	if !slices.Equal(base(t, j.s), base(t, loaded)) {
		t.Errorf("the replica that was reloaded swept another topic")
	}
}

func TestLastMarkSurvivesAReload(t *testing.T) {
	j := newJournal(t)
	at := j.must(alice, mark())
	if got := reload(t, j.s).LastMark(); got != at {
		t.Errorf("last mark %d, want %d", got, at)
	}
	j.must(alice, archived(0, at))
	if got := reload(t, j.s).LastMark(); got != at {
		t.Errorf("last mark %d once it is archived, want %d", got, at)
	}
}

// A base's records stay small whatever the partition holds: a part of a base has at most 64 MiB.
func TestBaseRecordsAreBounded(t *testing.T) {
	j := newJournal(t)
	topic := uint64(j.must(alice, createTopic("t", 1, 0)))
	for flush := range uint64(50) {
		var batches []batch
		for i := range 1000 {
			batches = append(batches, idempotent(topic, 0, int64(flush)*1000+int64(i), 0, 1))
		}
		j.must(alice, appendBatches(flush+1, batches...))
	}
	for i, r := range base(t, j.s) {
		if len(r) > 2<<20 {
			t.Errorf("record %d has %d bytes", i, len(r))
		}
	}
	if loaded := reload(t, j.s); loaded.ProducerCount() != 50_000 || !slices.Equal(base(t, loaded), base(t, j.s)) {
		t.Errorf("%d producers after a reload, or another base", loaded.ProducerCount())
	}
}

// Counts of what is live hold for a snapshot too.
func TestSnapshotCounts(t *testing.T) {
	j := newJournal(t)
	j.must(alice, createTopic("a", 2, 0), createTopic("b", 3, 0), createTopic("c", 1, 0))
	j.must(alice, deleteTopic(1, j.position))
	for name, s := range map[string]*State{"live": j.s, "frozen": j.s.Freeze(), "loaded": reload(t, j.s)} {
		if s.Topics() != 2 || s.Partitions() != 4 {
			t.Errorf("%s: %d topics, %d partitions, want 2, 4", name, s.Topics(), s.Partitions())
		}
	}
}

// Deleted topics count towards the caps until they are swept, for they take memory as long.
func TestDeletedTopicsCountTowardsTheCaps(t *testing.T) {
	j := newJournal(t)
	number := uint64(j.must(alice, createTopic("big", MaxPartitions, 0)))
	j.must(alice, deleteTopic(number, j.position))
	if got := j.codes(alice, createTopic("next", 1, j.position)); got[0] != TooMany {
		t.Errorf("a topic above the partitions of a deleted one: %v", got)
	}
	j.unchecked = true
	for j.must(alice, sweep(MaxSweep)) > 0 {
		if j.position > 1<<20 {
			t.Fatal("the sweep does not end")
		}
	}
	if got := j.codes(alice, createTopic("next", 1, j.position)); got[0] != OK {
		t.Errorf("a topic after the sweep: %v", got)
	}
}

// Loading refuses a base with one record missing, doubled or moved: a base is whole or it is bad.
func TestLoaderRefusesDamage(t *testing.T) {
	j := newJournal(t)
	topic := uint64(j.must(alice, createTopic("t", 2, 0)))
	j.must(alice, appendBatches(1, idempotent(topic, 0, 1, 0, 3), plain(topic, 1, 2)))
	j.must(bob, appendBatches(0, plain(topic, 1, 4)))
	whole := base(t, j.s)
	load := func(records []string) error {
		l := NewLoader()
		for _, r := range records {
			if err := l.Add([]byte(r)); err != nil {
				return err
			}
		}
		_, err := l.State()
		return err
	}
	if err := load(whole); err != nil {
		t.Fatal(err)
	}
	for i := range whole {
		missing := slices.Delete(slices.Clone(whole), i, i+1)
		doubled := slices.Insert(slices.Clone(whole), i, whole[i])
		for name, records := range map[string][]string{"missing": missing, "doubled": doubled, "the last": whole[:i]} {
			if err := load(records); err == nil {
				t.Errorf("record %d %s: taken", i, name)
			}
		}
	}
	last := &pb.BaseRecord{Kind: &pb.BaseRecord_End{End: &pb.BaseEnd{Records: uint64(len(whole))}}}
	end, err := proto.Marshal(last)
	if err != nil {
		t.Fatal(err)
	}
	for i := 1; i < len(whole)-1; i++ { // a record twice, with an end that counts it
		doubled := append(slices.Insert(slices.Clone(whole[:len(whole)-1]), i, whole[i]), string(end))
		if load(doubled) == nil {
			t.Errorf("record %d twice: taken", i)
		}
	}
}
