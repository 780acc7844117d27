package keycompact

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"wadi/compactor/unfold"
	"wadi/internal/batch"
	pb "wadi/metadata/metadatapb"
	"wadi/objstore/fault"
)

// truth is a partition as it was written, on its own.
type truth struct {
	records map[int64]written
}

type written struct {
	seen
	txn     *outcome // nil: none
	expires int64    // of a tombstone that was compacted: the earliest time at which it may go, 0 = not compacted yet
}

type outcome struct{ ended, committed bool }

// world is a rig with the truth about its partitions.
type world struct {
	*rig
	t         *rapid.T
	truths    []truth
	producers []*producer
	txns      []*outcome
}

func (w *world) writeSome() {
	partition := int32(w.draw("partition", len(w.truths)))
	var p *producer
	var txn *outcome
	if i := w.draw("producer", 2*len(w.producers)); i < len(w.producers) {
		p = w.producers[i]
		if w.txns[i] == nil {
			w.txns[i] = &outcome{}
		}
		txn = w.txns[i]
	}
	var list []kv
	for range 1 + w.draw("records", 4) {
		x := kv{key: string(rune('a' + w.draw("key", 12)))}
		if w.draw("tombstone", 4) > 0 {
			x.value = fmt.Sprint("v", w.position, "-", len(list))
		}
		list = append(list, x)
	}
	codec := rapid.SampledFrom([]batch.Codec{batch.None, batch.Gzip, batch.Snappy, batch.LZ4, batch.Zstd}).Draw(w.t, "codec")
	base := w.write(p, partition, codec, rapid.Bool().Draw(w.t, "inline"), list...)
	for i, x := range list {
		o := base + int64(i)
		w.truths[partition].records[o] = written{seen: seen{o, x.key, x.value, x.value == ""}, txn: txn}
	}
}

func (w *world) draw(name string, n int) int { return rapid.IntRange(0, n-1).Draw(w.t, name) }

func (w *world) endSome() {
	i := w.draw("producer", len(w.producers))
	if w.txns[i] == nil {
		return
	}
	commit := rapid.Bool().Draw(w.t, "commit")
	w.end(w.producers[i], commit)
	w.txns[i].ended, w.txns[i].committed = true, commit
	w.txns[i] = nil
}

// mergeSome is what another task does: some runs of a partition become one.
func (w *world) mergeSome() {
	partition := int32(w.draw("partition", len(w.truths)))
	p := w.part(partition)
	list := p.RunsFrom(0, 1000, 1<<40, nil)
	for len(list) > 0 && list[len(list)-1].Last >= p.LSO() {
		list = list[:len(list)-1]
	}
	if len(list) == 0 {
		return
	}
	from := w.draw("from", len(list))
	list = list[from : from+1+w.draw("to", len(list)-from)]
	w.merge(partition, list[0].Base, list[len(list)-1].Last)
}

// trimSome is DeleteRecords.
func (w *world) trimSome() {
	partition := int32(w.draw("partition", len(w.truths)))
	p := w.part(partition)
	to := rapid.Int64Range(p.LogStart, p.LSO()).Draw(w.t, "log start")
	w.do(&pb.Command{Base: w.position, Kind: &pb.Command_TrimPartitions{
		TrimPartitions: &pb.TrimPartitions{Topics: []uint64{topic}, Partitions: []uint32{uint32(partition)}, Offsets: []int64{to}}}},
		&pb.Command{Kind: &pb.Command_Sweep{Sweep: &pb.Sweep{Limit: uint32(w.draw("swept", 3))}}})
}

// foldSome is what another task does: runs of a partition from its first one on become one, or lie alone already, and go
// into a manifest. It may be that the topic has not been compacted for a while, so they may be of any age.
func (w *world) foldSome() {
	partition := int32(w.draw("partition", len(w.truths)))
	p := w.part(partition)
	list := p.RunsFrom(0, 1000, 1<<40, nil)
	for len(list) > 0 && list[len(list)-1].Last >= p.LSO() {
		list = list[:len(list)-1]
	}
	if len(list) == 0 || list[0].Last < p.LogStart {
		return
	}
	list = list[:1+w.draw("to", len(list))]
	last := list[len(list)-1].Last
	for from := 0; from < len(list); { // a run alone in its object each
		n := 1 + w.draw("of", min(4, len(list)-from))
		w.merge(partition, list[from].Base, list[from+n-1].Last)
		from += n
	}
	due := IsDue(w.part(partition), &w.configs, w.view())
	w.fold(partition, last)
	if p := w.part(partition); last < p.CompactedTo && !due && IsDue(p, &w.configs, w.view()) {
		w.t.Fatalf("partition %d is due as it was folded to %d", partition, last)
	}
}

// alter turns the topics' policy: delete alone, or compact.
func (w *world) alter() { w.configs.Compact = !w.configs.Compact }

