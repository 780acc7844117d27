package merge

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"wadi/objstore"
	"wadi/objstore/fault"
)

// flushes writes n flushes with a batch of so many bytes, or a little more, to each partition.
func (r *rig) flushes(n, size int) {
	for i := range n {
		var list []written
		for _, p := range r.parts() {
			list = append(list, plain(p, aBatch(2, size/2, byte(i), int64(i))))
		}
		r.write(false, list...)
	}
}

// Inputs are read once, whatever the number of outputs, and in a few large reads.
func TestInputsAreReadOnce(t *testing.T) {
	for _, parallel := range []int{1, 4} {
		t.Run(fmt.Sprint(parallel), func(t *testing.T) {
			r := newRig(t, Config{FanIn: 40, MaxOutput: 1 << 20, Own: 1 << 20, MaxInput: 1 << 30, Parallel: parallel}, 6, 4)
			r.flushes(40, 10_000)
			produced := int64(0)
			for _, key := range r.objects("/flush/") {
				data, err := r.mem.Get(t.Context(), key, 0, -1)
				if err != nil {
					t.Fatal(err)
				}
				produced += int64(len(data))
			}
			r.store.TakeTranscript()
			r.settle()
			r.check()
			if r.stats.Objects != 4 {
				t.Errorf("%d objects", r.stats.Objects)
			}
			gets := r.store.TakeTranscript()
			gets = slices.DeleteFunc(gets, func(c fault.Record) bool { return c.Op != fault.Get })
			slices.SortFunc(gets, func(a, b fault.Record) int { return cmp.Or(strings.Compare(a.Key, b.Key), cmp.Compare(a.Off, b.Off)) })
			read := int64(0)
			for i, g := range gets {
				read += g.Length
				if i > 0 && gets[i-1].Key == g.Key && gets[i-1].Off+gets[i-1].Length > g.Off {
					t.Errorf("%v overlaps %v", g, gets[i-1])
				}
			}
			if read*10 > produced*11 || len(gets) > 4*40 {
				t.Errorf("%d bytes in %d reads of %d bytes", read, len(gets), produced)
			}
			if read != r.stats.BytesRead || int64(len(gets)) != r.stats.Reads {
				t.Errorf("%+v", r.stats)
			}
		})
	}
}

