package state

import (
	"fmt"
	"runtime"
	"slices"
	"testing"
)

// wide is a state of 100,000 partitions in 100 topics and 100,000 objects, with one run per object.
func wide(tb testing.TB) *journal {
	const topics, partitions = 100, 1000
	j := newJournal(tb)
	j.unchecked = true
	for i := range topics {
		j.must(alice, createTopic(fmt.Sprintf("topic%d", i), partitions, 0))
		j.entries = j.entries[:0]
	}
	flush := uint64(0)
	for topic := range uint64(topics) {
		for p := uint32(0); p < partitions; {
			e := Entry{Position: j.position + 1, Session: alice, Seq: j.seqs[alice] + 1, Body: entryAt(1)}
			j.position, j.seqs[alice] = e.Position, e.Seq
			for range 100 {
				flush++
				e.Body.Commands = append(e.Body.Commands, appendBatches(flush, idempotent(topic+1, p, int64(p), 0, 1)))
				p++
			}
			mustAccept(tb, j.s.Apply(e))
		}
	}
	return j
}

// Freeze copies one pointer per bucket and nothing per partition, run or producer: apply waits for it.
func TestFreezeIsCheap(t *testing.T) {
	j := wide(t)
	var frozen *State
	if n := testing.AllocsPerRun(10, func() { frozen = j.s.Freeze() }); n > 8 {
		t.Errorf("%v allocations", n)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	frozen = j.s.Freeze()
	runtime.ReadMemStats(&after)
	objects := 0
	frozen.EachObject(func(uint64, Object) { objects++ })
	if frozen.Partitions() != 100_000 || objects != 100_000 || frozen.RunCount() != 100_000 {
		t.Fatalf("%d partitions, %d objects, %d runs", frozen.Partitions(), objects, frozen.RunCount())
	}
	if n := after.TotalAlloc - before.TotalAlloc; n > 512<<10 {
		t.Errorf("%d bytes for 100,000 partitions and objects", n)
	}
	// The first entry after it pays for what it touches: one topic's partition list, one bucket of each table.
	runtime.ReadMemStats(&before)
	j.must(alice, appendBatches(1_000_000, plain(7, 7, 1)))
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 256<<10 {
		t.Errorf("%d bytes for the first entry after it", n)
	}
	if err := frozen.Check(); err != nil {
		t.Error(err)
	}
}

// DESIGN section 7: 100,000 partitions in at most 1 GiB. Here each has one producer, a run and an object.
func TestMemoryOfWideState(t *testing.T) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	j := wide(t)
	runtime.GC()
	runtime.ReadMemStats(&after)
	used := int64(after.HeapAlloc) - int64(before.HeapAlloc)
	if used > 256<<20 {
		t.Errorf("%d MiB", used>>20)
	}
	var estimate int64
	for _, n := range j.s.Size() {
		estimate += n
	}
	if estimate < used/3 || estimate > 3*used {
		t.Errorf("Size says %d KiB, the heap grew by %d KiB", estimate>>10, used>>10)
	}
	t.Logf("%d KiB, estimated as %d KiB: %v", used>>10, estimate>>10, j.s.Size())
	runtime.KeepAlive(j)
}

// A snapshot is encoded by another goroutine while Apply goes on: they share memory, and neither writes what the other
// reads (the race detector is the judge), nor sees what the other did.
func TestSnapshotIsReadWhileApplyGoesOn(t *testing.T) {
	l := newLoad()
	s := New()
	s.Apply(l.setUp())
	var before []Entry
	for range 100 {
		e := l.random()
		before = append(before, e)
		s.Apply(e)
		if len(before)%25 != 0 {
			continue
		}
		want := base(t, s)
		frozen, got := s.Freeze(), make(chan []string)
		go func() { got <- base(t, frozen) }()
		for range 30 {
			s.Apply(l.random())
		}
		if records := <-got; !slices.Equal(records, want) {
			t.Fatalf("the snapshot at position %d changed under its reader", frozen.Position())
		}
	}
}

func BenchmarkFreeze(b *testing.B) {
	j := wide(b)
	b.ReportAllocs()
	for b.Loop() {
		j.s.Freeze()
	}
}

// BenchmarkLoad reads a base of 100,000 partitions, as a cold agent does.
func BenchmarkLoad(b *testing.B) {
	records := base(b, wide(b).s)
	b.ReportAllocs()
	for b.Loop() {
		l := NewLoader()
		for _, r := range records {
			if err := l.Add([]byte(r)); err != nil {
				b.Fatal(err)
			}
		}
		if _, err := l.State(); err != nil {
			b.Fatal(err)
		}
	}
}
