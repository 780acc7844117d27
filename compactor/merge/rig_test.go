package merge

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"maps"
	"slices"

	"pgregory.net/rapid"

	"wadi/compactor/job"
	"wadi/integration/rawbatch"
	"wadi/internal/batch"
	"wadi/internal/kafkaconfig"
	"wadi/internal/layout"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/session"
	"wadi/metadata/state"
	"wadi/objstore"
	"wadi/objstore/fault"
	"wadi/objstore/mem"
	"wadi/objstore/segment"
)

// rig is a cluster of one process: a State that is driven by entries, a store, archives, and what every partition holds
// according to what was written alone.
type rig struct {
	t        rapid.TB
	s        *state.State
	position int64
	seq      uint64
	flush    uint64
	entries  map[int64][]byte // inline bytes
	journal  map[int64][]byte // those in memory
	mem      *mem.Store
	store    *fault.Store
	env      *job.Env
	task     *Task
	want     map[part][]batch.Batch
	stats    Stats // of all outputs
	configs  *kafkaconfig.Effective

	lose    func() fate // of the next proposal
	damaged map[string]bool
}

// fate of a proposal.
type fate int

const (
	answered   fate = iota
	lostBefore      // no answer, and no effect
	lostAfter       // no answer, although it had its effect
	late            // no answer, and its effect comes with the next one
)

var keys = layout.NewObjects("c", 1)

func newRig(t rapid.TB, c Config, partitions ...uint32) *rig {
	r := &rig{t: t, s: state.New(), position: 10, entries: map[int64][]byte{}, journal: map[int64][]byte{}, mem: mem.New(), want: map[part][]batch.Batch{}, lose: func() fate { return answered }}
	r.store = fault.New(r.mem, fault.WithTranscript(1<<20))
	r.configs = &kafkaconfig.Effective{Delete: true, RetentionMs: -1}
	p := &proposer{r: r}
	r.env = &job.Env{
		Session: p, Store: r.store, Archives: r, Objects: keys, Log: slog.New(slog.DiscardHandler),
		Inline:  func(position int64) []byte { return r.journal[position] },
		Barrier: func(context.Context) error { return nil }, Read: func(read func(*state.State)) { read(r.s) },
	}
	c.Observer.Output = func(s Stats) { r.stats.add(s) }
	r.task = New(r.env, c)
	r.apply(nil, &pb.Command{Kind: &pb.Command_InitCluster{InitCluster: &pb.InitCluster{ClusterId: "c", Incarnation: 1, FeatureLevel: 1}}},
		&pb.Command{Kind: &pb.Command_OpenSession{OpenSession: &pb.OpenSession{MinFeatureLevel: 1, MaxFeatureLevel: 1}}})
	for i, n := range partitions {
		r.create(string(rune('a'+i)), n)
	}
	return r
}

func (s *Stats) add(x Stats) {
	s.Objects, s.Reads, s.BytesRead, s.BytesWritten = s.Objects+x.Objects, s.Reads+x.Reads, s.BytesRead+x.BytesRead, s.BytesWritten+x.BytesWritten
	s.Memory, s.Ranges = max(s.Memory, x.Memory), s.Ranges+x.Ranges
	s.RunsBefore, s.RunsAfter, s.Conflicts, s.Skipped = s.RunsBefore+x.RunsBefore, s.RunsAfter+x.RunsAfter, s.Conflicts+x.Conflicts, s.Skipped+x.Skipped
}

// apply applies an entry, whose results are valid until the next one.
func (r *rig) apply(inline []byte, commands ...*pb.Command) []state.Result {
	r.t.Helper()
	r.seq++
	r.position += 2
	if len(inline) > 0 {
		r.entries[r.position], r.journal[r.position] = inline, inline
	}
	res := r.s.Apply(state.Entry{Position: r.position, Session: me, Seq: r.seq, Body: &pb.Entry{AtMs: 1000, Commands: commands, Inline: inline}})
	if res.Refused != state.OK {
		r.t.Fatalf("refused: %v", res.Refused)
	}
	return res.Commands
}

// create makes a topic; "b" has markers with the time of their appending.
func (r *rig) create(name string, partitions uint32) uint64 {
	c := &pb.CreateTopic{Name: name, Partitions: partitions}
	if name == "b" {
		c.Configs = []*pb.Config{{Name: "message.timestamp.type", Value: "LogAppendTime"}}
	}
	x := r.apply(nil, &pb.Command{Base: 1 << 40, Kind: &pb.Command_CreateTopic{CreateTopic: c}})[0]
	if x.Code != state.OK {
		r.t.Fatal(x.Code)
	}
	for i := range partitions {
		r.want[part{uint64(x.ID), i}] = nil
	}
	return uint64(x.ID)
}

// Inline implements job.Archives.
func (r *rig) Inline(_ context.Context, key string, _ uint64, position int64) ([]byte, error) {
	if key == "" {
		return nil, objstore.ErrNotFound // it left memory, and the archive is not known
	}
	if o, _, ok := r.s.Archive(position); !ok || o.Key(keys) != key {
		r.t.Fatalf("position %d is not in archive %q", position, key)
	}
	if r.damaged[key] {
		return nil, fmt.Errorf("archive %s: %w", key, objstore.ErrNotFound)
	}
	return bytes.Clone(r.entries[position]), nil
}

