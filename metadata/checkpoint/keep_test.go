package checkpoint

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"wadi/metadata/kv/memkv"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/state"
	"wadi/objstore/fault"
)

func rootsAt(minutes ...int64) (list []*pb.KeptRoot) {
	for _, m := range minutes {
		list = append(list, &pb.KeptRoot{Position: m, AtMs: m * time.Minute.Milliseconds()})
	}
	return list
}

func positions(roots []*pb.KeptRoot) string {
	var list []string
	for _, r := range roots {
		list = append(list, fmt.Sprint(r.Position))
	}
	return strings.Join(list, " ")
}

func TestKeep(t *testing.T) {
	for _, c := range []struct {
		hourly        time.Duration
		minutes       []int64
		now           int64
		kept, dropped string
	}{
		{0, []int64{1, 2}, 2, "1 2", ""},
		{0, []int64{1, 2, 3, 4}, 4, "2 3 4", "1"},
		{24 * time.Hour, []int64{1, 2, 3, 4}, 4, "1 2 3 4", ""},
		{24 * time.Hour, []int64{1, 2, 3, 4, 5}, 5, "1 3 4 5", "2"},
		{24 * time.Hour, []int64{1, 59, 60, 119, 120, 121, 122, 123}, 123, "1 60 120 121 122 123", "59 119"},
		{24 * time.Hour, []int64{1, 60, 120, 1439, 1440, 1441}, 1440, "1 60 120 1439 1440 1441", ""},
		{24 * time.Hour, []int64{1, 60, 120, 1439, 1440, 1441}, 1441, "60 120 1439 1440 1441", "1"},
		{24 * time.Hour, []int64{1, 60, 120}, 5000, "1 60 120", ""}, // the newest stay, however old
		{24 * time.Hour, []int64{5, 4, 3, 2, 1}, 1, "5 3 2 1", "4"}, // clocks differ
		{time.Hour, []int64{9000, 8000, 7000, 6000, 5, 6, 7}, 7, "7000 6000 5 6 7", "9000 8000"},
	} {
		kept, dropped := Limits{KeepRoots: 3, KeepHourly: c.hourly}.keep(rootsAt(c.minutes...), c.now*time.Minute.Milliseconds())
		if positions(kept) != c.kept || positions(dropped) != c.dropped {
			t.Errorf("%v of %v at %d: kept %s, dropped %s; want %s and %s", c.hourly, c.minutes, c.now, positions(kept), positions(dropped), c.kept, c.dropped)
		}
	}
}

// Root after root: the newest are kept, and for each hour of the day before there is one that is as old as the hour's first.
func TestKeepHourly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := Limits{KeepRoots: 3, KeepHourly: 24 * time.Hour}
		var kept, all []*pb.KeptRoot
		now := int64(1000)
		for range rapid.IntRange(1, 200).Draw(t, "roots") {
			now += rapid.OneOf(rapid.Int64Range(1, 5), rapid.Int64Range(1, 200)).Draw(t, "minutes")
			r := rootsAt(now)[0]
			all = append(all, r)
			var dropped []*pb.KeptRoot
			before := len(kept)
			kept, dropped = l.keep(append(kept, r), r.AtMs)
			if len(kept)+len(dropped) != before+1 || len(kept) > 3+25 {
				t.Fatalf("%d kept, %d dropped, there were %d", len(kept), len(dropped), before+1)
			}
			have := map[int64]bool{}
			for _, k := range kept {
				have[k.Position] = true
			}
			hours := map[int64]bool{}
			for i, r := range all {
				hour := r.Position / 60
				if want := i >= len(all)-3 || !hours[hour] && now-r.Position < 24*60; have[r.Position] != want {
					t.Fatalf("at %d, root of minute %d: kept %t, want %t", now, r.Position, !want, want)
				}
				hours[hour] = true
			}
		}
	})
}

// Garbage of which a root is older makes checkpoints due, one after each interval, until all of the newest roots are
// younger; then no more.
func TestGarbageMakesCheckpointsDue(t *testing.T) {
	r := holder(t, lastAt(100))
	for _, position := range []int64{200, 300} {
		r.seen(position-50, 10, true)
		r.tick(coreLimits.Interval)
		r.expect("mark(false)")
		r.checkpoint(position)
		r.out.words = nil
	}
	r.tick(10 * coreLimits.Interval)
	r.expect() // kept: 100, 200, 300
	r.c.Garbage(r.now, 100, 0)
	r.tick(0)
	r.expect() // State at none of them names it
	r.c.Garbage(r.now, 101, 0)
	r.tick(0)
	r.expect("mark(false)")
	r.checkpoint(400)
	r.out.words = nil
	r.tick(coreLimits.Interval - 1)
	r.expect()
	r.tick(10 * coreLimits.Interval)
	r.expect() // kept: 200, 300, 400
	// What is lost after all of them takes three.
	r.c.Garbage(r.now, 450, 0)
	for _, position := range []int64{500, 600, 700} {
		r.tick(coreLimits.Interval - 1)
		if position > 500 {
			r.expect()
			r.tick(1)
		}
		r.expect("mark(false)")
		r.checkpoint(position)
		r.out.words = nil
	}
	for range 20 {
		r.tick(coreLimits.Interval)
		r.expect()
	}
}