// Outputs that follow each other share what is read: flushes of more partitions than one command takes are read whole.
func TestOutputsShareReads(t *testing.T) {
	r := newRig(t, Config{FanIn: 20}, 2500)
	r.flushes(20, 20)
	r.store.TakeTranscript()
	if _, err := r.pass(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.check()
	gets := 0
	for _, c := range r.store.TakeTranscript() {
		if c.Op == fault.Get {
			gets++
		}
	}
	if r.stats.Objects != 3 || gets != 20 || r.s.RunCount() != 2500 {
		t.Errorf("%d objects, %d reads, %d runs", r.stats.Objects, gets, r.s.RunCount())
	}
}

// Many inputs, larger together than the memory and each larger than its share of it, become an object in parts. A
// service that gives way to another request is asked again under another name.
func TestMemoryIsBounded(t *testing.T) {
	r := newRig(t, Config{FanIn: 48, Parallel: 4, Memory: 24 << 20}, 10)
	r.flushes(48, 100<<10)
	lost := r.store.Script(fault.Fault{Op: fault.Complete, Do: fault.FailBefore(objstore.ErrConflict)})
	r.settle()
	r.check()
	reading, writing := r.task.c.split()
	if r.stats.Memory > reading.Memory || reading.Memory+int64((writing.Parallel+1)*writing.PartSize) > 24<<20 {
		t.Errorf("%d bytes held of %d", r.stats.Memory, reading.Memory)
	}
	if lost.Fired() != 1 || len(r.objects("/merge/")) != 1 || r.s.RunCount() != 10 {
		t.Errorf("%d objects, %d runs", len(r.objects("/merge/")), r.s.RunCount())
	}
	if up, err := r.mem.Uploads(t.Context(), "", "", 10); err != nil || len(up) > 0 {
		t.Errorf("%v left, %v", up, err)
	}
}

// A name is given up after a conflict, and only so many are.
func TestNamesRunOut(t *testing.T) {
	for _, refusal := range []error{objstore.ErrConflict, objstore.ErrExists} {
		r := newRig(t, Config{FanIn: 4}, 2)
		r.flushes(4, 100)
		f := r.store.Script(fault.Fault{Op: fault.Put, Times: -1, Do: fault.FailBefore(refusal)})
		if _, err := r.pass(t.Context()); !errors.Is(err, refusal) || f.Fired() != maxTries {
			t.Errorf("%v after %d names", err, f.Fired())
		}
		f.Disarm()
		r.settle()
		r.check()
		r.checkNames()
		if r.s.RunCount() != 2 {
			t.Errorf("%d runs", r.s.RunCount())
		}
	}
}

// What is missing or damaged for good stops nothing else, is told once and not read again; what arrives damaged once is
// read a second time.
func TestDamageIsLeftOut(t *testing.T) {
	for name, effect := range map[string]fault.Effect{
		"missing": fault.FailBefore(objstore.ErrNotFound), "flipped": fault.FlipByte(100), "torn": fault.TornBody(50), "shorter": fault.FailBefore(objstore.ErrRange),
	} {
		for _, times := range []int{1, -1} {
			t.Run(fmt.Sprint(name, times), func(t *testing.T) {
				r := newRig(t, Config{FanIn: 4}, 3)
				for i := range 8 {
					list := []written{plain(part{1, 0}, aBatch(2, 50, byte(i), 1)), plain(part{1, 1}, aBatch(1, 50, byte(i), 1)), plain(part{1, 2}, aBatch(3, 50, byte(i), 1))}
					if i == 2 {
						list = list[1:] // the damaged object holds nothing of the first partition
					}
					r.write(false, list...)
				}
				bad := keys.Flush(me, 3)
				f := r.store.Script(fault.Fault{Op: fault.Get, Key: bad, Times: times, Do: effect})
				r.settle()
				r.check()
				heals := times == 1 && (name == "flipped" || name == "torn")
				if heals != (r.stats.Skipped == 0) {
					t.Errorf("%d ranges skipped", r.stats.Skipped)
				}
				runs := [3]int{}
				for i := range runs {
					runs[i] = r.s.TopicByNumber(1).Partition(int32(i)).Runs()
				}
				if runs[0] > 4 || heals && runs[1]+runs[2] > 4 || !heals && max(runs[1], runs[2]) > 6 {
					t.Errorf("%d runs left", runs)
				}
				fired := f.Fired()
				r.flushes(8, 100)
				r.settle()
				r.check()
				if f.Fired() != fired {
					t.Error("read again")
				}
			})
		}
	}
	t.Run("archive", func(t *testing.T) {
		r := newRig(t, Config{Crowd: 8}, 2)
		for i := range 20 {
			r.write(true, plain(part{1, 0}, aBatch(1, 10, byte(i), 1)))
		}
		r.archive()
		o, _, _ := r.s.Archive(r.s.ArchivedTo())
		r.damaged = map[string]bool{o.Key(keys): true}
		for i := range 20 {
			r.write(true, plain(part{1, 0}, aBatch(1, 10, byte(i), 1)))
		}
		r.archive()
		r.settle()
		r.check()
		if n := r.s.RunCount(); n != 20+1 || r.stats.Skipped == 0 {
			t.Errorf("%d runs, %+v", n, r.stats)
		}
	})
}

// Every call fails once, before its effect and after it, until there is no nth call any more: the next passes finish the
// work, readers see the same, and no name is used twice.
func TestEveryCallFailsOnce(t *testing.T) {
	for _, effect := range []fault.Effect{fault.FailBefore(nil), fault.FailAfter(nil)} {
		for n := 1; ; n++ {
			r := newRig(t, Config{FanIn: 6, MaxOutput: 6000, Own: 1 << 20, MaxInput: 1 << 20}, 4)
			r.flushes(6, 500)
			f := r.store.Script(fault.Fault{Nth: n, Do: effect})
			failed, idle := 0, 0
			for range 20 {
				more, err := r.pass(context.Background())
				if err != nil && !errors.Is(err, fault.ErrInjected) {
					t.Fatal(err)
				}
				if err != nil {
					failed++
				}
				r.check()
				if idle++; more {
					idle = 0
				} else if idle == 2 {
					break
				}
			}
			if r.s.RunCount() != 4 || failed != f.Fired() {
				t.Fatalf("call %d: %d runs, failed %d times", n, r.s.RunCount(), failed)
			}
			r.checkNames()
			if f.Fired() == 0 {
				if n < 15 {
					t.Errorf("only %d calls", n)
				}
				break
			}
		}
	}
}