// written is a stretch of batches of one partition and one producer.
type written struct {
	part
	batches  []batch.Batch
	producer int64
	epoch    int32
	sequence int32
	txn      bool
}

// aBatch is one of some size whose base offset and leader epoch mean nothing.
func aBatch(records, size int, fill byte, ms int64) batch.Batch {
	var list []string
	for range records {
		list = append(list, string(bytes.Repeat([]byte{fill}, size)))
	}
	b := batch.Batch(rawbatch.Of(ms, nil, rawbatch.Values(list...)...))
	b.SetBaseOffset(int64(fill) << 20)
	return b
}

// write appends what is sorted by topic and partition, in the entry or in an object.
func (r *rig) write(inline bool, list ...written) {
	r.t.Helper()
	k := &pb.AppendBatches{}
	var sections []segment.Section
	at, last := uint64(0), int64(1000) // at_ms
	var data []byte
	for _, w := range list {
		k.Topics, k.Partitions, k.Offsets, k.Runs = append(k.Topics, w.topic), append(k.Partitions, w.partition), append(k.Offsets, at), append(k.Runs, 1)
		k.ProducerIds, k.ProducerEpochs, k.Sequences = append(k.ProducerIds, w.producer), append(k.ProducerEpochs, w.epoch), append(k.Sequences, w.sequence)
		k.Batches = append(k.Batches, uint32(len(w.batches)))
		txn := uint32(0)
		if w.txn {
			txn = 2
		}
		k.Transactional = append(k.Transactional, txn)
		s := segment.Section{Topic: [16]byte{byte(w.topic)}, Partition: int32(w.partition), BaseOffset: -1, MaxTimestamp: -1 << 62}
		for _, b := range w.batches {
			k.Records, k.Bytes = append(k.Records, uint32(b.NumRecords())), append(k.Bytes, uint32(len(b)))
			k.MaxTimestamps = append(k.MaxTimestamps, b.MaxTimestamp()-last)
			last = b.MaxTimestamp()
			at += uint64(len(b))
			data = append(data, b...)
			s.Chunks, s.Batches, s.Records, s.MaxTimestamp = append(s.Chunks, b), s.Batches+1, s.Records+int(b.NumRecords()), max(s.MaxTimestamp, b.MaxTimestamp())
		}
		sections = append(sections, s)
	}
	if !inline {
		body, positions, err := segment.Build(segment.Meta{Kind: segment.Flush, ClusterID: "c"}, sections)
		if err != nil {
			r.t.Fatal(err)
		}
		r.flush++
		k.Flush, k.Size, k.Offsets = r.flush, uint64(body.Size()), positions
		if err := r.mem.Put(context.Background(), keys.Flush(me, r.flush), body); err != nil {
			r.t.Fatal(err)
		}
		data = nil
	}
	results := r.apply(data, &pb.Command{Kind: &pb.Command_AppendBatches{AppendBatches: k}})[0]
	if results.Code != state.OK {
		r.t.Fatal(results.Code)
	}
	for _, w := range list {
		for _, b := range w.batches {
			if x := results.Batches[0]; x.Code == state.OK {
				b = bytes.Clone(b)
				b.SetBaseOffset(x.Base)
				b.SetPartitionLeaderEpoch(0)
				r.want[w.part] = append(r.want[w.part], b)
			}
			results.Batches = results.Batches[1:]
		}
	}
}

func (r *rig) archive() {
	r.apply(nil, &pb.Command{Kind: &pb.Command_Mark{Mark: &pb.Mark{}}})
	to := r.position
	x := r.apply(nil, &pb.Command{Kind: &pb.Command_Archived{Archived: &pb.Archived{From: r.s.ArchivedTo(), To: to, Session: int64(me), Head: to, Size: 1 << 20}}})
	if x[0].Code != state.OK {
		r.t.Fatal(x[0].Code)
	}
	clear(r.journal)
}

// endTxn ends the transaction of a producer and returns what it goes on as, which its markers carry (KIP-890).
func (r *rig) endTxn(id int64, epoch int32, commit bool) state.Result {
	x := r.apply(nil, &pb.Command{Base: 1 << 40, Kind: &pb.Command_EndTxn{EndTxn: &pb.EndTxn{ProducerId: id, ProducerEpoch: epoch, Commit: commit, Bump: true}}})[0]
	if x.Code != state.OK {
		r.t.Fatal(x.Code)
	}
	for i, p := range x.Touched {
		at := part{p.Topic, uint32(p.Partition)}
		m := batch.Marker{
			Base: x.Batches[i].Base, ProducerID: id, Epoch: x.Epoch, Ms: 1000, Commit: commit,
			AppendTime: r.s.StampsAppendTime(r.s.TopicByNumber(p.Topic)),
		}
		r.want[at] = append(r.want[at], m.AppendTo(nil))
	}
	return x
}

