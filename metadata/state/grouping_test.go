package state

import (
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	pb "wadi/metadata/metadatapb"
)

func entryAt(ms int64, commands ...*pb.Command) *pb.Entry {
	return &pb.Entry{AtMs: ms, Commands: commands}
}

// group is what one AppendBatches carries: indexes into the list of all batches.
type group []int

// DESIGN section 4: batches are judged one by one, in whatever grouping they arrive. Precisely: of a list of batches, any
// split into entries, commands, sections and producer runs that keeps the order of each partition's batches gives every
// batch the same result and every partition the same log.
func TestEveryGroupingGivesTheSameOffsets(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		batches := drawBatches(t)
		var alone, all []group
		for i := range batches {
			alone = append(alone, group{i})
		}
		all = []group{nil}
		for i := range batches {
			all[0] = append(all[0], i)
		}
		want, log := applyGroups(t, batches, [][]group{alone}, false)
		for name, entries := range map[string][][]group{
			"an entry each": perEntry(alone), "all in one section list": {all}, "drawn": drawGroups(t, len(batches)),
		} {
			inline := rapid.Bool().Draw(t, "inline")
			got, gotLog := applyGroups(t, batches, entries, inline)
			if !slices.Equal(got, want) {
				t.Fatalf("%s: %v as %v: %+v, want %+v", name, batches, entries, got, want)
			}
			if !slices.Equal(gotLog, log) {
				t.Fatalf("%s: partitions end at %v, want %v", name, gotLog, log)
			}
		}
	})
}

// drawBatches are of two topics, with producers that retry, skip and change their epoch.
func drawBatches(t *rapid.T) []batch {
	var batches []batch
	next := map[producerKey]int32{}
	for range rapid.IntRange(1, 60).Draw(t, "batches") {
		b := batch{
			topic:     uint64(rapid.IntRange(1, 3).Draw(t, "topic")), // the third one is not there
			partition: uint32(rapid.IntRange(0, 1).Draw(t, "partition")),
			producer:  int64(rapid.IntRange(-1, 2).Draw(t, "producer")),
			records:   uint32(rapid.IntRange(1, 3).Draw(t, "records")),
		}
		b.bytes = 10 * b.records
		key := producerKey{b.topic, b.partition, b.producer, b.epoch}
		switch op := rapid.IntRange(0, 9).Draw(t, "sequence"); {
		case b.producer < 0:
			b.seq, b.epoch = -1, -1
		case op < 7:
			b.seq = next[key]
			next[key] = AddSequence(b.seq, int32(b.records))
		case op == 7 && len(batches) > 0: // a retry of any batch
			b = batches[rapid.IntRange(0, len(batches)-1).Draw(t, "retried")]
		case op == 8:
			b.seq = next[key] + 1
		default:
			b.epoch = 1
		}
		batches = append(batches, b)
	}
	return batches
}

func perEntry(groups []group) [][]group {
	var entries [][]group
	for _, g := range groups {
		entries = append(entries, []group{g})
	}
	return entries
}

// drawGroups splits 0 to n-1 into entries of commands.
func drawGroups(t *rapid.T, n int) [][]group {
	entries := [][]group{{{}}}
	for i := range n {
		last := len(entries) - 1
		switch rapid.IntRange(0, 5).Draw(t, "cut") {
		case 0:
			entries = append(entries, []group{{i}})
		case 1:
			entries[last] = append(entries[last], group{i})
		default:
			at := len(entries[last]) - 1
			entries[last][at] = append(entries[last][at], i)
		}
	}
	if len(entries[0][0]) == 0 {
		entries[0] = entries[0][1:]
	}
	return slices.DeleteFunc(entries, func(e []group) bool { return len(e) == 0 })
}

// applyGroups gives each batch's result, and each partition's end.
func applyGroups(t *rapid.T, batches []batch, entries [][]group, inline bool) (results []BatchResult, ends []int64) {
	s := New()
	s.Apply(Entry{Position: 1, Session: alice, Seq: 1, Body: entryAt(1, initCluster(), openSession(),
		createTopic("one", 2, 0), createTopic("two", 2, 0))})
	results = make([]BatchResult, len(batches))
	flush := uint64(0)
	for i, groups := range entries {
		e := Entry{Position: int64(i + 2), Session: alice, Seq: uint64(i + 2), Body: entryAt(1000)}
		for g, members := range groups {
			order := rapid.Permutation([]int{0, 1, 2, 3, 4, 5}).Draw(t, "order of partitions")
			groups[g] = slices.Clone(members)
			slices.SortStableFunc(groups[g], func(a, b int) int {
				return order[(batches[a].topic-1)*2+uint64(batches[a].partition)] - order[(batches[b].topic-1)*2+uint64(batches[b].partition)]
			})
			var sorted []batch
			for _, at := range groups[g] {
				sorted = append(sorted, batches[at])
			}
			flush++
			c := appendBatches(flush, sorted...)
			if inline {
				c.GetAppendBatches().Flush = 0
				e.Body.Inline = make([]byte, max(uint64(len(e.Body.Inline)), c.GetAppendBatches().Size))
			}
			e.Body.Commands = append(e.Body.Commands, proto.CloneOf(c))
		}
		r := s.Apply(redecode(t, e))
		for g, members := range groups {
			if r.Commands[g].Code != OK || len(r.Commands[g].Batches) != len(members) {
				t.Fatalf("entry %d command %d: %+v", i, g, r.Commands[g])
			}
			for k, at := range members {
				results[at] = r.Commands[g].Batches[k]
			}
		}
	}
	if err := s.Check(); err != nil {
		t.Fatal(err)
	}
	s.EachTopic(func(topic *Topic) {
		for p := range topic.Partitions() {
			ends = append(ends, topic.Partition(int32(p)).Next)
		}
	})
	return results, ends
}
