package merge

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	pb "wadi/metadata/metadatapb"
	"wadi/metadata/state"
)

// A partition that is written to in entries alone leaves the archives as soon as it has too many runs there, and not
// before an archive holds them.
func TestInlineRunsAreMerged(t *testing.T) {
	l, c := newLog(t, 2), Defaults()
	for range 200 {
		l.write(true, 10, part{1, 0})
	}
	if n := l.settle(c); n != 0 {
		t.Fatalf("%d merges of what no archive holds", n)
	}
	l.archive()
	l.settle(c)
	if n := l.mostRuns(); n >= c.Crowd {
		t.Errorf("%d runs", n)
	}
}

// What somebody else works on, what cannot be read and what compaction wrote stays where it is; what lies around it is
// merged.
func TestScope(t *testing.T) {
	c := Config{FanIn: 4}.withDefaults()
	write := func(t *testing.T) *log {
		l := newLog(t, 2, 1)
		for range 9 {
			l.write(false, 10, part{1, 0}, part{1, 1}, part{2, 0})
		}
		return l
	}
	t.Run("mine", func(t *testing.T) {
		l := write(t)
		p, ok := Make(l.s.Freeze(), c, Scope{Mine: func(topic uint64, partition uint32) bool { return topic == 1 && partition == 1 }})
		if !ok || len(p.Outputs) != 1 || len(p.Outputs[0].Ranges) != 1 {
			t.Fatalf("%+v", p)
		}
		if r := p.Outputs[0].Ranges[0]; r.Topic != 1 || r.Partition != 1 || len(r.Runs) != 9 {
			t.Errorf("%+v", r)
		}
	})
	t.Run("bad", func(t *testing.T) {
		l := write(t)
		for range 3 {
			p, ok := Make(l.s.Freeze(), c, Scope{Bad: func(topic uint64, partition uint32, r state.Run) bool { return topic == 2 && r.Base == 6 }})
			if !ok {
				break
			}
			l.carry(c, p)
		}
		var bases []int64
		l.s.TopicByNumber(2).Partition(0).EachRun(func(r state.Run) { bases = append(bases, r.Base) })
		if want := []int64{0, 6, 9}; !slices.Equal(bases, want) {
			t.Errorf("runs begin at %d, want %d", bases, want)
		}
	})
	t.Run("compacted", func(t *testing.T) {
		l := write(t)
		v := l.s.TopicByNumber(2).Partition(0).Version
		l.merge++
		l.apply(nil, &pb.Command{Kind: &pb.Command_ReplaceRuns{ReplaceRuns: &pb.ReplaceRuns{
			N: l.merge, Size: 10, Topics: []uint64{2}, Partitions: []uint32{0}, Versions: []uint64{v}, Bases: []int64{0}, Lasts: []int64{5},
			Compacted: []bool{true}, Runs: []uint32{1}, RunCounts: []uint64{6}, MaxTimestamps: []int64{0}, Offsets: []uint64{0}, Lengths: []uint32{10},
		}}})
		p, ok := Make(l.s.Freeze(), c, Scope{Compacts: func(t *state.Topic) bool { return t.Number == 2 }})
		if !ok {
			t.Fatal("nothing to do")
		}
		for _, r := range p.Outputs[0].Ranges {
			if r.Topic == 2 && r.Runs[0].Base != 6 {
				t.Errorf("%+v", r)
			}
		}
	})
}

// An open transaction keeps what lies above its first record, and does not keep flushes that came later from being merged.
func TestOpenTransactionKeepsNothingElse(t *testing.T) {
	l, c := newLog(t, 2), Config{FanIn: 4}.withDefaults()
	producer := l.producer()
	l.transactional(producer, 0, part{1, 0})
	for range 100 {
		l.write(false, 10, part{1, 0}, part{1, 1})
	}
	l.settle(c)
	if n := l.s.TopicByNumber(1).Partition(0).Runs(); n != 101 {
		t.Errorf("%d runs above the last stable offset", n)
	}
	if n := l.s.TopicByNumber(1).Partition(1).Runs(); n > 25 {
		t.Errorf("%d runs of another partition", n)
	}
	l.apply(nil, &pb.Command{Base: 1 << 40, Kind: &pb.Command_EndTxn{EndTxn: &pb.EndTxn{
		ProducerId: producer.ID, ProducerEpoch: int32(producer.Epoch), Commit: true, Bump: true,
	}}})
	l.archive()
	l.settle(c)
	if n := l.mostRuns(); n > 30 {
		t.Errorf("%d runs when it has ended", n)
	}
}

