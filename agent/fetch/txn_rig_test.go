package fetch

import (
	"context"
	"strconv"

	"wadi/internal/batch"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/state"
	"wadi/objstore"
)

// producer is a transactional one as a client sees it.
type producer struct {
	name  string
	id    int64
	epoch int16
	seqs  map[int32]int32 // next, by partition
}

// producer gets an id and an epoch, which aborts what was open under the name.
func (r *rig) producer(name string) *producer {
	r.apply(nil, &pb.Command{Base: r.v.position, Kind: &pb.Command_InitProducer{
		InitProducer: &pb.InitProducer{TransactionalId: name, TimeoutMs: 60_000},
	}})
	p := &producer{name: name}
	r.refresh(p)
	return p
}

func (r *rig) refresh(p *producer) {
	r.v.Read(func(s *state.State) {
		t := s.Txn(p.name)
		p.id, p.epoch, p.seqs = t.ProducerID, t.Epoch, map[int32]int32{}
	})
}

// end ends the producer's transaction, which gives it its next epoch.
func (r *rig) end(p *producer, commit bool) {
	r.apply(nil, &pb.Command{Base: r.v.position, Kind: &pb.Command_EndTxn{
		EndTxn: &pb.EndTxn{ProducerId: p.id, ProducerEpoch: int32(p.epoch), Commit: commit, Bump: true},
	}})
	r.refresh(p)
}

// write appends a batch of n records with their offsets as values, in the producer's transaction or, with nil, outside.
func (r *rig) write(p *producer, partition int32, n int, ms int64, inline bool) batch.Batch {
	opts, id, epoch, seq, txn := batch.NoProducer(batch.None), int64(-1), int16(-1), int32(-1), uint32(0)
	if p != nil {
		id, epoch, seq, txn = p.id, p.epoch, p.seqs[partition], 2
		opts = batch.BuildOptions{ProducerID: id, ProducerEpoch: epoch, BaseSequence: seq, Transactional: true}
		p.seqs[partition] += int32(n)
	}
	base := int64(0)
	r.v.Read(func(s *state.State) { base = s.TopicByNumber(1).Partition(partition).Next })
	var w batch.Builder
	w.Reset(opts)
	for i := range n {
		if err := w.Append(batch.Record{Timestamp: ms, Value: strconv.AppendInt(nil, base+int64(i), 10)}); err != nil {
			r.t.Fatal(err)
		}
	}
	b, err := w.Build(nil)
	if err != nil {
		r.t.Fatal(err)
	}
	a := &pb.AppendBatches{
		Topics: []uint64{1}, Partitions: []uint32{uint32(partition)}, Offsets: []uint64{0}, Runs: []uint32{1},
		ProducerIds: []int64{id}, ProducerEpochs: []int32{int32(epoch)}, Sequences: []int32{seq}, Batches: []uint32{1},
		Records: []uint32{uint32(n)}, Bytes: []uint32{uint32(len(b))}, MaxTimestamps: []int64{ms - 1_000_000}, Transactional: []uint32{txn},
	}
	cmd := &pb.Command{Kind: &pb.Command_AppendBatches{AppendBatches: a}}
	if inline {
		r.apply(append([]byte(nil), b...), cmd)
	} else {
		r.flush++
		a.Flush, a.Size = r.flush, uint64(len(b))
		if err := r.mem.Put(context.Background(), objects.Flush(alice, r.flush), objstore.NewBody(append([]byte(nil), b...))); err != nil {
			r.t.Fatal(err)
		}
		r.apply(nil, cmd)
	}
	x := batch.Batch(b)
	x.SetBaseOffset(base)
	x.SetPartitionLeaderEpoch(0)
	return x
}

// trim moves a log start.
func (r *rig) trim(partition int32, to int64) {
	r.apply(nil, &pb.Command{Base: r.v.position, Kind: &pb.Command_TrimPartitions{
		TrimPartitions: &pb.TrimPartitions{Topics: []uint64{1}, Partitions: []uint32{uint32(partition)}, Offsets: []int64{to}},
	}})
}
