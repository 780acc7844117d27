package state

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// Replicas that applied the same entries are equal: one plainly, one that went through its base several times, one from
// which snapshots were taken. A snapshot's base, written at the end while its state went on, is byte for byte the base
// of a replica that stopped at the snapshot's position.
func TestReplicasAreEqual(t *testing.T) {
	type snapshot struct {
		frozen *State
		want   []string // the base of a replica at the same position
		twin   *twin
	}
	rapid.Check(t, func(t *rapid.T) {
		w, plain, reloaded, frozen := newTwin(), New(), New(), New()
		var entries []Entry
		var snapshots []snapshot
		for range rapid.IntRange(1, 60).Draw(t, "entries") {
			// There is no base before InitCluster: a mark is refused until then.
			if rapid.IntRange(0, 7).Draw(t, "reload") == 0 && w.cluster != nil {
				reloaded = reload(t, reloaded)
			}
			if rapid.IntRange(0, 7).Draw(t, "freeze") == 0 {
				snapshots = append(snapshots, snapshot{frozen.Freeze(), base(t, plain), replay(entries)})
			}
			e := redecode(t, drawEntry(t, w))
			entries = append(entries, e)
			want := w.apply(e)
			for name, s := range map[string]*State{"plain": plain, "reloaded": reloaded, "frozen": frozen} {
				if err := compareResults(s.Apply(e), want); err != nil {
					t.Fatalf("%s: position %d: %v", name, e.Position, err)
				}
			}
			if plain.Digest() != reloaded.Digest() || plain.Digest() != frozen.Digest() {
				t.Fatalf("position %d: digests %v, reloaded %v, frozen %v", e.Position, plain.Digest(), reloaded.Digest(), frozen.Digest())
			}
		}
		want := base(t, plain)
		if !slices.Equal(base(t, reloaded), want) || !slices.Equal(base(t, frozen), want) {
			t.Fatal("the bases of the replicas differ")
		}
		if err := w.compare(reloaded, true); err != nil {
			t.Fatalf("reloaded: %v", err)
		}
		for i, s := range snapshots {
			if !slices.Equal(base(t, s.frozen), s.want) {
				t.Fatalf("snapshot %d, at position %d, changed under its reader", i, s.frozen.Position())
			}
			if err := s.twin.compare(s.frozen, false); err != nil {
				t.Fatalf("snapshot %d: %v", i, err)
			}
		}
	})
}

// replay is a twin that applied the entries.
func replay(entries []Entry) *twin {
	w := newTwin()
	for _, e := range entries {
		w.apply(e)
	}
	return w
}

// Void takes part in the digest and in nothing else, and replicas that void the same position stay equal.
func TestVoid(t *testing.T) {
	j := newJournal(t)
	other := reload(t, j.s)
	before, records := j.s.Digest(), base(t, j.s)
	j.s.Void(j.position + 5)
	other.Void(j.position + 5)
	if j.s.Digest() == before || j.s.Digest() != other.Digest() || j.s.Position() != j.position+5 {
		t.Errorf("digest %v, before %v, other %v", j.s.Digest(), before, other.Digest())
	}
	if after := base(t, j.s); !slices.Equal(after[1:], records[1:]) {
		t.Errorf("a void entry changed more than the header")
	}
}

// Different results give different digests: a replica that judges otherwise is found out.
func TestDigestCoversResults(t *testing.T) {
	run := func(ms int64, seqs ...int32) Digest {
		j := newJournal(t)
		topic := uint64(j.must(alice, createTopic("t", 1, 0)))
		for i, seq := range seqs {
			at := ms
			if i == len(seqs)-1 {
				at = 1000
			}
			j.position++
			j.seqs[alice]++
			e := Entry{Position: j.position, Session: alice, Seq: j.seqs[alice]}
			e.Body = entryAt(at, appendBatches(uint64(i+1), idempotent(topic, 0, 1, seq, 1)))
			j.s.Apply(e)
		}
		return j.s.Digest()
	}
	same := run(5, 0, 0)
	if run(5, 0, 0) != same {
		t.Error("the same entries gave two digests")
	}
	if run(6, 0, 0) == same {
		t.Error("a duplicate that is answered with another time gave the same digest")
	}
	if run(5, 0, 1) == same {
		t.Error("an append instead of a duplicate gave the same digest")
	}
}
