package fold

import (
	"context"
	"errors"
	"testing"

	"pgregory.net/rapid"

	"wadi/compactor/keycompact"
	"wadi/compactor/unfold"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/session"
	"wadi/metadata/state"
	"wadi/objstore/fault"
)

// Whatever is appended, merged, folded, trimmed, released, deleted and collected, in whatever order, with a store that
// fails and proposals that get lost: every record that was written and not trimmed is read as it was, every object has one
// owner, and what can be folded is.
func TestFoldsKeepTheLog(t *testing.T) {
	compacts := 0 // folds of compacted topics
	defer func() {
		if compacts == 0 && !t.Failed() {
			t.Error("no compacted topic was folded")
		}
	}()
	rapid.Check(t, func(rt *rapid.T) {
		c := Config{
			Keep: rapid.IntRange(1, 6).Draw(rt, "keep"), Least: rapid.IntRange(1, 3).Draw(rt, "least"),
			Folds: rapid.IntRange(1, 3).Draw(rt, "folds"), Bytes: 1 << 20,
		}
		w := newWorld(rt, c, 2, 1)
		refs := []state.PartRef{{Topic: 1}, {Topic: 1, Partition: 1}, {Topic: 2}}
		one := rapid.SampledFrom(refs)
		for _, ref := range refs {
			w.log(ref)
		}
		faults := false
		w.lose = func() (before, after bool) {
			if !faults {
				return false, false
			}
			return rapid.Bool().Draw(rt, "lost"), rapid.Bool().Draw(rt, "answer lost")
		}
		producer := func() state.Result {
			return w.apply(&pb.Command{Base: 1 << 40, Kind: &pb.Command_InitProducer{InitProducer: &pb.InitProducer{TransactionalId: "t", TimeoutMs: 1}}})[0]
		}
		p, open, sequence := producer(), map[state.PartRef]int64{}, map[state.PartRef]int32{}
		rt.Repeat(map[string]func(*rapid.T){
			"append": func(rt *rapid.T) {
				ref := one.Draw(rt, "partition")
				for range rapid.IntRange(1, 6).Draw(rt, "runs") {
					if w.partition(ref) != nil {
						w.append(ref, rapid.Uint32Range(1, 3).Draw(rt, "records"), nil, 0)
					}
				}
			},
			"append in a transaction": func(rt *rapid.T) {
				ref := one.Draw(rt, "partition")
				if w.partition(ref) == nil {
					return
				}
				if _, has := open[ref]; !has {
					open[ref] = w.partition(ref).Next
				}
				w.append(ref, 1, &p, sequence[ref])
				sequence[ref]++
			},
			"end": func(rt *rapid.T) {
				if w.s.OpenTxnCount() == 0 {
					return
				}
				commit := rapid.Bool().Draw(rt, "commit")
				id := p.ID
				p = w.apply(&pb.Command{Base: 1 << 40, Kind: &pb.Command_EndTxn{EndTxn: &pb.EndTxn{
					ProducerId: p.ID, ProducerEpoch: int32(p.Epoch), Commit: commit, Bump: true,
				}}})[0]
				for ref, first := range open {
					if x := w.partition(ref); x != nil && !commit {
						w.log(ref).aborted = append(w.log(ref).aborted, state.AbortedTxn{ProducerID: id, First: first, Last: x.Next - 1, Stable: x.LSO()})
					}
				}
				clear(open)
				clear(sequence)
			},
			"merge": func(rt *rapid.T) {
				some := rapid.SliceOfNDistinct(one, 1, 3, rapid.ID[state.PartRef]).Draw(rt, "partitions")
				w.merged(some, rapid.IntRange(0, 3).Draw(rt, "alone") > 0)
			},
			"trim": func(rt *rapid.T) {
				ref := one.Draw(rt, "partition")
				if x := w.partition(ref); x != nil {
					w.apply(&pb.Command{Base: 1 << 40, Kind: &pb.Command_TrimPartitions{TrimPartitions: &pb.TrimPartitions{
						Topics: []uint64{ref.Topic}, Partitions: []uint32{ref.Partition},
						Offsets: []int64{rapid.Int64Range(x.LogStart, x.Next).Draw(rt, "to")},
					}}})
				}
			},
			"alter": func(rt *rapid.T) {
				n := rapid.Uint64Range(1, 2).Draw(rt, "topic")
				w.compact[n] = !w.compact[n]
			},
			"compact": func(rt *rapid.T) {
				ref := one.Draw(rt, "partition")
				if w.partition(ref) == nil || !w.compact[ref.Topic] {
					return
				}
				l := unfold.Limits{Runs: rapid.IntRange(1, 4).Draw(rt, "runs of a step"), Objects: 2, Aborted: 2}
				if err := unfold.Partition(context.Background(), w.task.env, ref, l); err != nil {
					rt.Fatal(err)
				}
				w.check()
				if w.partition(ref).Manifest != nil {
					rt.Fatalf("%+v is left", *w.partition(ref).Manifest)
				}
				before, in := *w.partition(ref), w.view()
				due := keycompact.IsDue(&before, in.Configs(w.s.TopicByNumber(ref.Topic)), in)
				n := rapid.IntRange(1, 10).Draw(rt, "compacted runs")
				w.compacted(ref, n)
				p := w.partition(ref)
				if again := p.CompactedTo > before.CompactedTo || before.Runs() <= n; due && !again && !keycompact.IsDue(p, in.Configs(w.s.TopicByNumber(ref.Topic)), in) {
					rt.Fatalf("%v is not due any more in the middle of a compaction up to %d", ref, p.CompactedTo)
				}
			},
			"unfold with faults": func(rt *rapid.T) {
				faults = true
				armed := w.store.Script(fault.Fault{Nth: rapid.IntRange(1, 6).Draw(rt, "nth call"), Do: fault.FailAfter(nil)})
				err := unfold.Partition(context.Background(), w.task.env, one.Draw(rt, "partition"), unfold.Limits{Objects: 1, Aborted: 1})
				armed.Disarm()
				faults = false
				if err != nil && !errors.Is(err, fault.ErrInjected) && !errors.Is(err, session.ErrUnknown) {
					rt.Fatal(err)
				}
			},
			"sweep":         func(*rapid.T) { w.apply(&pb.Command{Kind: &pb.Command_Sweep{Sweep: &pb.Sweep{Limit: 20}}}) },
			"release":       func(rt *rapid.T) { w.release(one.Draw(rt, "partition")) },
			"release loose": func(*rapid.T) { w.releaseLoose() },
			"collect":       func(*rapid.T) { w.collect() },
			"delete": func(rt *rapid.T) {
				if w.s.TopicByNumber(2) != nil && rapid.IntRange(0, 9).Draw(rt, "really") == 0 {
					w.apply(&pb.Command{Base: 1 << 40, Kind: &pb.Command_DeleteTopic{DeleteTopic: &pb.DeleteTopic{Topic: 2}}})
				}
			},
			"fold": func(rt *rapid.T) {
				before := map[state.PartRef]uint64{}
				for _, ref := range refs {
					if p := w.partition(ref); p != nil {
						before[ref] = p.Version
					}
				}
				in := w.view()
				if _, err := w.task.Pass(context.Background(), in); err != nil {
					rt.Fatal(err)
				}
				for _, ref := range refs { // no fold without a compaction before the next unfold
					p := w.partition(ref)
					if p == nil || p.Version == before[ref] || !w.compact[ref.Topic] {
						continue
					}
					if c := in.Configs(w.s.TopicByNumber(ref.Topic)); p.Manifest.Last >= p.CompactedTo || keycompact.IsDue(p, c, in) {
						rt.Fatalf("%v is folded to %d, compacted to %d", ref, p.Manifest.Last, p.CompactedTo)
					}
					compacts++
				}
			},
			"fold what has changed since": func(rt *rapid.T) {
				in := w.view()
				ref := one.Draw(rt, "partition")
				if w.partition(ref) != nil {
					w.append(ref, 1, nil, 0)
					w.merged(refs, true)
				}
				w.release(ref)
				if _, err := w.task.Pass(context.Background(), in); err != nil {
					rt.Fatal(err)
				}
			},
			"fold with faults": func(rt *rapid.T) {
				faults = true
				nth := rapid.IntRange(1, 6).Draw(rt, "nth call")
				effect := fault.FailBefore(nil)
				if rapid.Bool().Draw(rt, "after") {
					effect = fault.FailAfter(nil)
				}
				armed := w.store.Script(fault.Fault{Nth: nth, Do: effect})
				_, err := w.task.Pass(context.Background(), w.view())
				armed.Disarm()
				faults = false
				if err != nil && !errors.Is(err, fault.ErrInjected) && !errors.Is(err, session.ErrUnknown) {
					rt.Fatal(err)
				}
			},
			"": func(rt *rapid.T) { w.check() },
		})
		for range 20 {
			if _, err := w.task.Pass(context.Background(), w.view()); err != nil {
				rt.Fatal(err)
			}
		}
		w.check()
		for _, x := range due(w.view(), c) {
			rt.Fatalf("still due: %+v", x)
		}
	})
}
