package retention

import (
	"math"
	"testing"

	"pgregory.net/rapid"

	"wadi/internal/kafkaconfig"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/state"
)

// twin is a partition as plainly as can be: runs of records.
type twin struct {
	runs  []twinRun
	start int64
	next  int64
	open  int64 // first offset of the open transaction, -1 = none
}

type twinRun struct {
	last    int64
	bytes   int64
	records []int64 // timestamps, by offset; a marker counts as one
}

func (x *twinRun) base() int64 { return x.last - int64(len(x.records)) + 1 }

func (x *twinRun) newest() int64 {
	ts := int64(-1)
	for _, r := range x.records {
		ts = max(ts, r)
	}
	return ts
}

func (w *twin) append(bytes uint32, records ...int64) {
	w.next += int64(len(records))
	w.runs = append(w.runs, twinRun{w.next - 1, int64(bytes), records})
}

func (w *twin) live() []twinRun {
	for i, x := range w.runs {
		if x.last >= w.start {
			return w.runs[i:]
		}
	}
	return nil
}

func bytesOf(runs []twinRun) (n int64) {
	for _, x := range runs {
		n += x.bytes
	}
	return n
}

// retain tells where the log starts once retention is through.
func (w *twin) retain(e *kafkaconfig.Effective, now int64, clock bool) int64 {
	stable := w.next
	if w.open >= 0 {
		stable = max(w.open, w.start)
	}
	live := w.live()
	if len(live) > 0 && live[0].last >= stable {
		live = live[:0]
	}
	start := w.start
	drop := func() { start, live = live[0].last+1, live[1:] }
	for e.Delete && e.RetentionBytes >= 0 && len(live) > 0 && live[0].last < stable && bytesOf(live)-live[0].bytes >= e.RetentionBytes {
		drop()
	}
	for e.Delete && clock && e.RetentionMs >= 0 {
		i := 0
		for i < len(live) && live[i].newest() < 0 {
			i++
		}
		if i == len(live) || live[i].last >= stable || now-live[i].newest() <= e.RetentionMs {
			break
		}
		for range i + 1 {
			drop()
		}
	}
	return start
}

// due checks record by record that what goes was due: I16, never a record more than was asked for.
func (w *twin) due(t *rapid.T, to int64, e *kafkaconfig.Effective, now int64, clock bool) {
	live := w.live()
	for len(live) > 0 && e.RetentionBytes >= 0 && bytesOf(live[1:]) >= e.RetentionBytes {
		live = live[1:] // these could go by size
	}
	expired := false
	for i := len(live) - 1; i >= 0; i-- {
		if live[i].last >= to {
			continue
		}
		expired = expired || live[i].newest() >= 0
		for k, ts := range live[i].records {
			switch old := clock && e.RetentionMs >= 0 && now-ts > e.RetentionMs; {
			case !e.Delete || ts >= 0 && !old:
				t.Fatalf("the record at %d of %d at %d is gone: %+v", live[i].base()+int64(k), ts, now, e)
			case ts < 0 && !expired:
				t.Fatalf("the record at %d has no timestamp, nothing old follows it, and it is gone", live[i].base()+int64(k))
			}
		}
	}
}