// pass runs one pass of the task.
func (r *rig) pass(ctx context.Context) (bool, error) {
	return r.task.Pass(ctx, &job.View{State: r.s.Freeze(), Now: 5000, Configs: func(*state.Topic) *kafkaconfig.Effective { return r.configs }})
}

// settle runs passes until there is nothing to do, in two turns.
func (r *rig) settle() {
	r.t.Helper()
	passes := 0
	for idle := 0; idle < 2; {
		more, err := r.pass(context.Background())
		if err != nil {
			r.t.Fatal(err)
		}
		if idle++; more {
			idle = 0
		}
		if passes++; passes > 500 {
			r.t.Fatal("no end")
		}
	}
}

// check reads every partition the simple way and compares it with what was written, batch by batch.
func (r *rig) check() {
	r.t.Helper()
	if err := r.s.Check(); err != nil {
		r.t.Fatal(err)
	}
	for p, want := range r.want {
		x := r.s.TopicByNumber(p.topic).Partition(int32(p.partition))
		first := int64(-1)
		var got []batch.Batch
		x.EachRun(func(run state.Run) {
			if first < 0 {
				first = run.Base
			}
			got = append(got, r.read(p, run)...)
		})
		if first >= 0 { // what lies below was trimmed and swept
			want = want[slices.IndexFunc(want, func(b batch.Batch) bool { return b.BaseOffset() == first }):]
		} else {
			want = nil
		}
		if len(got) != len(want) {
			r.t.Fatalf("%v: %d batches, want %d", p, len(got), len(want))
		}
		for i := range want {
			if !bytes.Equal(got[i], want[i]) {
				r.t.Fatalf("%v: batch %d at offset %d (want %d) differs", p, i, got[i].BaseOffset(), want[i].BaseOffset())
			}
		}
	}
}

// read is a run's batches, with the offsets that they have. What is damaged reads as what was written.
func (r *rig) read(p part, run state.Run) (list []batch.Batch) {
	r.t.Helper()
	if run.Marker() {
		return []batch.Batch{run.MarkerBatch().AppendTo(nil)}
	}
	var data []byte
	if run.Inline() {
		data = r.entries[int64(run.Place)][run.Offset : run.Offset+run.Length]
	} else {
		o, ok := r.s.Object(run.Place)
		if !ok {
			r.t.Fatalf("run in unknown object: %+v", run)
		}
		var err error
		if data, err = r.mem.Get(context.Background(), o.Key(keys), int64(run.Offset), int64(run.Length)); err != nil {
			r.t.Fatal(err)
		}
	}
	data = bytes.Clone(data)
	newest, next := int64(-1<<62), run.Base
	for len(data) > 0 {
		b, rest, err := batch.Split(data)
		if err != nil {
			r.t.Fatal(err)
		}
		if !run.Placed() {
			b.SetBaseOffset(next)
			b.SetPartitionLeaderEpoch(0)
		}
		next = b.LastOffset() + 1
		newest = max(newest, b.MaxTimestamp())
		list, data = append(list, b), rest
	}
	if next != run.Last+1 || newest != run.MaxTimestamp {
		r.t.Fatalf("%v: run %+v ends at %d, newest timestamp %d", p, run, next-1, newest)
	}
	return list
}

// objects are the keys of a kind that the store holds.
func (r *rig) objects(part string) (list []string) {
	for after := ""; ; {
		page, err := r.mem.List(context.Background(), "", after, 1000)
		if err != nil {
			r.t.Fatal(err)
		}
		for _, i := range page {
			if after = i.Key; bytes.Contains([]byte(i.Key), []byte(part)) {
				list = append(list, i.Key)
			}
		}
		if len(page) < 1000 {
			return list
		}
	}
}

func (r *rig) parts() []part {
	return slices.SortedFunc(maps.Keys(r.want), func(a, b part) int {
		if a.topic != b.topic {
			return int(a.topic) - int(b.topic)
		}
		return int(a.partition) - int(b.partition)
	})
}

// proposer applies commands at once, or loses them.
type proposer struct {
	r     *rig
	later []*pb.Command
}

func (p *proposer) Current() (layout.Session, int32, bool) { return me, 0, true }

func (p *proposer) Propose(x *session.Proposal) {
	f := p.r.lose()
	if f == late {
		p.later = append(p.later, x.Command)
	}
	if f == lostBefore || f == late {
		x.Done(session.Outcome{Err: session.ErrUnknown})
		return
	}
	for _, c := range p.later {
		p.r.apply(nil, c)
	}
	p.later = nil
	res := p.r.apply(nil, x.Command)
	if f == lostAfter {
		x.Done(session.Outcome{Err: session.ErrUnknown})
		return
	}
	x.Done(session.Outcome{Position: p.r.position, Result: &res[0]})
}

// sealed is a batch of a transaction's producer.
func sealed(b batch.Batch, producer int64, epoch int16) batch.Batch {
	b[22] |= 0x10
	binary.BigEndian.PutUint64(b[43:], uint64(producer))
	binary.BigEndian.PutUint16(b[51:], uint16(epoch))
	return rawbatch.Sealed(b)
}
