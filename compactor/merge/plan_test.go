package merge

import (
	"testing"

	"pgregory.net/rapid"

	"wadi/internal/layout"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/state"
)

const me layout.Session = 1

// log is a State that is driven by entries.
type log struct {
	t        rapid.TB
	s        *state.State
	seq      uint64
	flush    uint64
	merge    uint64
	position int64
	produced int64
	put      int64
}

func newLog(t rapid.TB, partitions ...uint32) *log {
	l := &log{t: t, s: state.New(), position: 10}
	l.apply(nil, &pb.Command{Kind: &pb.Command_InitCluster{InitCluster: &pb.InitCluster{ClusterId: "c", Incarnation: 1, FeatureLevel: 1}}},
		&pb.Command{Kind: &pb.Command_OpenSession{OpenSession: &pb.OpenSession{MinFeatureLevel: 1, MaxFeatureLevel: 1}}})
	for i, n := range partitions {
		l.apply(nil, &pb.Command{Kind: &pb.Command_CreateTopic{CreateTopic: &pb.CreateTopic{Name: string(rune('a' + i)), Partitions: n}}})
	}
	return l
}

func (l *log) apply(inline []byte, commands ...*pb.Command) []state.Result {
	l.t.Helper()
	l.seq++
	l.position += 2
	r := l.s.Apply(state.Entry{Position: l.position, Session: me, Seq: l.seq, Body: &pb.Entry{Commands: commands, Inline: inline}})
	if r.Refused != state.OK {
		l.t.Fatalf("refused: %v", r.Refused)
	}
	for i, c := range r.Commands {
		if c.Code != state.OK {
			l.t.Fatalf("%v: %v", commands[i], c.Code)
		}
	}
	return r.Commands
}

type part struct {
	topic     uint64
	partition uint32
}

// write appends a batch of n bytes to each partition, in an object or in the entry.
func (l *log) write(inline bool, n uint32, parts ...part) {
	k := &pb.AppendBatches{}
	at := uint64(0)
	for _, p := range parts {
		k.Topics, k.Partitions, k.Offsets, k.Runs = append(k.Topics, p.topic), append(k.Partitions, p.partition), append(k.Offsets, at), append(k.Runs, 1)
		k.ProducerIds, k.ProducerEpochs, k.Sequences = append(k.ProducerIds, -1), append(k.ProducerEpochs, -1), append(k.Sequences, -1)
		k.Batches, k.Records, k.Bytes, k.MaxTimestamps = append(k.Batches, 1), append(k.Records, 3), append(k.Bytes, n), append(k.MaxTimestamps, 0)
		at += uint64(n)
	}
	var data []byte
	l.produced += int64(at)
	if inline {
		data = make([]byte, at)
	} else {
		l.flush++
		k.Flush, k.Size = l.flush, at
		l.put += int64(at)
	}
	l.apply(data, &pb.Command{Kind: &pb.Command_AppendBatches{AppendBatches: k}})
}

// archive puts all inline runs so far into an archive.
func (l *log) archive() {
	l.apply(nil, &pb.Command{Kind: &pb.Command_Mark{Mark: &pb.Mark{}}})
	to := l.position
	l.apply(nil, &pb.Command{Kind: &pb.Command_Archived{Archived: &pb.Archived{From: l.s.ArchivedTo(), To: to, Session: int64(me), Head: to, Size: 1 << 20}}})
}

// carry does what a plan says, each range becoming one run, and fails the test unless State takes all of it.
func (l *log) carry(p Plan) {
	l.t.Helper()
	for _, o := range p.Outputs {
		l.merge++
		k := &pb.ReplaceRuns{N: l.merge}
		for _, r := range o.Ranges {
			first, last, n := r.Runs[0], r.Runs[len(r.Runs)-1], r.Bytes()
			k.Topics, k.Partitions, k.Versions = append(k.Topics, r.Topic), append(k.Partitions, r.Partition), append(k.Versions, r.Version)
			k.Bases, k.Lasts, k.Runs = append(k.Bases, first.Base), append(k.Lasts, last.Last), append(k.Runs, 1)
			k.RunCounts, k.MaxTimestamps = append(k.RunCounts, uint64(last.Last-first.Base+1)), append(k.MaxTimestamps, 0)
			k.Offsets, k.Lengths = append(k.Offsets, k.Size), append(k.Lengths, uint32(n))
			k.Size += uint64(n)
		}
		l.put += int64(k.Size)
		if int64(k.Size) != o.Bytes {
			l.t.Fatalf("an output of %d bytes holds %d", o.Bytes, k.Size)
		}
		for i, b := range l.apply(nil, &pb.Command{Kind: &pb.Command_ReplaceRuns{ReplaceRuns: k}})[0].Batches {
			if b.Code != state.OK {
				l.t.Fatalf("range %+v: %v", o.Ranges[i], b.Code)
			}
		}
	}
	if err := l.s.Check(); err != nil {
		l.t.Fatal(err)
	}
}

// settle merges until nothing is worth it any more.
func (l *log) settle(c Config) (plans int) {
	l.t.Helper()
	for ; ; plans++ {
		p, ok := Make(l.s.Freeze(), c)
		if !ok {
			return plans
		}
		if plans > 1000 {
			l.t.Fatalf("no end: %+v", p)
		}
		l.carry(p)
	}
}

