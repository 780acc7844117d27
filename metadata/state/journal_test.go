package state

import (
	"slices"
	"testing"

	"wadi/internal/layout"
	pb "wadi/metadata/metadatapb"
)

// journal applies commands to a State as a view does, through the bytes of entries, and keeps the entries.
type journal struct {
	tb       testing.TB
	s        *State
	position int64
	seqs     map[layout.Session]uint64
	entries  []Entry

	unchecked bool // State.Check visits everything: too slow after every entry of a large state
}

const (
	alice layout.Session = 0x0a
	bob   layout.Session = 0x0b
)

// newJournal has a cluster and the open sessions alice (node 0) and bob (node 1).
func newJournal(tb testing.TB) *journal {
	j := &journal{tb: tb, s: New(), position: 10, seqs: map[layout.Session]uint64{}}
	j.must(alice, initCluster(), openSession())
	j.must(bob, openSession())
	return j
}

// apply proposes the commands in the session's next entry.
func (j *journal) apply(session layout.Session, inline []byte, commands ...*pb.Command) *Results {
	j.tb.Helper()
	j.position += 3
	j.seqs[session]++
	body := &pb.Entry{AtMs: 1_700_000_000_000 + 10*j.position, Commands: commands, Inline: inline}
	e, err := Decode(j.position, session, j.seqs[session], marshal(j.tb, body))
	if err != nil {
		j.tb.Fatal(err)
	}
	j.entries = append(j.entries, e)
	r := j.s.Apply(e)
	if !j.unchecked {
		if err := j.s.Check(); err != nil {
			j.tb.Fatal(err)
		}
	}
	return r
}

// codes are those of the commands of an entry that was admitted.
func (j *journal) codes(session layout.Session, commands ...*pb.Command) []Code {
	j.tb.Helper()
	r := j.apply(session, make([]byte, 4096), commands...)
	if r.Repeat || r.Refused != OK {
		j.tb.Fatalf("entry of session %v: repeat %v, refused %v", session, r.Repeat, r.Refused)
	}
	var codes []Code
	for _, c := range r.Commands {
		codes = append(codes, c.Code)
	}
	return codes
}

// must applies commands that are all accepted and returns the last one's ID.
func (j *journal) must(session layout.Session, commands ...*pb.Command) int64 {
	j.tb.Helper()
	for i, code := range j.codes(session, commands...) {
		if code != OK {
			j.tb.Fatalf("command %d of session %v: %v", i, session, code)
		}
	}
	return j.s.results.Commands[len(commands)-1].ID
}

func initCluster() *pb.Command {
	return &pb.Command{Kind: &pb.Command_InitCluster{
		InitCluster: &pb.InitCluster{ClusterId: "cluster", Incarnation: 1, FeatureLevel: FeatureLevel1},
	}}
}

func openSession() *pb.Command {
	return &pb.Command{Kind: &pb.Command_OpenSession{OpenSession: &pb.OpenSession{MinFeatureLevel: 1, MaxFeatureLevel: 1}}}
}

func closeSession(s layout.Session) *pb.Command {
	return &pb.Command{Kind: &pb.Command_CloseSession{CloseSession: &pb.CloseSession{Session: int64(s)}}}
}

func createTopic(name string, partitions uint32, base int64, configs ...*pb.Config) *pb.Command {
	return &pb.Command{Base: base, Kind: &pb.Command_CreateTopic{
		CreateTopic: &pb.CreateTopic{Name: name, Partitions: partitions, Configs: configs},
	}}
}

func deleteTopic(number uint64, base int64) *pb.Command {
	return &pb.Command{Base: base, Kind: &pb.Command_DeleteTopic{DeleteTopic: &pb.DeleteTopic{Topic: number}}}
}

func createPartitions(topic uint64, count uint32, base int64) *pb.Command {
	return &pb.Command{Base: base, Kind: &pb.Command_CreatePartitions{
		CreatePartitions: &pb.CreatePartitions{Topic: topic, Count: count},
	}}
}

// trim is one partition's new log start.
type trim struct {
	topic     uint64
	partition uint32
	offset    int64
}

