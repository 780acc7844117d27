package state

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"wadi/internal/layout"
	pb "wadi/metadata/metadatapb"
)

const (
	benchTopics     = 10
	benchPartitions = 100 // per topic
	benchProducers  = 500
	benchBatches    = 64 // per entry
	benchWindow     = 512
)

// load makes entries of 64 sections of one batch each. Any producer writes to any partition, so that the state of half
// a million (producer, partition) pairs is visited at random: the worst case of a cluster of this size.
type load struct {
	rng      *rand.Rand
	seqs     []int32 // next sequence by producer and partition
	position int64
	seq      uint64
	flush    uint64
}

const benchSession = layout.Session(0x694d8f2c1a2b3c4d)

func newLoad() *load {
	return &load{rng: rand.New(rand.NewPCG(1, 2)), seqs: make([]int32, benchTopics*benchPartitions*benchProducers)}
}

func (l *load) entry(commands ...*pb.Command) Entry {
	l.position += 2
	l.seq++
	return Entry{
		Position: l.position, Session: benchSession, Seq: l.seq,
		Body: &pb.Entry{AtMs: 1_700_000_000_000 + l.position, Commands: commands},
	}
}

func (l *load) setUp() Entry {
	commands := []*pb.Command{
		{Kind: &pb.Command_InitCluster{InitCluster: &pb.InitCluster{ClusterId: "c", Incarnation: 1, FeatureLevel: 1}}},
		{Kind: &pb.Command_OpenSession{OpenSession: &pb.OpenSession{MinFeatureLevel: 1, MaxFeatureLevel: 1}}},
	}
	for i := range benchTopics {
		commands = append(commands, &pb.Command{Kind: &pb.Command_CreateTopic{
			CreateTopic: &pb.CreateTopic{Name: fmt.Sprintf("topic%d", i), Partitions: benchPartitions},
		}})
	}
	return l.entry(commands...)
}

// flushOf appends one batch for every (producer, partition) pair that pair returns.
func (l *load) flushOf(pair func(i int) (producer, partition int)) Entry {
	l.flush++
	c := &pb.AppendBatches{Flush: l.flush}
	for i := range benchBatches {
		producer, partition := pair(i)
		seq := &l.seqs[partition*benchProducers+producer]
		records := int32(1 + l.rng.IntN(20))
		c.Topics = append(c.Topics, uint64(1+partition/benchPartitions))
		c.Partitions = append(c.Partitions, uint32(partition%benchPartitions))
		c.Offsets = append(c.Offsets, c.Size)
		c.Runs = append(c.Runs, 1)
		c.ProducerIds = append(c.ProducerIds, int64(1+producer))
		c.ProducerEpochs = append(c.ProducerEpochs, 0)
		c.Sequences = append(c.Sequences, *seq)
		c.Batches = append(c.Batches, 1)
		c.Records = append(c.Records, uint32(records))
		c.Bytes = append(c.Bytes, uint32(61+records*200))
		c.MaxTimestamps = append(c.MaxTimestamps, int64(l.rng.IntN(21)-10))
		c.Size += uint64(61 + records*200)
		*seq = AddSequence(*seq, records)
	}
	return l.entry(&pb.Command{Kind: &pb.Command_AppendBatches{AppendBatches: c}})
}

func (l *load) random() Entry {
	return l.flushOf(func(int) (int, int) { return l.rng.IntN(benchProducers), l.rng.IntN(benchTopics * benchPartitions) })
}

// warm returns a State in which every producer has written to every partition once.
func (l *load) warm(tb testing.TB) *State {
	s := New()
	s.Apply(l.setUp())
	next := 0
	for next < len(l.seqs) {
		e := l.flushOf(func(int) (int, int) {
			at := next % len(l.seqs)
			next++
			return at % benchProducers, at / benchProducers
		})
		mustAccept(tb, s.Apply(e))
	}
	return s
}

func mustAccept(tb testing.TB, r *Results) {
	tb.Helper()
	for _, c := range r.Commands {
		for _, b := range c.Batches {
			if c.Code != OK || b.Code != OK {
				tb.Fatalf("position %d: %v, %v", r.Position, c.Code, b.Code)
			}
		}
	}
	if r.Repeat || r.Refused != OK || len(r.Commands) == 0 {
		tb.Fatalf("position %d: %+v", r.Position, r)
	}
}

