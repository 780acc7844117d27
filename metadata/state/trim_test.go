package state

import (
	"slices"
	"testing"
)

// trims applies one TrimPartitions and returns what became of each partition.
func (j *journal) trims(base int64, list ...trim) []BatchResult {
	j.tb.Helper()
	r := j.apply(alice, nil, trimPartitions(base, list...))
	if r.Commands[0].Code != OK {
		j.tb.Fatalf("trim: %v", r.Commands[0].Code)
	}
	return slices.Clone(r.Commands[0].Batches)
}

func spans(p *Partition) (list [][2]int64) {
	p.EachRun(func(r Run) { list = append(list, [2]int64{r.Base, r.Last}) })
	return list
}

// Semantics line 51: a log start moves forward only, at most to the next offset.
func TestTrimMovesTheLogStartForward(t *testing.T) {
	j := newJournal(t)
	topic := uint64(j.must(alice, createTopic("t", 2, 0)))
	j.must(alice, appendBatches(1, plain(topic, 0, 10), plain(topic, 1, 4)))
	at := func(code Code, base int64) BatchResult { return BatchResult{Code: code, Base: base, Time: -1} }
	got := j.trims(j.position, trim{topic, 0, 4}, trim{topic, 0, 2}, trim{topic, 0, 11}, trim{topic, 0, -1}, trim{topic, 2, 0},
		trim{99, 0, 0}, trim{topic, 1, 4}, trim{topic, 1, 4}, trim{topic, 1, 0})
	want := []BatchResult{at(OK, 4), at(OK, 4), at(OffsetOutOfRange, -1), at(OffsetOutOfRange, -1), at(UnknownTopic, -1),
		at(UnknownTopic, -1), at(OK, 4), at(OK, 4), at(OK, 4)}
	if !slices.Equal(got, want) {
		t.Errorf("results %+v", got)
	}
	p := j.s.Topic("t").Partition(0)
	if p.LogStart != 4 || p.Next != 10 || j.s.Topic("t").Changed == j.position {
		t.Errorf("log from %d to %d, topic changed at %d", p.LogStart, p.Next, j.s.Topic("t").Changed)
	}
	j.must(alice, appendBatches(2, plain(topic, 1, 1))) // behind a log without records
	if p := j.s.Topic("t").Partition(1); p.LogStart != 4 || p.Next != 5 {
		t.Errorf("log from %d to %d", p.LogStart, p.Next)
	}
	bad := trimPartitions(j.position, trim{topic, 0, 1})
	bad.GetTrimPartitions().Offsets = nil
	many := trimPartitions(j.position, make([]trim, MaxTrims+1)...)
	if got := j.codes(alice, bad, many, trimPartitions(j.position)); !slices.Equal(got, []Code{Invalid, Invalid, Invalid}) {
		t.Errorf("malformed: %v", got)
	}
}

// A trim only marks; sweeps drop the runs that end below the log start, and a run that it lies in stays whole. What
// objects and inline data are needed for is known exactly all the while.
func TestSweepOfTrimmedPartitions(t *testing.T) {
	j := newJournal(t)
	topic := uint64(j.must(alice, createTopic("t", 2, 0)))
	for flush := range uint64(3) {
		j.must(alice, appendBatches(flush+1, plain(topic, 0, 10), plain(topic, 1, 1))) // objects 1 to 3, two runs in each
	}
	j.must(alice, appendBatches(0, plain(topic, 0, 10))) // 100 inline bytes
	j.trims(j.position, trim{topic, 0, 25}, trim{topic, 1, 2})
	p := j.s.Topic("t").Partition(0)
	if j.s.RunCount() != 7 || j.s.Unswept() != 2 || len(spans(p)) != 4 {
		t.Fatalf("%d runs, %d partitions wait, %v", j.s.RunCount(), j.s.Unswept(), spans(p))
	}
	if got := p.RunsFrom(25, 1, 1, nil); len(got) != 1 || got[0].Base != 20 {
		t.Errorf("reading from the log start: %+v", got)
	}
	if left := j.must(alice, sweep(2)); left != 2 || !slices.Equal(spans(p), [][2]int64{{20, 29}, {30, 39}}) {
		t.Errorf("%d wait, %v", left, spans(p))
	}
	if left := j.must(alice, sweep(1)); left != 1 {
		t.Errorf("%d wait, want partition 1", left)
	}
	if left := j.must(alice, sweep(MaxSweep)); left != 0 || j.s.RunCount() != 3 {
		t.Errorf("%d wait, %d runs", left, j.s.RunCount())
	}
	for number, want := range map[uint64]uint64{1: 0, 2: 0, 3: 2} { // of object 3 run [20, 29] and partition 1's last
		if o, ok := j.s.Object(number); !ok || o.Refs != want || (o.Lost != 0) != (want == 0) {
			t.Errorf("object %d: %+v, want %d references", number, o, want)
		}
	}
	if got := j.s.InlineOutstanding(); got != 100 {
		t.Errorf("%d inline bytes", got)
	}
	j.trims(j.position, trim{topic, 0, 40})
	j.must(alice, sweep(MaxSweep))
	if got := j.s.InlineOutstanding(); got != 0 || len(spans(j.s.Topic("t").Partition(0))) != 0 {
		t.Errorf("%d inline bytes of a log without records", got)
	}
	j.must(alice, appendBatches(4, plain(topic, 0, 2)))
	if got := spans(j.s.Topic("t").Partition(0)); !slices.Equal(got, [][2]int64{{40, 41}}) {
		t.Errorf("behind it: %v", got)
	}
}

