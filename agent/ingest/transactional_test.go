package ingest

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"wadi/agent/api"
	"wadi/internal/batch"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/session"
	"wadi/metadata/state"
)

// do proposes a command as the transaction coordinator does and returns what it did.
func (w *world) do(kind *pb.Command) (res state.Result) {
	w.t.Helper()
	w.view.Read(func(s *state.State) { kind.Base = s.Position() })
	if err := w.session.Do(w.ctx, kind, func(o session.Outcome) { res = *o.Result }); err != nil {
		w.t.Fatal(err)
	}
	if res.Code != state.OK {
		w.t.Fatalf("refused: %s", res.Code)
	}
	return res
}

func (w *world) begin() (pid int64, epoch int16) {
	r := w.do(&pb.Command{Kind: &pb.Command_InitProducer{InitProducer: &pb.InitProducer{TransactionalId: "id", TimeoutMs: 60_000}}})
	return r.ID, r.Epoch
}

func (w *world) end(pid int64, epoch int16, bump bool) (int64, int16) {
	r := w.do(&pb.Command{Kind: &pb.Command_EndTxn{EndTxn: &pb.EndTxn{ProducerId: pid, ProducerEpoch: int32(epoch), Commit: true, Bump: bump}}})
	return r.ID, r.Epoch
}

// batchOf is a batch of one record of a producer's.
func batchOf(t testing.TB, pid int64, epoch int16, seq int32, txn bool) []byte {
	t.Helper()
	var b batch.Builder
	b.Reset(batch.BuildOptions{ProducerID: pid, ProducerEpoch: epoch, BaseSequence: seq, Transactional: txn})
	if err := b.Append(batch.Record{Timestamp: time.Now().UnixMilli(), Value: []byte("v")}); err != nil {
		t.Fatal(err)
	}
	data, err := b.Build(nil)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func refusedWith(err error) state.Code {
	var refused *api.Refused
	if errors.As(err, &refused) {
		return refused.Code
	}
	return state.OK
}

// A transactional batch is one entry, as every quiet batch is: nobody is asked before, neither of TV2 clients, whose
// partitions join by it, nor of TV1 clients, whose partitions must be in (KIP-890, Semantics line 75).
func TestTransactionalProduceIsOneEntry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, testConfig())
		defer w.close()
		pid, epoch := w.begin()
		one := func(data []byte, joins bool) *api.ProducePart {
			t.Helper()
			w.appends.Store(0)
			p := w.sendBatch(1, 0, data, joins).wait()
			if n := w.appends.Load(); n != 1 {
				t.Errorf("%d entries", n)
			}
			return p
		}
		if p := one(batchOf(t, pid, epoch, 0, true), false); refusedWith(p.Err) != state.InvalidTxnState || p.BaseOffset != -1 {
			t.Errorf("not registered: %d, %v", p.BaseOffset, p.Err)
		}
		for range 3 { // transactions of TV2, each with an epoch and sequences of its own
			for seq := range int32(2) {
				if p := one(batchOf(t, pid, epoch, seq, true), true); p.Err != nil {
					t.Error(p.Err)
				}
			}
			pid, epoch = w.end(pid, epoch, true)
		}
		for seq := range int32(4) { // and of TV1, whose sequences go on
			if seq%2 == 0 {
				w.do(&pb.Command{Kind: &pb.Command_AddToTxn{AddToTxn: &pb.AddToTxn{
					ProducerId: pid, ProducerEpoch: int32(epoch), Topics: []uint64{w.topic}, Partitions: []uint32{0},
				}}})
			}
			if p := one(batchOf(t, pid, epoch, seq, true), false); p.Err != nil {
				t.Error(p.Err)
			}
			if seq%2 == 1 {
				w.end(pid, epoch, false)
			}
		}
		if got := w.calls(); got != "" || w.next(0) != 3*3+2*3 {
			t.Errorf("next offset %d, store calls %q", w.next(0), got)
		}
		p := one(batchOf(t, 99, 0, 0, true), true)
		if refusedWith(p.Err) != state.UnknownTxn {
			t.Errorf("nobody's producer id: %v", p.Err)
		}
	})
}

// A producer id whose epochs have run out is over with all of them: its transactional id goes on under another.
func TestProducerIDsEnd(t *testing.T) {
	r := newRig(t, testConfig())
	r.c.Opened(0, 1)
	r.produce("held", 1, time.Minute, "1/0 100 pid=7 epoch=32766 seq=3 joins")
	end := &pb.Entry{Commands: []*pb.Command{{Kind: &pb.Command_EndTxn{EndTxn: &pb.EndTxn{ProducerId: 7, ProducerEpoch: 32766}}}}}
	refused := &state.Results{Commands: []state.Result{{Code: state.InvalidTxnState, ID: 9}}}
	if r.c.Applied(0, end, refused, 0); r.take() != "" {
		t.Error("a command that was refused ends nothing")
	}
	r.c.Applied(0, end, &state.Results{Commands: []state.Result{{ID: 9}}}, 0)
	if got := r.take(); got != "propose inline 1/0:held(7.32766#3)\n  batches of runs [1], transactional [2]\n" {
		t.Error(got)
	}
}

// What is held for a gap when its epoch ends is refused at once, and what comes of an epoch that is over is not held at
// all; batches of the next epoch wait for their turn as before (DESIGN section 4).
func TestEpochsEndWhileBatchesAreHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, testConfig())
		defer w.close()
		pid, epoch := w.begin()
		if p := w.sendBatch(1, 0, batchOf(t, pid, epoch, 0, true), true).wait(); p.Err != nil {
			t.Fatal(p.Err)
		}
		began := time.Now()
		gap := w.sendBatch(1, 0, batchOf(t, pid, epoch, 5, true), true)
		elsewhere := w.sendBatch(1, 1, batchOf(t, pid, epoch, 5, true), true)
		time.Sleep(100 * time.Millisecond)
		_, next := w.begin() // another instance
		for _, s := range []*sent{gap, elsewhere} {
			if p := s.wait(); refusedWith(p.Err) != state.InvalidProducerEpoch || time.Since(began) != 100*time.Millisecond {
				t.Errorf("%v after %s", p.Err, time.Since(began))
			}
		}
		began = time.Now()
		if p := w.sendBatch(1, 0, batchOf(t, pid, epoch, 9, true), true).wait(); refusedWith(p.Err) != state.InvalidProducerEpoch || time.Since(began) != 0 {
			t.Errorf("of an epoch that is over: %v after %s", p.Err, time.Since(began))
		}
		second := w.sendBatch(1, 0, batchOf(t, pid, next, 1, true), true)
		time.Sleep(100 * time.Millisecond)
		first := w.sendBatch(2, 0, batchOf(t, pid, next, 0, true), true)
		if a, b := first.wait(), second.wait(); a.Err != nil || b.Err != nil || b.BaseOffset != a.BaseOffset+1 {
			t.Errorf("offsets %d, %d: %v, %v", a.BaseOffset, b.BaseOffset, a.Err, b.Err)
		}
		// The same with the end of a transaction, by its own producer.
		began = time.Now()
		gap = w.sendBatch(1, 0, batchOf(t, pid, next, 7, true), true)
		time.Sleep(100 * time.Millisecond)
		w.end(pid, next, true)
		if p := gap.wait(); refusedWith(p.Err) != state.InvalidProducerEpoch || time.Since(began) != 100*time.Millisecond {
			t.Errorf("%v after %s", p.Err, time.Since(began))
		}
	})
}