// passSome runs a pass; some fail at some call, before or after its effect, and the process may die of it.
func (w *world) passSome() {
	before := map[int32]int64{}
	for i := range w.truths {
		before[int32(i)] = w.part(int32(i)).CompactedTo
	}
	var armed *fault.Armed
	switch w.draw("fault", 7) {
	case 0:
		armed = w.store.Script(fault.Fault{Nth: 1 + w.draw("call", 12), Do: fault.FailBefore(nil)})
	case 1:
		armed = w.store.Script(fault.Fault{Nth: 1 + w.draw("call", 12), Do: fault.FailAfter(nil)})
	case 2:
		w.lose = 1 + w.draw("lost", 2)
	case 3:
		w.meddle = w.mergeSome
	case 4:
		w.meddle = w.foldSome
	}
	w.meddleAfter, w.loseAfter = w.draw("meddle after", 3), w.draw("lose after", 3)
	_, err := w.pass()
	w.lose, w.meddle, w.meddleAfter, w.loseAfter = 0, nil, 0, 0
	switch {
	case armed == nil:
	case armed.Fired() == 0 && err != nil:
		w.t.Fatal(err)
	default:
		armed.Disarm()
	}
	if err != nil && rapid.Bool().Draw(w.t, "dies") {
		w.crash()
	}
	for i := range w.truths {
		for o, x := range w.truths[i].records {
			if x.tomb && x.expires == 0 && o < w.part(int32(i)).CompactedTo {
				x.expires = w.now + w.configs.DeleteRetentionMs
				w.truths[i].records[o] = x
			}
		}
	}
}

// crash is another process; transactions go on, as agents live.
func (w *world) crash() { w.restart() }

// check compares what readers get with the truth.
func (w *world) check() {
	for i := range w.truths {
		p := w.part(int32(i))
		all := w.committed(int32(i), p.LogStart)
		lastOf, shown := map[string]written{}, map[int64]bool{}
		for _, o := range slices.Sorted(maps.Keys(w.truths[i].records)) {
			x := w.truths[i].records[o]
			if o >= p.LSO() || x.txn != nil && !(x.txn.ended && x.txn.committed) {
				continue
			}
			if o >= p.LogStart {
				lastOf[x.key] = x
			}
		}
		newest := map[string]seen{}
		for _, x := range all {
			want, ok := w.truths[i].records[x.offset]
			switch {
			case !ok || want.seen != x:
				w.t.Fatalf("partition %d: read %v, written %v", i, x, want)
			case want.txn != nil && !want.txn.committed:
				w.t.Fatalf("partition %d: read %v of a transaction that is not committed", i, x)
			}
			shown[x.offset] = true
			newest[x.key] = x
		}
		for o, x := range w.truths[i].records { // what no compaction has passed stays
			if o >= max(p.CompactedTo, p.LogStart) && o < p.LSO() && !shown[o] && (x.txn == nil || x.txn.committed) {
				w.t.Fatalf("partition %d: %v is gone, compacted to %d", i, x, p.CompactedTo)
			}
		}
		for key, x := range lastOf { // I16
			switch got, ok := newest[key]; {
			case ok && got == x.seen:
			case !ok && x.tomb && x.expires != 0 && x.expires <= w.now:
			default:
				w.t.Fatalf("partition %d at %d: key %s was last written as %v (expires %d), read %v", i, w.now, key, x.seen, x.expires, got)
			}
		}
		stored := w.stored(int32(i))
		if p.Next > 0 && p.LogStart < p.Next && stored[len(stored)-1].LastOffset() != p.Next-1 {
			w.t.Fatalf("partition %d: the last batch ends at %d of %d", i, stored[len(stored)-1].LastOffset(), p.Next)
		}
		for from := p.LogStart; from < p.LSO(); from++ { // wherever a reader stands
			k := slices.IndexFunc(all, func(x seen) bool { return x.offset >= from })
			var want []seen
			if k >= 0 {
				want = all[k:]
			}
			if got := w.committed(int32(i), from); !slices.Equal(got, want) {
				w.t.Fatalf("partition %d from %d: read %v, from the start %v", i, from, got, want)
			}
		}
	}
	if err := w.s.Check(); err != nil {
		w.t.Fatal(err)
	}
}