// Whatever a partition holds, a trim costs the same; what it leaves is swept at most 1,000 runs at a time.
func TestTrimOfManyRuns(t *testing.T) {
	j := newJournal(t)
	j.unchecked = true
	topic := uint64(j.must(alice, createTopic("t", 1, 0)))
	for flush := range uint64(2500) {
		j.must(alice, appendBatches(flush+1, plain(topic, 0, 1)))
	}
	j.trims(j.position, trim{topic, 0, 2500})
	var left []int
	for range 3 {
		j.must(alice, sweep(MaxSweep*10))
		left = append(left, j.s.RunCount())
	}
	if !slices.Equal(left, []int{1500, 500, 0}) || j.s.Unswept() != 0 {
		t.Errorf("runs after each sweep: %v, %d wait", left, j.s.Unswept())
	}
	if err := j.s.Check(); err != nil {
		t.Error(err)
	}
}

// Who proposes a trim has looked at the topic's configs: when another session has changed the topic since, it must look
// again. The trim of another session takes nothing from this one.
func TestLateTrim(t *testing.T) {
	j := newJournal(t)
	topic := uint64(j.must(alice, createTopic("t", 1, 0)))
	j.must(alice, appendBatches(1, plain(topic, 0, 10)))
	before := j.position
	j.must(bob, trimPartitions(before, trim{topic, 0, 3}))
	if got := j.trims(before, trim{topic, 0, 5}); got[0].Code != OK {
		t.Errorf("behind the other's trim: %+v", got)
	}
	j.must(bob, createPartitions(topic, 2, j.position))
	if got := j.trims(before, trim{topic, 0, 7}); got[0] != (BatchResult{Code: Conflict, Base: -1, Time: -1}) {
		t.Errorf("behind the other's change: %+v", got)
	}
	if got := j.trims(j.position, trim{topic, 0, 7}); got[0].Base != 7 {
		t.Errorf("judged again: %+v", got)
	}
}

// A topic that is deleted while its trimmed partitions wait takes their runs with it, and a replica that loads a base in
// between sweeps in the same order.
func TestDeletedWhileTrimmed(t *testing.T) {
	j := newJournal(t)
	for _, name := range []string{"a", "b"} {
		j.must(alice, createTopic(name, 2, 0))
	}
	for flush := range uint64(4) {
		j.must(alice, appendBatches(flush+1, plain(1, 0, 1), plain(1, 1, 1), plain(2, 0, 1), plain(2, 1, 1)))
	}
	j.trims(j.position, trim{2, 1, 3}, trim{1, 1, 4}, trim{2, 0, 4})
	j.must(alice, sweep(1), deleteTopic(1, j.position))
	loaded := reload(t, j.s)
	if !slices.Equal(j.s.trimmed, loaded.trimmed) || j.s.Unswept() != 4 {
		t.Fatalf("%d wait: %v, after a reload %v", j.s.Unswept(), j.s.trimmed, loaded.trimmed)
	}
	for range 20 {
		j.must(alice, sweep(1))
		loaded.Apply(j.entries[len(j.entries)-1])
		if !slices.Equal(base(t, j.s), base(t, loaded)) {
			t.Fatalf("position %d: the replica that was reloaded swept another run", j.position)
		}
		if err := loaded.Check(); err != nil {
			t.Fatal(err)
		}
	}
	if j.s.Unswept() != 0 || j.s.RunCount() != 1 {
		t.Errorf("%d wait, %d runs", j.s.Unswept(), j.s.RunCount())
	}
}

func TestLastSweep(t *testing.T) {
	j := newJournal(t)
	if got := j.s.LastSweep(); got != 0 {
		t.Errorf("%d before any", got)
	}
	j.must(bob, sweep(1))
	if got := j.s.LastSweep(); got != j.position {
		t.Errorf("%d, want %d", got, j.position)
	}
}

// BenchmarkTrim is one command of 1,000 partitions, the first after a snapshot.
func BenchmarkTrim(b *testing.B) {
	j := wide(b)
	var list []trim
	for i := range uint32(MaxTrims) {
		list = append(list, trim{uint64(i)%100 + 1, i / 100, 1})
	}
	b.ReportAllocs()
	for b.Loop() {
		j.s.Freeze()
		j.apply(alice, nil, trimPartitions(j.position, list...))
	}
}

// BenchmarkSweep is one command of 1,000 runs of one partition.
func BenchmarkSweep(b *testing.B) {
	j := newJournal(b)
	j.unchecked = true
	topic := uint64(j.must(alice, createTopic("t", 1, 0)))
	flush := uint64(0)
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		for range MaxSweep {
			flush++
			j.must(alice, appendBatches(flush, plain(topic, 0, 1)))
		}
		j.must(alice, trimPartitions(j.position, trim{topic, 0, int64(flush)}))
		j.s.Freeze()
		b.StartTimer()
		j.must(alice, sweep(MaxSweep))
	}
}