func trimPartitions(base int64, trims ...trim) *pb.Command {
	c := &pb.TrimPartitions{}
	for _, x := range trims {
		c.Topics, c.Partitions, c.Offsets = append(c.Topics, x.topic), append(c.Partitions, x.partition), append(c.Offsets, x.offset)
	}
	return &pb.Command{Base: base, Kind: &pb.Command_TrimPartitions{TrimPartitions: c}}
}

func initProducer() *pb.Command {
	return &pb.Command{Kind: &pb.Command_InitProducer{InitProducer: &pb.InitProducer{}}}
}

func mark() *pb.Command { return &pb.Command{Kind: &pb.Command_Mark{Mark: &pb.Mark{}}} }

func archived(from, to int64) *pb.Command {
	return &pb.Command{Kind: &pb.Command_Archived{
		Archived: &pb.Archived{From: from, To: to, Session: int64(alice), Head: to, Size: 1 << 20},
	}}
}

func sweep(limit uint32) *pb.Command {
	return &pb.Command{Kind: &pb.Command_Sweep{Sweep: &pb.Sweep{Limit: limit}}}
}

// batch is one batch of a flush.
type batch struct {
	topic     uint64
	partition uint32
	producer  int64 // -1 = none
	epoch     int32
	seq       int32
	records   uint32
	bytes     uint32
	delta     int64 // of its max timestamp to the batch before

	transactional uint32
}

// plain is a batch of no producer.
func plain(topic uint64, partition, records uint32) batch {
	return batch{topic: topic, partition: partition, producer: -1, epoch: -1, seq: -1, records: records, bytes: 10 * records}
}

// idempotent is a batch of a producer in epoch 0.
func idempotent(topic uint64, partition uint32, producer int64, seq int32, records uint32) batch {
	return batch{topic: topic, partition: partition, producer: producer, seq: seq, records: records, bytes: 10 * records}
}

// appendBatches puts each stretch of batches of one partition into a section and, in it, of one producer into a run.
func appendBatches(flush uint64, batches ...batch) *pb.Command {
	c := &pb.AppendBatches{Flush: flush}
	var end uint64
	for i, b := range batches {
		same := i > 0 && batches[i-1].topic == b.topic && batches[i-1].partition == b.partition
		if !same {
			c.Topics, c.Partitions = append(c.Topics, b.topic), append(c.Partitions, b.partition)
			c.Offsets, c.Runs = append(c.Offsets, end), append(c.Runs, 0)
		}
		follows := same && batches[i-1].producer == b.producer && batches[i-1].epoch == b.epoch && batches[i-1].transactional == b.transactional && (b.seq < 0 ||
			b.seq == AddSequence(batches[i-1].seq, int32(batches[i-1].records)))
		if !follows {
			c.Runs[len(c.Runs)-1]++
			c.ProducerIds, c.ProducerEpochs = append(c.ProducerIds, b.producer), append(c.ProducerEpochs, b.epoch)
			c.Sequences, c.Batches = append(c.Sequences, b.seq), append(c.Batches, 0)
			c.Transactional = append(c.Transactional, b.transactional)
		}
		c.Batches[len(c.Batches)-1]++
		c.Records, c.Bytes = append(c.Records, b.records), append(c.Bytes, b.bytes)
		c.MaxTimestamps = append(c.MaxTimestamps, b.delta)
		end += uint64(b.bytes)
	}
	if !slices.ContainsFunc(c.Transactional, func(v uint32) bool { return v != 0 }) {
		c.Transactional = nil
	}
	if flush != 0 {
		c.Size = end
	}
	return &pb.Command{Kind: &pb.Command_AppendBatches{AppendBatches: c}}
}

// base is the state's base, one string per record.
func base(tb fataler, s *State) []string {
	tb.Helper()
	var records []string
	if err := s.EncodeBase(func(r []byte) error { records = append(records, string(r)); return nil }); err != nil {
		tb.Fatalf("encode: %v", err)
	}
	return records
}

// reload is the state after a detour through its base.
func reload(tb fataler, s *State) *State {
	tb.Helper()
	l := NewLoader()
	for _, r := range base(tb, s) {
		if err := l.Add([]byte(r)); err != nil {
			tb.Fatalf("load: %v", err)
		}
	}
	loaded, err := l.State()
	if err != nil {
		tb.Fatalf("load: %v", err)
	}
	return loaded
}

// fataler is what *testing.T and *rapid.T have in common here.
type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}
