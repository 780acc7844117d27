package view

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	pb "wadi/metadata/metadatapb"
	"wadi/metadata/state"
)

// noMarkers are the results of an entry that ended no transaction.
var noMarkers = &state.Results{}

func touching(refs ...PartitionRef) *pb.Entry {
	a := &pb.AppendBatches{}
	for _, r := range refs {
		a.Topics, a.Partitions = append(a.Topics, r.Topic), append(a.Partitions, uint32(r.Partition))
	}
	return &pb.Entry{Commands: []*pb.Command{{Kind: &pb.Command_AppendBatches{AppendBatches: a}}}}
}

// Subscriptions come and go in any order; an entry wakes exactly those that wait for what it touches, each once.
func TestWaiters(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type polling struct {
			refs   []PartitionRef
			cancel func()
			woken  int
		}
		var w waiters
		w.init()
		ref := rapid.Custom(func(t *rapid.T) PartitionRef {
			return PartitionRef{rapid.Uint64Range(1, 3).Draw(t, "topic"), rapid.Int32Range(0, 2).Draw(t, "partition")}
		})
		refs := rapid.SliceOfN(ref, 0, 5) // the same one twice, too
		var polls []*polling
		check := func(wakes func(PartitionRef) bool) {
			for i, p := range polls {
				want := 0
				for _, r := range p.refs {
					if wakes(r) {
						want = 1
					}
				}
				if p.woken != want {
					t.Fatalf("poll %d of %v woken %d times, not %d", i, p.refs, p.woken, want)
				}
				p.woken = 0
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"subscribe": func(t *rapid.T) {
				p := &polling{refs: refs.Draw(t, "refs")}
				p.cancel = w.subscribe(p.refs, func() { p.woken++ })
				polls = append(polls, p)
			},
			"cancel": func(t *rapid.T) {
				if len(polls) > 0 {
					i := rapid.IntRange(0, len(polls)-1).Draw(t, "which")
					polls[i].cancel()
					polls = append(polls[:i], polls[i+1:]...)
				}
			},
			"append or trim": func(t *rapid.T) {
				hit := refs.Draw(t, "hit")
				e := touching(hit...)
				if rapid.Bool().Draw(t, "trim") {
					a := e.Commands[0].GetAppendBatches()
					e.Commands[0].Kind = &pb.Command_TrimPartitions{
						TrimPartitions: &pb.TrimPartitions{Topics: a.Topics, Partitions: a.Partitions},
					}
				}
				w.notify(e, noMarkers)
				check(func(r PartitionRef) bool {
					for _, h := range hit {
						if h == r {
							return true
						}
					}
					return false
				})
			},
			"end of transactions": func(t *rapid.T) {
				hit := refs.Draw(t, "hit")
				res := &state.Results{Commands: make([]state.Result, 2)}
				for i, h := range hit {
					r := &res.Commands[i%2]
					r.Touched = append(r.Touched, state.PartRef{Topic: h.Topic, Partition: uint32(h.Partition)})
				}
				end := &pb.Command{Kind: &pb.Command_EndTxn{EndTxn: &pb.EndTxn{}}}
				w.notify(&pb.Entry{Commands: []*pb.Command{end, end}}, res)
				check(func(r PartitionRef) bool { return slices.Contains(hit, r) })
			},
			"delete": func(t *rapid.T) {
				topic := rapid.Uint64Range(1, 3).Draw(t, "topic")
				e := &pb.Entry{Commands: []*pb.Command{{Kind: &pb.Command_DeleteTopic{DeleteTopic: &pb.DeleteTopic{Topic: topic}}}}}
				w.notify(e, noMarkers)
				check(func(r PartitionRef) bool { return r.Topic == topic })
			},
			"replace": func(*rapid.T) {
				w.notifyAll()
				check(func(PartitionRef) bool { return true })
			},
		})
		for _, p := range polls {
			p.cancel()
		}
		if len(w.mu.lists) != 0 {
			t.Fatalf("left behind: %v", w.mu.lists)
		}
	})
}

// BenchmarkSubscribe is what a poll of 1,000 quiet partitions pays.
func BenchmarkSubscribe(b *testing.B) {
	for _, beside := range []int{0, 1} {
		var w waiters
		w.init()
		refs := make([]PartitionRef, 1000)
		for i := range refs {
			refs[i] = PartitionRef{1, int32(i)}
		}
		name := "alone"
		if beside > 0 {
			name = "beside another"
			defer w.subscribe(refs, func() {})()
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				w.subscribe(refs, func() {})()
			}
		})
	}
}

// A command that moves a high watermark, a last stable offset or a log start, or ends a topic, and wakes nobody would
// leave long polls asleep and fetch sessions with old news. Whoever adds a command decides here.
func TestEveryCommandIsClassified(t *testing.T) {
	ended := state.Result{Touched: []state.PartRef{{Topic: 1}}}
	moves := map[string]*pb.Command{
		"end_txn":        {Kind: &pb.Command_EndTxn{EndTxn: &pb.EndTxn{}}},
		"init_producer":  {Kind: &pb.Command_InitProducer{InitProducer: &pb.InitProducer{}}}, // which ends what was open
		"append_batches": {Kind: &pb.Command_AppendBatches{AppendBatches: &pb.AppendBatches{Topics: []uint64{1}, Partitions: []uint32{0}}}},
		"trim_partitions": {Kind: &pb.Command_TrimPartitions{
			TrimPartitions: &pb.TrimPartitions{Topics: []uint64{1}, Partitions: []uint32{0}},
		}},
		"delete_topic": {Kind: &pb.Command_DeleteTopic{DeleteTopic: &pb.DeleteTopic{Topic: 1}}},
	}
	// These change nothing that a Fetch of a partition answers. New partitions of a topic have no readers yet.
	still := []string{
		"init_cluster", "open_session", "close_session", "create_topic", "mark", "archived", "sweep",
		"create_partitions", "alter_configs", "update_group", "commit_offsets", "delete_group", "delete_offsets", "expire_offsets",
		"add_to_txn", "commit_txn_offsets", "expire_txns", "expire_producers",
		"replace_runs", "forget_objects", "forget_sessions", "fold_runs", "unfold_runs", "release_objects",
	}
	fields := (&pb.Command{}).ProtoReflect().Descriptor().Oneofs().ByName("kind").Fields()
	for i := range fields.Len() {
		name := string(fields.Get(i).Name())
		if moves[name] == nil && !slices.Contains(still, name) {
			t.Errorf("command %s: does it move what readers see of a partition? If so, waiters.touched must know it", name)
		}
	}
	for name, c := range moves {
		var w waiters
		w.init()
		woken := 0
		w.subscribe([]PartitionRef{{1, 0}}, func() { woken++ })
		res := &state.Results{Commands: []state.Result{{}}}
		if name == "end_txn" || name == "init_producer" {
			res.Commands[0] = ended
		}
		if w.notify(&pb.Entry{Commands: []*pb.Command{c}}, res); woken != 1 {
			t.Errorf("%s wakes %d times", name, woken)
		}
	}
}