// Objects most of which is not needed any more are written anew.
func TestThinObjectsGo(t *testing.T) {
	l, c := newLog(t, 10, 1), Config{FanIn: 4, MaxOutput: 10_000}.withDefaults()
	for range 4 {
		l.write(false, 100, append(all(1, 10), part{2, 0})...)
	}
	l.settle(c)
	l.apply(nil, &pb.Command{Base: 1 << 40, Kind: &pb.Command_DeleteTopic{DeleteTopic: &pb.DeleteTopic{Topic: 1}}},
		&pb.Command{Kind: &pb.Command_Sweep{Sweep: &pb.Sweep{Limit: 1000}}})
	if n := l.settle(c); n != 1 {
		t.Fatalf("%d plans", n)
	}
	l.s.EachObject(func(_ uint64, o state.Object) {
		if o.Refs > 0 && o.Size > 2*400 {
			t.Errorf("%+v", o)
		}
	})
}

// Runs end with the time that is deleted together: of a month of a topic that keeps a week a day is deleted at a time, and
// what is of other days is not written again as the newest grows.
func TestRunsEndWithTheirTime(t *testing.T) {
	const minute, day = int64(60_000), int64(86_400_000)
	l, c := newLog(t, 5), Config{}.withDefaults()
	l.scope.Shape = func(*state.Topic) (int64, int64) { return day, 1 << 30 }
	most := 0
	for l.ms = 0; l.ms < 15*day; l.ms += minute {
		l.write(false, 300, all(1, 5)...)
		if l.ms%(10*minute) == 0 {
			l.settle(c)
			most = max(most, l.mostRuns())
		}
		if l.ms%day == 0 && l.ms > 7*day {
			var runs []state.Run
			l.s.TopicByNumber(1).Partition(0).EachRun(func(r state.Run) { runs = append(runs, r) })
			days := map[int64]bool{}
			for i, r := range runs {
				days[r.MaxTimestamp/day] = true
				if from := r.Base / 3 * minute; from/day != r.MaxTimestamp/day {
					t.Fatalf("run %d from %d to %d", i, from, r.MaxTimestamp)
				}
			}
			if len(days) < 7 {
				t.Fatalf("runs of %d days", len(days))
			}
			trim := &pb.TrimPartitions{}
			for i, p := range all(1, 5) {
				from, ok := l.s.TopicByNumber(1).Partition(int32(i)).RunAtTime(l.ms - 7*day)
				if !ok {
					t.Fatal("everything is due")
				}
				trim.Topics, trim.Partitions, trim.Offsets = append(trim.Topics, 1), append(trim.Partitions, p.partition), append(trim.Offsets, from.Base)
			}
			l.apply(nil, &pb.Command{Base: 1 << 40, Kind: &pb.Command_TrimPartitions{TrimPartitions: trim}}, &pb.Command{Kind: &pb.Command_Sweep{Sweep: &pb.Sweep{Limit: 1000}}})
		}
	}
	l.check()
	amplification := float64(l.merged) / float64(l.produced)
	t.Logf("%.2f bytes merged for each, %d runs", amplification, most)
	if amplification > 4 || most > 3*c.Debt+2*c.Crowd {
		t.Errorf("%.2f bytes merged for each, %d runs", amplification, most)
	}
}

// Timestamps of which each is of another day are no reason to keep a run for each.
func TestTimesThatLeap(t *testing.T) {
	r := newRig(t, Config{FanIn: 8, Debt: 48}, 1)
	r.configs.RetentionMs, r.configs.SegmentMs = 3200, 100
	for i := range 3000 {
		r.write(false, plain(part{1, 0}, aBatch(1, 10, byte(i), int64(i)*1_000_000), aBatch(1, 10, byte(i), int64(i)*1_000_000+500_000)))
		if i%100 == 99 {
			r.settle()
			if n := r.s.RunCount(); n > 3*48+96 {
				t.Fatalf("%d runs of %d batches", n, 2*i)
			}
		}
	}
	r.check()
}