// A root of an hour that is over its time goes with the next checkpoint; garbage that it holds makes one due.
func TestGarbageOfAnHourlyRoot(t *testing.T) {
	p := &pb.Pointer{Position: 40, Kept: rootsAt(0, 10, 20, 30, 40)}
	for i, k := range p.Kept {
		k.AtMs = int64(i) * time.Hour.Milliseconds()
	}
	l := Limits{KeepRoots: 3, KeepHourly: 24 * time.Hour}
	at := func(hours, minutes int64) int64 { return (hours*60 + minutes) * time.Minute.Milliseconds() }
	for _, c := range []struct {
		lost, wall int64
		want       bool
	}{
		{0, at(100, 0), false},
		{15, at(23, 59), false}, // the roots at 0 and 10 hold it for their day
		{15, at(24, 0), true},
		{15, at(25, 0), true},
		{5, at(23, 59), false},
		{5, at(24, 0), true},
		{0, at(24, 0), false},
		{21, at(5, 0), true}, // one of the newest holds it
	} {
		if got := (garbage{c.lost, c.wall}).waits(l, p); got != c.want {
			t.Errorf("lost at %d, at %v: %t", c.lost, time.Duration(c.wall)*time.Millisecond, got)
		}
	}
	for lost, want := range map[int64]bool{10: false, 11: true, 20: true, 21: true} {
		if got := (garbage{lost: lost}).waits(l, &pb.Pointer{Kept: rootsAt(10, 20)}); got != want {
			t.Errorf("lost at %d, with two of three roots: %t", lost, got)
		}
	}
	if !(garbage{lost: 5}).waits(l, nil) || (garbage{}).waits(l, nil) {
		t.Error("without a checkpoint there is one to make as soon as there is garbage")
	}
}

// A topic is deleted and then nothing happens any more: three checkpoints later no kept root names what lay in it, and from
// then on neither object store nor etcd hears anything.
func TestQuietClusterLetsGarbageGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		objects := fault.New(w.objects)
		a := startAgent(t, w.kv, objects, quick())
		defer a.stop()
		a.open()
		data := written{}
		topic := a.topic("t")
		a.inline(data, topic, strings.Repeat("x", 100))
		time.Sleep(10 * time.Second)
		a.do(&pb.Command{Kind: &pb.Command_DeleteTopic{DeleteTopic: &pb.DeleteTopic{Topic: topic}}})
		a.do(&pb.Command{Kind: &pb.Command_Sweep{Sweep: &pb.Sweep{Limit: 1000}}})
		var lost int64
		a.view.Read(func(s *state.State) { lost = s.LastLost() })
		before := pointerOf(t, w.kv)
		if lost == 0 || before.Position >= lost {
			t.Fatalf("lost at %d, the pointer is at %d", lost, before.Position)
		}
		time.Sleep(20 * time.Second)
		p := pointerOf(t, w.kv)
		for _, k := range p.Kept {
			if k.Position < lost {
				t.Errorf("a root at %d is kept, garbage was lost at %d", k.Position, lost)
			}
		}
		rev := func() (n int64) { w.kv.Inspect(func(s *memkv.Store) { n = s.Revision() }); return n }
		calls, revision := objects.Calls(), rev()
		time.Sleep(10 * time.Minute)
		if objects.Calls() != calls || rev() != revision {
			t.Errorf("%d object requests and %d etcd writes in 10 idle minutes", objects.Calls()-calls, rev()-revision)
		}
		w.past.audit(w.kv, w.objects)
	})
}

// Archives that State lists are not the job's to delete, with runs or without; those that it does not list are.
func TestCleanLeavesListedArchives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		limits := quick()
		limits.BaseBytes = 1
		a := startAgent(t, w.kv, w.objects, limits)
		defer a.stop()
		a.open()
		data := written{}
		topic := a.topic("t")
		a.inline(data, topic, strings.Repeat("x", 200))
		time.Sleep(5 * time.Second)
		listed := map[string]bool{}
		a.view.Read(func(s *state.State) {
			s.EachObject(func(_ uint64, o state.Object) { listed[o.Key(objectKeys)] = true })
		})
		if len(listed) != 1 {
			t.Fatalf("listed: %v", listed)
		}
		a.do(&pb.Command{Kind: &pb.Command_DeleteTopic{DeleteTopic: &pb.DeleteTopic{Topic: topic}}})
		a.do(&pb.Command{Kind: &pb.Command_Sweep{Sweep: &pb.Sweep{Limit: 1000}}})
		for i := range 8 {
			var base int64
			a.view.Read(func(s *state.State) { base = s.Position() })
			a.do(&pb.Command{Base: base, Kind: &pb.Command_CreateTopic{CreateTopic: &pb.CreateTopic{Name: fmt.Sprint("other", i), Partitions: 1}}})
			time.Sleep(3 * time.Second)
		}
		time.Sleep(10 * time.Second)
		archives := 0
		for _, key := range bucketKeys(t, w.objects) {
			if strings.Contains(key, "/archive/") {
				archives++
			}
			delete(listed, key)
		}
		if len(listed) != 0 || archives > 5 {
			t.Errorf("%v is gone; %d archives", listed, archives)
		}
		numbers := []uint64{}
		a.view.Read(func(s *state.State) {
			s.EachGarbage(func(n uint64, _ state.Object) { numbers = append(numbers, n) })
		})
		if len(numbers) != 1 {
			t.Errorf("garbage: %v", numbers)
		}
	})
}