// BenchmarkApply64 is Apply alone, on decoded entries.
func BenchmarkApply64(b *testing.B) {
	l := newLoad()
	s := l.warm(b)
	b.ReportAllocs()
	b.ResetTimer()
	for done := 0; done < b.N; {
		b.StopTimer()
		window := make([]Entry, min(benchWindow, b.N-done))
		for i := range window {
			window[i] = l.random()
		}
		b.StartTimer()
		for _, e := range window {
			mustAccept(b, s.Apply(e))
		}
		done += len(window)
	}
	b.ReportMetric(float64(b.N)*benchBatches/b.Elapsed().Seconds(), "batches/s")
}

// BenchmarkDecodeApply64 starts from the bytes of an entry, as a view does.
func BenchmarkDecodeApply64(b *testing.B) {
	l := newLoad()
	s := l.warm(b)
	var size int
	b.ReportAllocs()
	b.ResetTimer()
	for done := 0; done < b.N; {
		b.StopTimer()
		window := make([]Entry, min(benchWindow, b.N-done))
		values := make([][]byte, len(window))
		for i := range window {
			window[i] = l.random()
			values[i] = marshal(b, window[i].Body)
			size += len(values[i])
		}
		b.StartTimer()
		for i, e := range window {
			decoded, err := Decode(e.Position, e.Session, e.Seq, values[i])
			if err != nil {
				b.Fatal(err)
			}
			mustAccept(b, s.Apply(decoded))
		}
		done += len(window)
	}
	b.ReportMetric(float64(b.N)*benchBatches/b.Elapsed().Seconds(), "batches/s")
	b.ReportMetric(float64(size)/float64(b.N)/benchBatches, "bytes/batch")
}

func BenchmarkDecode64(b *testing.B) {
	l := newLoad()
	e := l.random()
	value := marshal(b, e.Body)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Decode(e.Position, e.Session, e.Seq, value); err != nil {
			b.Fatal(err)
		}
	}
}

func marshal(tb testing.TB, body *pb.Entry) []byte {
	tb.Helper()
	value, err := proto.Marshal(body)
	if err != nil {
		tb.Fatal(err)
	}
	return value
}

// BenchmarkEndTxn opens a transaction over partitions with a batch in each, in one entry, and commits it in another.
// BenchmarkEachTopic walks over 10,000 topics, next to each other and with most between them deleted.
func BenchmarkEachTopic(b *testing.B) {
	for name, apart := range map[string]int{"dense": 1, "sparse": 10} {
		b.Run(name, func(b *testing.B) {
			const topics = 10_000
			j := newJournal(b)
			j.unchecked = true
			for i := range topics * apart {
				n := j.must(alice, createTopic(fmt.Sprint(i), 1, j.position))
				if i%apart != 0 {
					j.must(alice, deleteTopic(uint64(n), j.position))
					j.must(alice, sweep(10))
				}
			}
			for b.Loop() {
				n := 0
				if j.s.EachTopic(func(*Topic) { n++ }); n != topics {
					b.Fatal(n)
				}
			}
		})
	}
}

func BenchmarkEndTxn(b *testing.B) {
	for _, partitions := range []uint32{1, 200, MaxTxnPartitions} {
		b.Run(fmt.Sprint(partitions), func(b *testing.B) {
			j := newJournal(b)
			j.unchecked = true
			topic := uint64(j.must(alice, createTopic("a", partitions, 0)))
			pid := j.must(alice, initTxn("t", j.position))
			var took time.Duration
			epoch := int16(0)
			for b.Loop() {
				var batches []batch
				for p := range partitions {
					batches = append(batches, inTxn(topic, p, pid, epoch, 0, 1))
				}
				j.apply(alice, make([]byte, 10*partitions), appendBatches(0, batches...))
				e := Entry{Position: j.position + 1, Session: alice, Seq: j.seqs[alice] + 1, Body: entryAt(0, endTxn(j.position, pid, epoch, true, bumping))}
				j.position++
				j.seqs[alice]++
				j.entries = j.entries[:0]
				start := time.Now()
				r := j.s.Apply(e)
				took += time.Since(start)
				if len(r.Commands[0].Touched) != int(partitions) {
					b.Fatal(r.Commands[0].Code)
				}
				pid, epoch = r.Commands[0].ID, r.Commands[0].Epoch
			}
			b.ReportMetric(float64(took.Microseconds())/float64(b.N), "µs/commit")
		})
	}
}
