package merge

import (
	"testing"

	pb "wadi/metadata/metadatapb"
	"wadi/metadata/state"
)

// A run in an object that others share keeps what follows it in State for no longer than it takes until there is enough for
// an object of its own, also when what follows lies in objects that hold nothing else already.
func TestSharedRunInFrontOfWhatIsFinal(t *testing.T) {
	l, c := newLog(t, 2), Config{FanIn: 4, Crowd: 4}.withDefaults()
	for range 4 {
		l.write(false, 1000, all(1, 2)...)
	}
	l.settle(c)
	for range 100 {
		for range 4 { // enough for an object that stays, and not for one that takes along what lies in front of it
			l.write(false, uint32(c.Own/6), part{1, 0})
		}
		l.settle(c)
	}
	l.check()
	stuck := 0
	l.s.TopicByNumber(1).Partition(0).EachRun(func(r state.Run) {
		if o, _ := l.s.Object(r.Place); stuck > 0 || o.Refs > 1 && r.Length < 1<<20 {
			stuck++
		}
	})
	if stuck > 60 {
		t.Errorf("%d runs wait behind one that cannot fold", stuck)
	}
	if amplification := float64(l.merged) / float64(l.produced); amplification > 2.1 {
		t.Errorf("%.2f bytes merged for a byte produced", amplification)
	} else {
		t.Logf("%.2f bytes merged for a byte produced", amplification)
	}
}

// compact is what a compaction does: the runs of partitions are written anew into one object, in so many bytes each, but for
// the last one, of which little is left.
func (l *log) compact(bytes uint32, parts ...part) {
	l.merge++
	k := &pb.ReplaceRuns{N: l.merge}
	for i, x := range parts {
		if i == len(parts)-1 {
			bytes = 100_000
		}
		p := l.s.TopicByNumber(x.topic).Partition(int32(x.partition))
		k.Topics, k.Partitions, k.Versions = append(k.Topics, x.topic), append(k.Partitions, x.partition), append(k.Versions, p.Version)
		k.Bases, k.Lasts, k.Runs = append(k.Bases, 0), append(k.Lasts, p.Next-1), append(k.Runs, 1)
		k.Compacted, k.RunCounts, k.MaxTimestamps = append(k.Compacted, true), append(k.RunCounts, uint64(p.Next)), append(k.MaxTimestamps, 0)
		k.Offsets, k.Lengths, k.Size = append(k.Offsets, k.Size), append(k.Lengths, bytes), k.Size+uint64(bytes)
	}
	for _, b := range l.apply(nil, &pb.Command{Kind: &pb.Command_ReplaceRuns{ReplaceRuns: k}})[0].Batches {
		if b.Code != state.OK {
			l.t.Fatal(b.Code)
		}
	}
}

// Partitions that are compacted often, together with one now and then that is not again for long, leave objects behind that
// are kept for a small part of them. What compactions wrote is not merged otherwise.
func TestThinObjectsOfCompactions(t *testing.T) {
	const busy, idle = 3, 20
	l, c := newLog(t, busy+idle), Config{}.withDefaults()
	l.scope.Compacts = func(*state.Topic) bool { return true }
	l.write(false, 1000, all(1, busy+idle)...)
	for i := range uint32(idle) {
		l.write(false, 1000, all(1, busy)...)
		l.compact(20<<20, append(all(1, busy), part{1, busy + i})...)
	}
	l.settle(c)
	live, stored := int64(0), int64(0)
	for i := range int32(busy + idle) {
		live += l.s.TopicByNumber(1).Partition(i).Bytes()
	}
	l.s.EachObject(func(_ uint64, o state.Object) {
		if o.Refs > 0 {
			stored += int64(o.Size)
		}
	})
	t.Logf("%d MiB live, %d MiB stored", live>>20, stored>>20)
	if stored > 4*live+c.MaxOutput/4 {
		t.Errorf("%d MiB are stored for %d MiB", stored>>20, live>>20)
	}
}
