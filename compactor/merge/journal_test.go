package merge

import (
	"slices"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"wadi/internal/layout"
	"wadi/metadata/journal"
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
	merged   int64
	scope    Scope
	ms       int64 // timestamp of what is written
	replaced int   // runs
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
	k.MaxTimestamps[0] = l.ms // the others are differences
	var data []byte
	l.produced += int64(at)
	if inline {
		data = make([]byte, at)
	} else {
		l.flush++
		k.Flush, k.Size = l.flush, at
	}
	l.apply(data, &pb.Command{Kind: &pb.Command_AppendBatches{AppendBatches: k}})
}

// archive puts all inline runs so far into an archive.
func (l *log) archive() {
	l.apply(nil, &pb.Command{Kind: &pb.Command_Mark{Mark: &pb.Mark{}}})
	to := l.position
	l.apply(nil, &pb.Command{Kind: &pb.Command_Archived{Archived: &pb.Archived{From: l.s.ArchivedTo(), To: to, Session: int64(me), Head: to, Size: 1 << 20}}})
}

// carry does what a plan says and fails the test unless State takes all of it. Runs are put together as they come, none
// is taken apart.
func (l *log) carry(c Config, p Plan) {
	l.t.Helper()
	for _, o := range p.Outputs {
		l.merge++
		k := &pb.ReplaceRuns{N: l.merge}
		for _, r := range o.Ranges {
			first, last := r.Runs[0], r.Runs[len(r.Runs)-1]
			k.Topics, k.Partitions, k.Versions = append(k.Topics, r.Topic), append(k.Partitions, r.Partition), append(k.Versions, r.Version)
			k.Bases, k.Lasts, k.Runs = append(k.Bases, first.Base), append(k.Lasts, last.Last), append(k.Runs, 0)
			cut := r.shape.cutter(maxCuts)
			for _, x := range r.Runs {
				if cut.next(int64(x.Length), x.MaxTimestamp) {
					k.Runs[len(k.Runs)-1]++
					k.RunCounts, k.MaxTimestamps = append(k.RunCounts, 0), append(k.MaxTimestamps, 0)
					k.Offsets, k.Lengths = append(k.Offsets, k.Size), append(k.Lengths, 0)
				}
				at := len(k.RunCounts) - 1
				k.RunCounts[at] += uint64(x.Last - x.Base + 1)
				k.MaxTimestamps[at] = cut.newest
				k.Lengths[at] += x.Length
				k.Size += uint64(x.Length)
			}
			l.replaced += len(r.Runs)
		}
		for i, ms := range slices.Backward(k.MaxTimestamps) {
			if i > 0 {
				k.MaxTimestamps[i] = ms - k.MaxTimestamps[i-1]
			}
		}
		if n := proto.Size(k); n > journal.Target {
			l.t.Fatalf("a command of %d bytes", n)
		}
		l.merged += int64(k.Size)
		if int64(k.Size) != o.Bytes {
			l.t.Fatalf("an output of %d bytes holds %d", o.Bytes, k.Size)
		}
		for i, b := range l.apply(nil, &pb.Command{Kind: &pb.Command_ReplaceRuns{ReplaceRuns: k}})[0].Batches {
			if b.Code != state.OK {
				l.t.Fatalf("%s: range %+v: %v", p.Why, o.Ranges[i], b.Code)
			}
		}
	}
}

// settle merges until nothing is worth it any more.
func (l *log) settle(c Config) (plans int) {
	l.t.Helper()
	for ; ; plans++ {
		p, ok := Make(l.s.Freeze(), c, l.scope)
		if !ok {
			return plans
		}
		if plans > 1000 {
			l.t.Fatalf("no end: %+v", p)
		}
		l.carry(c, p)
	}
}

// check has State check itself.
func (l *log) check() {
	l.t.Helper()
	if err := l.s.Check(); err != nil {
		l.t.Fatal(err)
	}
}

// eachTail tells how many runs lie side by side that may be merged, partition by partition.
func eachTail(s *state.State, c Config, scope Scope, visit func(runs int)) {
	m := planner{c: c, s: s, scope: scope, objects: map[uint64]*object{}}
	m.each(func(t *state.Topic, _ shape, i uint32, p *state.Partition) {
		m.stretches(t, i, p, func(list []item) { visit(len(list)) })
	})
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

// producer is a transactional one.
func (l *log) producer() state.Result {
	return l.apply(nil, &pb.Command{Base: 1 << 40, Kind: &pb.Command_InitProducer{InitProducer: &pb.InitProducer{TransactionalId: "t", TimeoutMs: 1}}})[0]
}

// transactional appends a batch of a transaction, inline.
func (l *log) transactional(producer state.Result, sequence int32, p part) {
	l.apply(make([]byte, 7), &pb.Command{Kind: &pb.Command_AppendBatches{AppendBatches: &pb.AppendBatches{
		Topics: []uint64{p.topic}, Partitions: []uint32{p.partition}, Offsets: []uint64{0}, Runs: []uint32{1},
		ProducerIds: []int64{producer.ID}, ProducerEpochs: []int32{int32(producer.Epoch)}, Sequences: []int32{sequence}, Transactional: []uint32{2},
		Batches: []uint32{1}, Records: []uint32{1}, Bytes: []uint32{7}, MaxTimestamps: []int64{0},
	}}})
}
