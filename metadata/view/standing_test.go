package view

import (
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	pb "wadi/metadata/metadatapb"
)

// naiveStanding is what a Standing promises, said with two sets.
type naiveStanding struct {
	*Standing
	followed map[uint32]PartitionRef
	touched  map[uint32]bool
	armed    bool
	woken    int
}

func (s *naiveStanding) hit(which func(PartitionRef) bool) (wakes bool) {
	for tag, ref := range s.followed {
		if which(ref) && !s.touched[tag] {
			s.touched[tag], wakes = true, true
		}
	}
	return wakes && s.armed
}

// Partitions are followed and not any more, in any order and by several; what was touched is told once to each, and who
// waits is woken once for an entry.
func TestStanding(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var w waiters
		w.init()
		var all []*naiveStanding
		for range 3 {
			all = append(all, &naiveStanding{Standing: w.stand(), followed: map[uint32]PartitionRef{}, touched: map[uint32]bool{}})
		}
		polls := 0
		defer w.subscribe([]PartitionRef{{1, 0}, {2, 1}}, func() { polls++ })()
		ref := rapid.Custom(func(t *rapid.T) PartitionRef {
			return PartitionRef{rapid.Uint64Range(1, 3).Draw(t, "topic"), rapid.Int32Range(0, 2).Draw(t, "partition")}
		})
		pick := func(t *rapid.T) *naiveStanding { return all[rapid.IntRange(0, len(all)-1).Draw(t, "which")] }
		happens := func(t *rapid.T, which func(PartitionRef) bool, notify func()) {
			var want []int
			for _, s := range all {
				n := s.woken
				if s.hit(which) {
					n++
				}
				want = append(want, n)
			}
			before, poll := polls, 0
			if which(PartitionRef{1, 0}) || which(PartitionRef{2, 1}) {
				poll = 1
			}
			notify()
			for i, s := range all {
				if s.woken != want[i] {
					t.Fatalf("standing %d woken %d times, not %d", i, s.woken, want[i])
				}
			}
			if polls != before+poll {
				t.Fatalf("a poll beside it was woken %d times, not %d", polls-before, poll)
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"follow": func(t *rapid.T) {
				s := pick(t)
				var refs []PartitionRef
				var tags []uint32
				for _, tag := range rapid.SliceOfNDistinct(rapid.Uint32Range(0, 9), 0, 4, rapid.ID).Draw(t, "tags") {
					if _, used := s.followed[tag]; !used {
						r := ref.Draw(t, "ref") // the same one twice, too
						refs, tags, s.followed[tag] = append(refs, r), append(tags, tag), r
					}
				}
				s.Follow(refs, tags)
			},
			"unfollow": func(t *rapid.T) {
				s := pick(t)
				tags := rapid.SliceOfN(rapid.Uint32Range(0, 12), 0, 4).Draw(t, "tags")
				for _, tag := range tags {
					delete(s.followed, tag)
					delete(s.touched, tag)
				}
				s.Unfollow(tags)
			},
			"append": func(t *rapid.T) {
				hit := rapid.SliceOfN(ref, 0, 5).Draw(t, "hit")
				happens(t, func(r PartitionRef) bool { return slices.Contains(hit, r) }, func() { w.notify(touching(hit...), noMarkers) })
			},
			"delete": func(t *rapid.T) {
				topic := rapid.Uint64Range(1, 3).Draw(t, "topic")
				happens(t, func(r PartitionRef) bool { return r.Topic == topic }, func() {
					w.notify(&pb.Entry{Commands: []*pb.Command{{Kind: &pb.Command_DeleteTopic{DeleteTopic: &pb.DeleteTopic{Topic: topic}}}}}, noMarkers)
				})
			},
			"replace": func(t *rapid.T) { happens(t, func(PartitionRef) bool { return true }, w.notifyAll) },
			"take": func(t *rapid.T) {
				s := pick(t)
				got := s.Take(nil)
				slices.Sort(got)
				if want := slices.Sorted(maps.Keys(s.touched)); !slices.Equal(got, want) {
					t.Fatalf("touched are %v, not %v", got, want)
				}
				clear(s.touched)
			},
			"wait": func(t *rapid.T) {
				s := pick(t)
				if s.armed = rapid.Bool().Draw(t, "wait"); !s.armed {
					s.Wake(nil)
				} else if s.Wake(func() { s.woken++ }) != (len(s.touched) > 0) {
					t.Fatalf("what was touched already: %v", s.touched)
				}
			},
		})
		for _, s := range all {
			s.Close()
			s.Close()
		}
		for topic, list := range w.mu.lists {
			for partition, n := range list {
				if n.sub.standing != nil || n.next != nil {
					t.Fatalf("left behind: topic %d partition %d", topic, partition)
				}
			}
		}
	})
}

// What comes and goes is no reason to hold more memory than the most there was at a time.
func TestStandingReusesNodes(t *testing.T) {
	var w waiters
	w.init()
	s := w.stand()
	s.Follow([]PartitionRef{{1, 0}, {1, 1}}, []uint32{0, 1})
	round := func() {
		w.notify(touching(PartitionRef{1, 0}), noMarkers)
		s.Unfollow([]uint32{0, 1})
		s.Follow([]PartitionRef{{1, 0}, {1, 1}}, []uint32{1, 0})
	}
	round()
	if len(s.spare) != 0 || len(s.nodes) != 2 || len(s.touched) != 0 {
		t.Fatalf("%d spare of %d nodes, %d touched", len(s.spare), len(s.nodes), len(s.touched))
	}
}

// BenchmarkStanding is what a session pays for a poll in which some of its partitions were written to.
func BenchmarkStanding(b *testing.B) {
	for _, touched := range []int{0, 1, 1000} {
		b.Run(map[int]string{0: "nothing", 1: "one of 1000", 1000: "1000 of 1000"}[touched], func(b *testing.B) {
			var w waiters
			w.init()
			s := w.stand()
			var refs []PartitionRef
			var tags []uint32
			for i := range 1000 {
				refs, tags = append(refs, PartitionRef{1, int32(i)}), append(tags, uint32(i))
			}
			s.Follow(refs, tags)
			e := touching(refs[:touched]...)
			wake := func() {}
			var dst []uint32
			b.ReportAllocs()
			for b.Loop() {
				s.Wake(wake)
				w.notify(e, noMarkers)
				s.Wake(nil)
				dst = s.Take(dst[:0])
			}
		})
	}
}
