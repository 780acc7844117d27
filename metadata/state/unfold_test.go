package state

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	pb "wadi/metadata/metadatapb"
)

// Partitions whose runs go into manifests and come back all the time, in part or whole, while they are written to,
// trimmed, swept and released: State does what the twin does, snapshots stay as they were, and bases bring it back.
func TestUnfoldsAgainstTwin(t *testing.T) {
	steps := map[string]int{}
	rapid.Check(t, func(t *rapid.T) {
		s, w := New(), newTwin()
		w.mix = []byte("aaaaaaTTTTRRRFFFuuuuuultsp")
		type snapshot struct {
			frozen *State
			base   []string
		}
		var snapshots []snapshot
		for range rapid.IntRange(30, 90).Draw(t, "entries") {
			e := redecode(t, drawEntry(t, w))
			got, want := s.Apply(e), w.apply(e)
			if err := compareResults(got, want); err != nil {
				t.Fatalf("position %d, %v: %v", e.Position, e.Body, err)
			}
			if err := w.compare(s, true); err != nil {
				t.Fatalf("%v: %v", e.Body, err)
			}
			for i, c := range got.Commands {
				if u := e.Body.Commands[i].GetUnfoldRuns(); u != nil && c.Code == OK {
					steps["something comes"]++
					if u.N != 0 && len(u.Ns) > 0 {
						steps["something stays"]++
					}
					if len(u.Markers) > 0 {
						steps["aborted"]++
					}
				}
			}
			if w.cluster == nil {
				continue
			}
			switch rapid.IntRange(0, 9).Draw(t, "look") {
			case 0:
				if snapshots = append(snapshots, snapshot{s.Freeze(), base(t, s)}); len(snapshots) > 5 {
					snapshots = snapshots[1:]
				}
			case 1:
				again := reload(t, s)
				if !slices.Equal(base(t, again), base(t, s)) {
					t.Fatal("another state came back from the base")
				}
				s = again
			}
		}
		for _, x := range snapshots {
			if !slices.Equal(base(t, x.frozen), x.base) {
				t.Fatalf("the snapshot of position %d changed under its reader", x.frozen.Position())
			}
		}
	})
	for _, step := range []string{"something comes", "something stays", "aborted"} {
		if steps[step] == 0 {
			t.Errorf("never: %s", step)
		}
	}
	t.Log(steps)
}

// folded is a journal with a partition of n objects, of two runs of five offsets each, all in manifest m.
func folded(t *testing.T, n int) (j *journal, topic, m uint64) {
	j = newJournal(t)
	topic = uint64(j.must(alice, createTopic("t", 1, 0)))
	k := &pb.FoldRuns{N: 100, Size: 50, Topic: topic, Version: uint64(n), Runs: 2 * uint32(n), Owned: uint32(n), Bytes: 20 * uint64(n), Last: int64(10*n) - 1}
	for i := range n {
		j.must(alice, appendBatches(uint64(i+1), plain(topic, 0, 10)))
		base := int64(10 * i)
		j.must(alice, &pb.Command{Kind: &pb.Command_ReplaceRuns{ReplaceRuns: &pb.ReplaceRuns{
			N: uint64(i + 1), Size: 20, Topics: []uint64{topic}, Partitions: []uint32{0}, Versions: []uint64{uint64(i)}, Bases: []int64{base},
			Lasts: []int64{base + 9}, Runs: []uint32{2}, RunCounts: []uint64{5, 5}, MaxTimestamps: []int64{7, 1}, Offsets: []uint64{0, 10}, Lengths: []uint32{10, 10},
		}}})
	}
	return j, topic, uint64(j.must(alice, &pb.Command{Kind: &pb.Command_FoldRuns{FoldRuns: k}}))
}

// unfoldLast brings the last objects of such a partition back; stay are left.
func unfoldLast(topic, m, n, version uint64, come, stay int) *pb.UnfoldRuns {
	k := &pb.UnfoldRuns{Topic: topic, Version: version, Old: m}
	if stay > 0 {
		k.N, k.Size, k.Runs, k.MaxTimestamp = n, 40, uint32(2*stay), 8
	}
	for i := range come {
		k.Sessions, k.Ns, k.Sizes = append(k.Sessions, int64(alice)), append(k.Ns, uint64(stay+i+1)), append(k.Sizes, 20)
		k.Introduced, k.ObjectRuns = append(k.Introduced, 20), append(k.ObjectRuns, 2)
		k.RunCounts, k.Offsets, k.Lengths = append(k.RunCounts, 5, 5), append(k.Offsets, 0, 10), append(k.Lengths, 10, 10)
		k.MaxTimestamps = append(k.MaxTimestamps, 7, 1)
	}
	return k
}

func unfoldCommand(k *pb.UnfoldRuns) *pb.Command {
	return &pb.Command{Kind: &pb.Command_UnfoldRuns{UnfoldRuns: k}}
}