// Whatever was written, in whatever order, plans are such that State takes them, they come to an end, nothing at or
// above the last stable offset is touched, and what is left is below the limits.
func TestPlansAreTaken(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l, c := newLog(t, 3, 2), drawConfig(t)
		producer := l.producer()
		sequence, epoch := map[part]int32{}, producer.Epoch
		for range rapid.IntRange(1, 150).Draw(t, "steps") {
			p := part{uint64(rapid.IntRange(1, 2).Draw(t, "topic")), uint32(rapid.IntRange(0, 1).Draw(t, "partition"))}
			switch rapid.IntRange(0, 11).Draw(t, "step") {
			case 0:
				l.archive()
			case 1:
				l.settle(c)
				l.check()
			case 2:
				next := l.s.TopicByNumber(p.topic).Partition(int32(p.partition)).Next
				l.apply(nil, &pb.Command{Base: 1 << 40, Kind: &pb.Command_TrimPartitions{TrimPartitions: &pb.TrimPartitions{
					Topics: []uint64{p.topic}, Partitions: []uint32{p.partition}, Offsets: []int64{rapid.Int64Range(0, next).Draw(t, "trim")},
				}}}, &pb.Command{Kind: &pb.Command_Sweep{Sweep: &pb.Sweep{Limit: uint32(rapid.IntRange(0, 10).Draw(t, "sweep"))}}})
			case 3:
				if l.s.OpenTxnCount() > 0 {
					r := l.apply(nil, &pb.Command{Base: 1 << 40, Kind: &pb.Command_EndTxn{EndTxn: &pb.EndTxn{
						ProducerId: producer.ID, ProducerEpoch: int32(epoch), Commit: rapid.Bool().Draw(t, "commit"), Bump: true,
					}}})[0]
					epoch, sequence = r.Epoch, map[part]int32{}
				}
			case 4, 5:
				l.transactional(state.Result{ID: producer.ID, Epoch: epoch}, sequence[p], p)
				sequence[p]++
			default:
				parts := []part{p}
				if rapid.Bool().Draw(t, "several") {
					parts = append(all(1, 3), all(2, 2)...)
				}
				l.write(rapid.Bool().Draw(t, "inline"), uint32(rapid.IntRange(1, 60).Draw(t, "bytes")), parts...)
			}
		}
		l.archive()
		l.settle(c)
		l.check()
		eachTail(l.s, c, Scope{}, func(tail int) {
			if c.sensible() && tail >= tiers*c.Debt+c.Crowd {
				t.Fatalf("a tail of %d runs", tail)
			}
		})
	})
}

// drawConfig draws bounds, some that make no sense.
func drawConfig(t *rapid.T) Config {
	c := Config{
		FanIn: rapid.IntRange(2, 8).Draw(t, "fan in"), Debt: rapid.IntRange(2, 12).Draw(t, "debt"), Crowd: rapid.IntRange(2, 30).Draw(t, "crowd"), MaxRun: rapid.Int64Range(20, 200).Draw(t, "run"),
		MaxInline: rapid.Int64Range(60, 500).Draw(t, "inline"), MaxSources: rapid.IntRange(1, 50).Draw(t, "sources"),
	}
	c.Medium = c.MaxRun / rapid.Int64Range(1, 3).Draw(t, "medium")
	c.Small = c.Medium / rapid.Int64Range(1, 20).Draw(t, "small")
	c.Own = c.MaxRun * rapid.Int64Range(1, 10).Draw(t, "own")
	c.MaxOutput = c.Own * rapid.Int64Range(1, 10).Draw(t, "output")
	c.MaxInput = c.MaxOutput * rapid.Int64Range(1, 3).Draw(t, "input")
	return c.withDefaults()
}

// sensible reports whether bounds relate to each other as the defaults do: what is overdue becomes fewer runs.
func (c *Config) sensible() bool {
	return c.Debt >= 8 && 2*c.Medium <= c.MaxRun && int64(c.Debt)/4 > c.Own/c.MaxRun && c.MaxRun >= 60
}