// Whatever is written, merged, folded, trimmed and compacted in whatever order, whatever the topics' policy in between, with passes that fail at any call: readers get the
// last committed value of each key at its offset and nothing that was aborted, wherever they begin to read (I16). In the
// end everything is old, and of each key nothing but the last record is left, and what ended the ranges.
func TestAgainstTheTruth(t *testing.T) {
	unfolds := map[string]int{}
	defer func() {
		for _, kind := range []string{"something stays", "nothing stays", "aborted come"} {
			if unfolds[kind] == 0 && !t.Failed() {
				t.Errorf("never when runs are brought back: %s (%v)", kind, unfolds)
			}
		}
	}()
	rapid.Check(t, func(rt *rapid.T) {
		partitions := rapid.IntRange(1, 3).Draw(rt, "partitions")
		cfg := Config{
			MaxOutput: rapid.SampledFrom([]int64{300, 700, 1 << 20}).Draw(rt, "output"),
			RunBytes:  rapid.SampledFrom([]int64{100, 400, 1 << 20}).Draw(rt, "run"),
			MaxInput:  rapid.SampledFrom([]int64{1, 2000, 1 << 20}).Draw(rt, "input"),
			Memory:    rapid.SampledFrom([]int64{2 * 4 * slotBytes, 2 * 8 * slotBytes, 1 << 20}).Draw(rt, "memory"),
			Unfold: unfold.Limits{
				Runs: rapid.IntRange(1, 5).Draw(rt, "runs of a step"), Objects: rapid.IntRange(1, 5).Draw(rt, "objects of a step"),
				Aborted: rapid.IntRange(1, 3).Draw(rt, "aborted of a step"),
			},
		}
		w := &world{rig: newRig(rt, partitions, cfg), t: rt}
		w.taken = func(c *pb.Command) {
			switch u := c.GetUnfoldRuns(); {
			case u == nil:
			case u.N == 0:
				unfolds["nothing stays"]++
			case len(u.Ns) == 0:
				unfolds["aborted alone come"]++
			default:
				unfolds["something stays"]++
			}
			if len(c.GetUnfoldRuns().GetMarkers()) > 0 {
				unfolds["aborted come"]++
			}
		}
		w.configs.MinDirtyRatio = rapid.SampledFrom([]float64{0, 0.5}).Draw(rt, "ratio")
		w.configs.MinCompactionLagMs = rapid.SampledFrom([]int64{0, 2000}).Draw(rt, "lag")
		for range partitions {
			w.truths = append(w.truths, truth{records: map[int64]written{}})
		}
		for i := range 2 {
			w.producers = append(w.producers, w.producer(fmt.Sprint("p", i)))
		}
		w.txns = make([]*outcome, 2)
		rt.Repeat(map[string]func(*rapid.T){
			"write":   func(*rapid.T) { w.writeSome() },
			"write2":  func(*rapid.T) { w.writeSome() },
			"end":     func(*rapid.T) { w.endSome() },
			"merge":   func(*rapid.T) { w.mergeSome() },
			"fold":    func(*rapid.T) { w.foldSome() },
			"trim":    func(*rapid.T) { w.trimSome() },
			"release": func(*rapid.T) { w.release(int32(w.draw("partition", len(w.truths)))) },
			"alter":   func(*rapid.T) { w.alter() },
			"time":    func(*rapid.T) { w.now += rapid.Int64Range(1, 3000).Draw(rt, "ms") },
			"pass":    func(*rapid.T) { w.passSome() },
			"die":     func(*rapid.T) { w.crash() },
			"":        func(*rapid.T) { w.check() },
		})
		w.finish(cfg.Memory > 2*4*slotBytes, min(cfg.MaxOutput, cfg.MaxInput) >= 1<<20)
	})
}

// finish compacts all there is. Then no key is left twice, unless the map is too small for the keys of one batch, and
// nothing that no reader sees, unless objects or passes are so small that partitions have several objects: a marker at the
// end of one stays.
func (w *world) finish(once, nothing bool) {
	for i, p := range w.producers {
		if w.txns[i] != nil {
			w.end(p, true)
			w.txns[i].ended, w.txns[i].committed = true, true
			w.txns[i] = nil
		}
	}
	w.configs.Compact, w.configs.MinDirtyRatio, w.task.failed = true, 0, map[ref]*failure{}
	w.now += 1 << 30
	w.settle()
	for i := range w.truths {
		p := w.part(int32(i))
		if p.CompactedTo != p.Next && p.LogStart != p.Next {
			w.t.Fatalf("partition %d is compacted to %d of %d", i, p.CompactedTo, p.Next)
		}
	}
	w.check()
	for i := range w.truths {
		times, visible := map[string]int{}, map[int64]bool{}
		for _, x := range w.committed(int32(i), w.part(int32(i)).LogStart) {
			visible[x.offset] = true
			if times[x.key]++; once && times[x.key] > 1 {
				w.t.Fatalf("partition %d: key %s is left twice: %v", i, x.key, w.committed(int32(i), 0))
			}
		}
		for _, b := range w.stored(int32(i)) {
			if b.LastOffset() == w.part(int32(i)).Next-1 || b.LastOffset() < w.part(int32(i)).LogStart {
				continue
			}
			it := b.Iter()
			for r, ok := it.Next(); ok; r, ok = it.Next() {
				if nothing && !visible[r.Offset] && r.Offset >= w.part(int32(i)).LogStart {
					w.t.Fatalf("partition %d: offset %d is left, control %v", i, r.Offset, b.Control())
				}
			}
			it.Close()
		}
	}
}