// Step by step everything comes back; a step that comes again, as its answer was lost, finds another version.
func TestUnfold(t *testing.T) {
	j, topic, m := folded(t, 3)
	version := j.s.Topic("t").Partition(0).Version
	rest := uint64(j.must(bob, unfoldCommand(unfoldLast(topic, m, 1, version, 1, 2))))
	p := j.s.Topic("t").Partition(0)
	want := Manifest{Object: rest, Last: 19, Runs: 4, Owned: 2, Bytes: 40, MaxTimestamp: 8}
	if *p.Manifest != want || !slices.Equal(spans(p), [][2]int64{{20, 24}, {25, 29}}) {
		t.Errorf("manifest %+v, runs %v", *p.Manifest, spans(p))
	}
	if o, _ := j.s.Object(m); o.Lost != j.position {
		t.Errorf("the old manifest is %+v", o)
	}
	before := j.s.Written(MergedObject)
	if got := j.codes(bob, unfoldCommand(unfoldLast(topic, m, 2, version, 1, 2))); got[0] != Conflict {
		t.Errorf("again: %v", got)
	}
	j.must(bob, unfoldCommand(unfoldLast(topic, rest, 0, version+1, 2, 0)))
	p = j.s.Topic("t").Partition(0)
	if p.Manifest != nil || p.Runs() != 6 || p.Bytes() != 60 || j.s.Written(MergedObject) != before {
		t.Errorf("manifest %+v, %d runs of %d bytes", p.Manifest, p.Runs(), p.Bytes())
	}
	if o, _ := j.s.Object(rest); o.Lost != j.position {
		t.Errorf("the last manifest is %+v", o)
	}
	if got := j.codes(bob, unfoldCommand(unfoldLast(topic, rest, 0, version+2, 2, 0))); got[0] != Conflict {
		t.Errorf("without a manifest: %v", got)
	}
}

// The log starts in what comes back: what stays can be read by nobody, and of what comes the front waits for a sweep.
func TestUnfoldAroundTheLogStart(t *testing.T) {
	j, topic, m := folded(t, 3)
	j.trims(j.position, trim{topic, 0, 17})
	rest := uint64(j.must(bob, unfoldCommand(unfoldLast(topic, m, 1, 3+1, 2, 1))))
	p := j.s.Topic("t").Partition(0)
	var loose []Manifest
	j.s.EachLoose(func(m Manifest) { loose = append(loose, m) })
	if p.Manifest != nil || len(loose) != 1 || loose[0].Object != rest || loose[0].Last != 9 || j.s.Unswept() != 1 {
		t.Errorf("manifest %+v, loose %+v, %d wait", p.Manifest, loose, j.s.Unswept())
	}
	j.must(alice, sweep(10))
	if p := j.s.Topic("t").Partition(0); !slices.Equal(spans(p), [][2]int64{{15, 19}, {20, 24}, {25, 29}}) {
		t.Errorf("runs %v", spans(p))
	}
}

// What is too much for one step, or does not fit the manifest, changes nothing.
func TestUnfoldBounds(t *testing.T) {
	j, topic, m := folded(t, 3)
	n := uint64(0)
	for name, edit := range map[string]func(*pb.UnfoldRuns){
		"more objects than may come": func(k *pb.UnfoldRuns) { *k = *unfoldLast(topic, m, 1, 4, MaxUnfoldedObjects+1, 1) },
		"more runs": func(k *pb.UnfoldRuns) {
			k.ObjectRuns[0], k.RunCounts = MaxReplacedRuns+1, make([]uint64, MaxReplacedRuns+1)
		},
		"more aborted transactions":                func(k *pb.UnfoldRuns) { k.ProducerIds = make([]int64, MaxReplacedRuns+1) },
		"nothing":                                  func(k *pb.UnfoldRuns) { *k = pb.UnfoldRuns{Topic: topic, Old: m, Version: 4, N: 1, Size: 1, Runs: 6} },
		"more offsets than it has":                 func(k *pb.UnfoldRuns) { k.RunCounts[0] = 26 },
		"all offsets, though something stays":      func(k *pb.UnfoldRuns) { k.RunCounts[0] = 25 },
		"more bytes than it has":                   func(k *pb.UnfoldRuns) { k.Sizes[0], k.Lengths[0] = 100, 51 },
		"all objects, though something stays":      func(k *pb.UnfoldRuns) { *k = *unfoldLast(topic, m, 1, 4, 3, 1) },
		"more runs stay than it has":               func(k *pb.UnfoldRuns) { k.Runs = 5 },
		"bytes outside the object":                 func(k *pb.UnfoldRuns) { k.Offsets[1] = 11 },
		"an object that comes later":               func(k *pb.UnfoldRuns) { k.Introduced[0] = 1 << 40 },
		"a marker behind the manifest":             func(k *pb.UnfoldRuns) { k.Markers[0] = 30 },
		"a transaction that begins below zero":     func(k *pb.UnfoldRuns) { k.Records[0] = 30 },
		"a transaction without records":            func(k *pb.UnfoldRuns) { k.Records[0] = 0 },
		"a last stable offset behind the marker's": func(k *pb.UnfoldRuns) { k.Stables[0] = 2 },
	} {
		k := unfoldLast(topic, m, 1, 4, 1, 2)
		k.ProducerIds, k.Markers, k.Records, k.Stables = []int64{1}, []uint64{29}, []uint64{2}, []int64{1}
		edit(k)
		n++
		k.N *= n // a number is taken also by what is refused
		if got := j.codes(bob, unfoldCommand(k)); got[0] != Invalid {
			t.Errorf("%s: %v", name, got)
		}
	}
	if p := j.s.Topic("t").Partition(0); p.Manifest.Object != m || p.Runs() != 0 {
		t.Errorf("manifest %+v, %d runs", p.Manifest, p.Runs())
	}
}