func (l *log) mostRuns() (most int) {
	l.s.EachTopic(func(t *state.Topic) {
		for i := range int32(t.Partitions()) {
			most = max(most, t.Partition(i).Runs())
		}
	})
	return most
}

func all(topic uint64, n uint32) (parts []part) {
	for i := range n {
		parts = append(parts, part{topic, i})
	}
	return parts
}

// A steady load in large flushes is written twice in all, and a partition has few runs: those of the flushes that are
// not worth a merge yet, and large ones.
func TestSteadyLoadIsRewrittenOnce(t *testing.T) {
	l, c := newLog(t, 20), Config{MaxInput: 6400, MaxOutput: 3200, FanIn: 64, Debt: 64, FirstTier: 50, Factor: 64}
	for range 64 * 10 {
		l.write(false, 5, all(1, 20)...) // 100 bytes
		l.settle(c)
	}
	if x := float64(l.put) / float64(l.produced); x > 2.01 {
		t.Errorf("%.2f bytes put for a byte produced", x)
	}
	if n := l.mostRuns(); n > 64+10 {
		t.Errorf("%d runs in a partition", n)
	}
}

// A little written for long is written three times in all or hardly more, and the objects it lies in stay few.
func TestSmallFlushesClimbTiers(t *testing.T) {
	l, c := newLog(t, 3), Config{MaxInput: 80_000, MaxOutput: 40_000, FanIn: 16, Debt: 64, FirstTier: 160, Factor: 16}
	for i := range 16 * 16 * 20 {
		l.write(false, 4+uint32(i%3), all(1, 3)...)
		l.settle(c)
	}
	live := 0
	l.s.EachObject(func(_ uint64, o state.Object) {
		if o.Refs > 0 {
			live++
		}
	})
	if x := float64(l.put) / float64(l.produced); x > 4.2 || live > 4*16 {
		t.Errorf("%.2f bytes put for a byte produced, %d objects", x, live)
	}
}

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
	if n := l.mostRuns(); n >= c.Debt {
		t.Errorf("%d runs", n)
	}
}

// Whatever was written, in whatever order, plans are such that State takes them, they come to an end, nothing at or
// above the last stable offset is touched, and what is left is below the limits.
func TestPlansAreTaken(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := newLog(t, 3, 2)
		c := Config{
			MaxInput: rapid.Int64Range(50, 5000).Draw(t, "input"), FanIn: rapid.IntRange(2, 8).Draw(t, "fan in"),
			Debt: rapid.IntRange(2, 8).Draw(t, "debt"), FirstTier: rapid.Int64Range(10, 200).Draw(t, "first tier"), Factor: rapid.Int64Range(2, 20).Draw(t, "factor"),
		}
		c.MaxOutput = c.MaxInput / rapid.Int64Range(1, 4).Draw(t, "output")
		producer := l.apply(nil, &pb.Command{Base: 1 << 40, Kind: &pb.Command_InitProducer{InitProducer: &pb.InitProducer{TransactionalId: "t", TimeoutMs: 1}}})[0]
		sequence, epoch := map[part]int32{}, producer.Epoch
		for range rapid.IntRange(1, 80).Draw(t, "steps") {
			p := part{uint64(rapid.IntRange(1, 2).Draw(t, "topic")), uint32(rapid.IntRange(0, 1).Draw(t, "partition"))}
			switch rapid.IntRange(0, 11).Draw(t, "step") {
			case 0:
				l.archive()
			case 1:
				l.settle(c)
			case 2:
				next := int64(0)
				l.s.EachTopic(func(x *state.Topic) {
					if x.Number == p.topic {
						next = x.Partition(int32(p.partition)).Next
					}
				})
				l.apply(nil, &pb.Command{Base: 1 << 40, Kind: &pb.Command_TrimPartitions{TrimPartitions: &pb.TrimPartitions{
					Topics: []uint64{p.topic}, Partitions: []uint32{p.partition}, Offsets: []int64{rapid.Int64Range(0, next).Draw(t, "trim")},
				}}}, &pb.Command{Kind: &pb.Command_Sweep{Sweep: &pb.Sweep{Limit: 10}}})
			case 3:
				if l.s.OpenTxnCount() > 0 {
					r := l.apply(nil, &pb.Command{Base: 1 << 40, Kind: &pb.Command_EndTxn{EndTxn: &pb.EndTxn{
						ProducerId: producer.ID, ProducerEpoch: int32(epoch), Commit: rapid.Bool().Draw(t, "commit"), Bump: true,
					}}})[0]
					epoch, sequence = r.Epoch, map[part]int32{}
				}
			case 4, 5:
				l.apply(make([]byte, 7), &pb.Command{Kind: &pb.Command_AppendBatches{AppendBatches: &pb.AppendBatches{
					Topics: []uint64{p.topic}, Partitions: []uint32{p.partition}, Offsets: []uint64{0}, Runs: []uint32{1},
					ProducerIds: []int64{producer.ID}, ProducerEpochs: []int32{int32(epoch)}, Sequences: []int32{sequence[p]}, Transactional: []uint32{2},
					Batches: []uint32{1}, Records: []uint32{1}, Bytes: []uint32{7}, MaxTimestamps: []int64{0},
				}}})
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
		if l.s.OpenTxnCount() > 0 {
			return // what is open keeps objects
		}
		if p, ok := Make(l.s.Freeze(), c); ok {
			t.Fatalf("not settled: %+v", p)
		}
	})
}
