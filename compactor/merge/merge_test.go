package merge

import (
	"context"
	"testing"

	"wadi/internal/batch"
	"wadi/metadata/state"
	"wadi/objstore/segment"
)

// plain is batches of a partition without a producer.
func plain(p part, batches ...batch.Batch) written {
	return written{part: p, producer: -1, epoch: -1, sequence: -1, batches: batches}
}

// Flushes and what lies in the journal become one object, sorted by partition, whose footer says what it holds.
func TestFlushesBecomeOneObject(t *testing.T) {
	r := newRig(t, Config{FanIn: 6}, 3, 2)
	for i := range 8 {
		var list []written
		for _, p := range r.parts() {
			list = append(list, plain(p, aBatch(2, 50, byte(i), 100+int64(i)), aBatch(1, 10, byte(i), 50)))
		}
		r.write(i%3 == 0, list...)
	}
	r.archive()
	r.write(false, plain(part{1, 0}, aBatch(2, 50, 9, 100)))
	r.check()
	r.settle()
	r.check()
	if n := r.s.RunCount(); n > 6 || r.stats.Objects != 1 {
		t.Errorf("%d runs, %+v", n, r.stats)
	}
	key := r.objects("/merge/")[0]
	var o state.Object
	r.s.EachObject(func(_ uint64, x state.Object) {
		if x.Kind == state.MergedObject {
			o = x
		}
	})
	if o.Key(keys) != key {
		t.Fatalf("%+v", o)
	}
	next := map[segment.SectionInfo]int64{}
	err := segment.Verify(context.Background(), r.mem, key, int64(o.Size), func(s segment.SectionInfo, b batch.Batch) error {
		if b.BaseOffset() != s.BaseOffset+next[s] {
			t.Errorf("batch at %d in a section from %d on", b.BaseOffset(), s.BaseOffset)
		}
		next[s] += int64(b.NumRecords())
		return nil
	})
	if err != nil || len(next) != 5 {
		t.Errorf("%d sections, %v", len(next), err)
	}
}

// What lies in the journal alone goes along while it is in memory, and is no reason to merge by itself; where it has left
// memory it waits for the archive, and so does what follows it.
func TestJournalGoesAlong(t *testing.T) {
	write := func(r *rig) {
		for i := range 20 {
			r.write(i%2 == 0, plain(part{1, 0}, aBatch(1, 10, byte(i), 1)))
		}
	}
	t.Run("in memory", func(t *testing.T) {
		r := newRig(t, Config{FanIn: 10}, 1)
		write(r)
		r.settle()
		r.check()
		if n := r.s.RunCount(); n != 1 {
			t.Errorf("%d runs", n)
		}
	})
	t.Run("alone", func(t *testing.T) {
		r := newRig(t, Config{Crowd: 4}, 1)
		for i := range 20 {
			r.write(true, plain(part{1, 0}, aBatch(1, 10, byte(i), 1)))
		}
		r.settle()
		if n := r.s.RunCount(); n != 20 {
			t.Errorf("%d runs", n)
		}
	})
	t.Run("not in memory", func(t *testing.T) {
		r := newRig(t, Config{FanIn: 10}, 1)
		write(r)
		clear(r.journal)
		r.settle()
		if n := r.s.RunCount(); n != 20 {
			t.Errorf("%d runs", n)
		}
		r.archive()
		r.settle()
		r.check()
		if n := r.s.RunCount(); n != 1 {
			t.Errorf("%d runs when it is archived", n)
		}
	})
	t.Run("leaves memory", func(t *testing.T) {
		r := newRig(t, Config{FanIn: 10}, 1)
		write(r)
		asked, inline := 0, r.env.Inline
		r.env.Inline = func(position int64) []byte {
			if asked++; asked > 25 { // while plans are made, it is there
				return nil
			}
			return inline(position)
		}
		if _, err := r.pass(context.Background()); err != nil || r.stats.Skipped != 1 {
			t.Fatalf("%+v, %v", r.stats, err)
		}
		r.env.Inline = nil
		r.archive()
		r.settle()
		r.check()
		if n := r.s.RunCount(); n != 1 {
			t.Errorf("%d runs when it is archived", n)
		}
	})
}

// A few flushes that nothing else has come to are merged once they have been left lying for some turns, and no earlier;
// fewer stay.
func TestFlushesAreNotLeftLying(t *testing.T) {
	r := newRig(t, Config{}, 3)
	ended := func() (turns int) {
		for more := false; !more && turns < 10; turns++ {
			var err error
			if more, err = r.pass(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
		return turns
	}
	for i := range 3 {
		r.write(false, plain(part{1, 0}, aBatch(1, 10, byte(i), 1)), plain(part{1, 1}, aBatch(1, 10, byte(i), 1)))
	}
	if n := ended(); n != 10 || r.stats.Objects != 0 {
		t.Errorf("three flushes, %d turns: %+v", n, r.stats)
	}
	r.write(false, plain(part{1, 2}, aBatch(1, 10, 9, 1)))
	if n := ended(); n != 4 || r.stats.Objects != 1 || r.s.RunCount() != 3 {
		t.Errorf("four flushes, %d turns, %d runs: %+v", n, r.s.RunCount(), r.stats)
	}
	r.check()
}