// Whatever was written, merged, folded, trimmed, swept and deleted, in whatever order: log starts are those of the naive
// twin, nothing goes that was not due (invariant I16: retention never removes data at or above the log start), and what
// nobody can read any more is freed, and only that.
func TestRetentionAgainstTwin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := newRig(t, 2, 1)
		r.task = New(r.env, Config{Looks: rapid.IntRange(1, 3).Draw(t, "looks"), Parallel: rapid.IntRange(1, 2).Draw(t, "parallel")})
		producer := r.apply(nil, &pb.Command{Base: 1 << 40, Kind: &pb.Command_InitProducer{InitProducer: &pb.InitProducer{TransactionalId: "t", TimeoutMs: 1}}})[0]
		id, epoch, sequence := producer.ID, producer.Epoch, map[part]int32{}
		parts := []part{{1, 0}, {1, 1}, {2, 0}}
		twins := map[part]*twin{}
		for _, at := range parts {
			twins[at] = &twin{open: -1}
		}
		deleted := false
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			at := rapid.SampledFrom(parts).Draw(t, "partition")
			p, w := r.part(at.topic, at.partition), twins[at]
			step := rapid.IntRange(0, 15).Draw(t, "step")
			if p == nil && step < 10 {
				continue
			}
			switch step {
			case 0:
				start := rapid.Int64Range(w.start, w.next).Draw(t, "trim")
				r.trim(at.topic, at.partition, start)
				w.start = start
			case 1, 2:
				if n := r.mergeable(p); n > 1 {
					from := rapid.IntRange(0, n-1).Draw(t, "from")
					to := rapid.IntRange(from+1, n).Draw(t, "to")
					first, last := r.runs(p)[from].Base, r.runs(p)[to-1].Last
					r.merged(at.topic, at.partition, from, to)
					w.merge(first, last)
				}
			case 3, 4:
				n := r.mergeable(p)
				if n == 0 {
					continue
				}
				n = rapid.IntRange(1, n).Draw(t, "fold")
				if list := r.runs(p)[:n]; list[n-1].Last >= p.LogStart {
					for i, x := range list {
						if o, _ := r.s.Object(x.Place); x.Marker() || x.Inline() || o.Kind != state.MergedObject {
							r.merged(at.topic, at.partition, i, i+1)
						}
					}
					r.fold(at.topic, at.partition, n)
				}
			case 5:
				if w.open < 0 {
					w.open = w.next
				}
				r.transactional(at.topic, at.partition, 1, 9, r.now, id, epoch, sequence[at])
				sequence[at]++
				w.append(9, r.now)
			case 6, 7, 8, 9:
				ts := rapid.OneOf(rapid.Just(int64(-1)), rapid.Int64Range(r.now-300, r.now+100)).Draw(t, "timestamp")
				n, size := rapid.IntRange(1, 3).Draw(t, "records"), uint32(rapid.IntRange(1, 60).Draw(t, "bytes"))
				r.append(at.topic, at.partition, uint32(n), size, ts, rapid.Bool().Draw(t, "inline"))
				records := make([]int64, n)
				for i := range records {
					records[i] = ts
				}
				w.append(size, records...)
			case 10:
				if r.s.OpenTxnCount() > 0 {
					x := r.apply(nil, &pb.Command{Base: 1 << 40, Kind: &pb.Command_EndTxn{EndTxn: &pb.EndTxn{
						ProducerId: id, ProducerEpoch: int32(epoch), Commit: rapid.Bool().Draw(t, "commit"), Bump: true,
					}}})[0]
					id, epoch, sequence = x.ID, x.Epoch, map[part]int32{}
					for _, w := range twins {
						if w.open >= 0 {
							w.append(78, r.now)
							w.open = -1
						}
					}
				}
			case 11:
				r.sweep()
			case 12:
				r.now += rapid.Int64Range(1, 300).Draw(t, "time")
				r.clock = nil
				if rapid.IntRange(0, 4).Draw(t, "clock") == 0 {
					r.clock = errNoClock
				}
			case 13:
				r.set(at.topic, func(e *kafkaconfig.Effective) {
					e.Delete, e.Compact = rapid.IntRange(0, 5).Draw(t, "delete") > 0, rapid.Bool().Draw(t, "compact")
					e.RetentionMs = rapid.SampledFrom([]int64{-1, 0, 50, 200, math.MaxInt64}).Draw(t, "retention.ms")
					e.RetentionBytes = rapid.SampledFrom([]int64{-1, -1, 0, 50, 100, 200}).Draw(t, "retention.bytes")
				})
			case 14:
				if !deleted && rapid.IntRange(0, 5).Draw(t, "delete topic") == 0 {
					deleted = true
					r.apply(nil, &pb.Command{Base: 1 << 40, Kind: &pb.Command_DeleteTopic{DeleteTopic: &pb.DeleteTopic{Topic: 2}}})
					twins[part{2, 0}].open = -1
				}
			default:
				r.compare(t, twins)
			}
		}
		r.compare(t, twins)
		r.sweep()
		r.settle()
		r.s.EachLoose(func(m state.Manifest) { t.Errorf("%+v is not released", m) })
	})
}

// mergeable is how many of State's runs, from the first on, lie below the last stable offset.
func (r *rig) mergeable(p *state.Partition) (n int) {
	for _, x := range r.runs(p) {
		if x.Last < p.LSO() {
			n++
		}
	}
	return n
}

func (w *twin) merge(first, last int64) {
	var list []twinRun
	var one *twinRun
	for _, x := range w.runs {
		if x.base() < first || x.last > last {
			list = append(list, x)
			continue
		}
		if one == nil {
			list = append(list, twinRun{last: x.last})
			one = &list[len(list)-1]
		}
		one.last, one.bytes, one.records = x.last, one.bytes+x.bytes, append(one.records, x.records...)
	}
	w.runs = list
}

// compare lets retention come to its end and compares.
func (r *rig) compare(t *rapid.T, twins map[part]*twin) {
	want := map[part]int64{}
	for at, w := range twins {
		e := r.configs[at.topic]
		want[at] = w.retain(&e, r.now, r.clock == nil)
	}
	r.settle()
	freed := map[uint64]bool{}
	r.s.EachGarbage(func(_ uint64, o state.Object) {
		if o.Kind == state.MergedObject {
			freed[o.N] = true
		}
	})
	for at, w := range twins {
		p := r.part(at.topic, at.partition)
		if p == nil {
			continue
		}
		if p.LogStart != want[at] || p.Next != w.next {
			t.Fatalf("%+v: from %d to %d, want %d to %d", at, p.LogStart, p.Next, want[at], w.next)
		}
		e := r.configs[at.topic]
		w.due(t, p.LogStart, &e, r.now, r.clock == nil)
		w.start = p.LogStart
		if p.Manifest == nil {
			continue
		}
		r.checkNote(t, p)
		objects, err := r.open(p.Manifest.Object).Objects(r.Context())
		if err != nil {
			t.Fatal(err)
		}
		for i, o := range objects {
			released := uint32(i) < p.Manifest.Released
			if released != (o.Last < p.LogStart) || released != freed[o.N] {
				t.Fatalf("%+v from %d: object %d of %+v: %+v, freed %v", at, p.LogStart, i, *p.Manifest, o, freed[o.N])
			}
		}
	}
}

// checkNote compares what is remembered of a manifest with what it holds.
func (r *rig) checkNote(t *rapid.T, p *state.Partition) {
	x := r.task.notes.of[p.Manifest.Object]
	if x == nil || !x.knows(p) {
		return
	}
	list, err := r.open(p.Manifest.Object).RunsFrom(r.Context(), p.LogStart, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	bytes, first, oldest := int64(0), int64(list[0].Length), int64(-1)
	for _, y := range list {
		bytes += int64(y.Length)
		if oldest < 0 {
			oldest = y.MaxTimestamp
		}
	}
	if x.bytes != bytes || x.first != first || x.oldest != oldest {
		t.Fatalf("noted %+v, there are %d bytes, %d in the first run, the oldest of %d", *x, bytes, first, oldest)
	}
}
