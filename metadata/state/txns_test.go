package state

import (
	"fmt"
	"slices"
	"testing"

	"wadi/internal/layout"
	pb "wadi/metadata/metadatapb"
)

func initTxn(name string, base int64) *pb.Command {
	return &pb.Command{Base: base, Kind: &pb.Command_InitProducer{InitProducer: &pb.InitProducer{TransactionalId: name, TimeoutMs: 60_000}}}
}

func resumeTxn(name string, base, pid int64, epoch int16) *pb.Command {
	c := initTxn(name, base)
	k := c.GetInitProducer()
	k.Resume, k.ProducerId, k.ProducerEpoch = true, pid, int32(epoch)
	return c
}

func addToTxn(base, pid int64, epoch int16, partitions []PartRef, groups ...string) *pb.Command {
	k := &pb.AddToTxn{ProducerId: pid, ProducerEpoch: int32(epoch), Groups: groups}
	for _, p := range partitions {
		k.Topics, k.Partitions = append(k.Topics, p.Topic), append(k.Partitions, p.Partition)
	}
	return &pb.Command{Base: base, Kind: &pb.Command_AddToTxn{AddToTxn: k}}
}

func txnOffset(base, pid int64, epoch int16, group string, topic uint64, partition uint32, offset int64) *pb.Command {
	return &pb.Command{Base: base, Kind: &pb.Command_CommitTxnOffsets{CommitTxnOffsets: &pb.CommitTxnOffsets{
		ProducerId: pid, ProducerEpoch: int32(epoch), Implicit: true, Offsets: &pb.CommitOffsets{
			Group: group, Generation: -1, Topics: []uint64{topic}, Partitions: []uint32{partition}, Offsets: []int64{offset},
		},
	}}}
}

// How a transaction may be ended: by clients before and since KIP-890, and by others.
const (
	plainly = iota
	bumping
	fencing
)

func endTxn(base, pid int64, epoch int16, commit bool, how int) *pb.Command {
	return &pb.Command{Base: base, Kind: &pb.Command_EndTxn{EndTxn: &pb.EndTxn{
		ProducerId: pid, ProducerEpoch: int32(epoch), Commit: commit, Bump: how == bumping, Fence: how == fencing,
	}}}
}

// inTxn is a transactional batch that joins its partition.
func inTxn(topic uint64, partition uint32, pid int64, epoch int16, seq int32, records uint32) batch {
	return batch{
		topic: topic, partition: partition, producer: pid, epoch: int32(epoch), seq: seq, records: records, bytes: 10 * records, transactional: 2,
	}
}

// ready has a topic of three partitions and a transactional id; it returns its producer id.
func ready(t *testing.T) (*journal, uint64, int64) {
	j := newJournal(t)
	topic := uint64(j.must(alice, createTopic("a", 3, 0)))
	return j, topic, j.must(alice, initTxn("t", j.position))
}

func (j *journal) result(session layout.Session, inline int, c *pb.Command) Result {
	j.tb.Helper()
	r := j.apply(session, make([]byte, inline), c)
	if r.Refused != OK {
		j.tb.Fatalf("refused: %v", r.Refused)
	}
	c0 := r.Commands[0]
	c0.Batches, c0.Touched = slices.Clone(c0.Batches), slices.Clone(c0.Touched)
	return c0
}

// One command ends a transaction over all its partitions and groups (DESIGN, "Keep at any price", 5).
func TestEndTxnIsOneCommand(t *testing.T) {
	for _, commit := range []bool{true, false} {
		j, topic, pid := ready(t)
		j.result(alice, 30, appendBatches(0, inTxn(topic, 0, pid, 0, 0, 1), inTxn(topic, 2, pid, 0, 0, 2)))
		j.must(bob, txnOffset(j.position, pid, 0, "g", topic, 1, 7))
		g := j.s.Group("g")
		if _, ok := g.Offset(topic, 1); ok || !j.s.OffsetPending(g, topic, 1) || j.s.OffsetPending(g, topic, 0) {
			t.Fatal("a pending position is not, or shows")
		}
		for i, want := range []int64{0, 0, 0} {
			if got := j.s.Topic("a").Partition(int32(i)).LSO(); got != want {
				t.Errorf("partition %d is stable to %d, want %d", i, got, want)
			}
		}
		r := j.result(alice, 0, endTxn(j.position, pid, 0, commit, bumping))
		if r.Code != OK || r.ID != pid || r.Epoch != 1 ||
			fmt.Sprint(r.Touched) != fmt.Sprint([]PartRef{{topic, 0}, {topic, 2}}) || r.Batches[0].Base != 1 || r.Batches[1].Base != 2 {
			t.Fatalf("commit %v: %+v", commit, r)
		}
		for i, end := range []int64{2, 0, 3} {
			p := j.s.Topic("a").Partition(int32(i))
			if p.LSO() != end || p.Next != end || (len(p.Aborted(0, end, nil)) == 1) != (!commit && end > 0) {
				t.Errorf("commit %v: partition %d stable to %d, ends at %d, aborted %v", commit, i, p.LSO(), p.Next, p.Aborted(0, end, nil))
			}
		}
		o, ok := j.s.Group("g").Offset(topic, 1)
		if ok != commit || commit && o.Offset != 7 || j.s.OffsetPending(j.s.Group("g"), topic, 1) {
			t.Errorf("commit %v: position %+v %v", commit, o, ok)
		}
	}
}

// Semantics line 27: what was aborted is no duplicate of what comes in its place, also when the epoch goes on.
func TestAbortedBatchIsNoDuplicate(t *testing.T) {
	j, topic, pid := ready(t)
	j.result(alice, 10, appendBatches(0, inTxn(topic, 0, pid, 0, 0, 1)))
	j.must(alice, endTxn(j.position, pid, 0, false, plainly))
	if r := j.result(alice, 10, appendBatches(0, inTxn(topic, 0, pid, 0, 0, 1))); r.Batches[0].Code != OutOfOrderSequence {
		t.Errorf("the aborted batch again: %+v", r.Batches[0])
	}
	if r := j.result(alice, 10, appendBatches(0, inTxn(topic, 0, pid, 0, 1, 1))); r.Batches[0].Code != OK || r.Batches[0].Base != 2 {
		t.Errorf("the next batch: %+v", r.Batches[0])
	}
	if r := j.result(alice, 10, appendBatches(0, inTxn(topic, 0, pid, 0, 1, 1))); r.Batches[0].Code != Duplicate || r.Batches[0].Base != 2 {
		t.Errorf("the next batch again: %+v", r.Batches[0])
	}
}

// Semantics lines 76, 78: the same end again, as its answer was lost.
func TestEndTxnAgain(t *testing.T) {
	for _, c := range []struct {
		name      string
		how       int
		commit    bool
		again     int
		direction bool
		want      Code
		epoch     int16
	}{
		{"commit", plainly, true, plainly, true, OK, 0},
		{"abort", plainly, false, plainly, false, OK, 0},
		{"commit, then abort", plainly, true, plainly, false, InvalidTxnState, 0},
		{"abort, then commit", plainly, false, plainly, true, InvalidTxnState, 0},
		{"commit with epochs", bumping, true, bumping, true, OK, 1},
		{"abort with epochs", bumping, false, bumping, false, OK, 1},
		{"commit, then abort, with epochs", bumping, true, bumping, false, InvalidTxnState, 1},
		{"commit, then commit with epochs", plainly, true, bumping, true, InvalidTxnState, 0},
		{"commit, then an empty abort with epochs", plainly, true, bumping, false, OK, 1},
		{"overdue, then commit", fencing, false, bumping, true, ProducerFenced, 1}, // Semantics line 79
		{"overdue, then abort with epochs", fencing, false, bumping, false, OK, 1},
		{"overdue, then abort", fencing, false, plainly, false, ProducerFenced, 1},
	} {
		j, topic, pid := ready(t)
		j.result(alice, 10, appendBatches(0, inTxn(topic, 0, pid, 0, 0, 1)))
		j.must(alice, endTxn(j.position, pid, 0, c.commit, c.how))
		r := j.result(alice, 0, endTxn(j.position, pid, 0, c.direction, c.again))
		if r.Code != c.want || r.Epoch != c.epoch || len(r.Touched) != 0 {
			t.Errorf("%s: %+v, want %v, epoch %d", c.name, r, c.want, c.epoch)
		}
		if p := j.s.Topic("a").Partition(0); p.Next != 2 {
			t.Errorf("%s: %d offsets", c.name, p.Next)
		}
	}
}

// Likewise when the late command is of the session that ended k, or arrived between the end of k and the beginning of
// k+1: the epoch does not tell the two apart, their beginnings do.
func TestLateCommandsMeetNoLaterTransaction(t *testing.T) {
	j, topic, pid := ready(t)
	j.must(alice, addToTxn(j.position, pid, 0, []PartRef{{topic, 0}}))
	before := j.position
	j.must(alice, endTxn(before, pid, 0, true, plainly))
	between := j.position
	j.must(bob, addToTxn(j.position, pid, 0, []PartRef{{topic, 1}}, "g"))
	for _, base := range []int64{before, between} {
		position := txnOffset(base, pid, 0, "g", topic, 0, 1)
		position.GetCommitTxnOffsets().Implicit = false
		for _, c := range []*pb.Command{position, endTxn(base, pid, 0, true, plainly), endTxn(base, pid, 0, false, plainly)} {
			if r := j.result(alice, 0, c); r.Code != Conflict || j.s.Txn("t").Status != TxnOngoing {
				t.Errorf("%v: %v", c, r.Code)
			}
		}
	}
}

// What was found to be overdue is aborted, and not what its client has begun since, whoever proposes.
func TestFenceMeetsOneTransactionAlone(t *testing.T) {
	j, topic, pid := ready(t)
	j.must(alice, addToTxn(j.position, pid, 0, []PartRef{{topic, 0}}))
	seen := j.position
	j.must(alice, endTxn(j.position, pid, 0, true, plainly))
	j.must(alice, addToTxn(j.position, pid, 0, []PartRef{{topic, 1}}))
	if r := j.result(alice, 0, endTxn(seen, pid, 0, false, fencing)); r.Code != Conflict || j.s.Txn("t").Status != TxnOngoing {
		t.Errorf("%+v", r)
	}
	if r := j.result(alice, 0, endTxn(j.position, pid, 0, false, fencing)); r.Code != OK || r.Epoch != 1 {
		t.Errorf("%+v", r)
	}
}

// A request that was overtaken by one of another session undoes nothing: a late end of transaction k does not end k+1.
func TestLateEndTxn(t *testing.T) {
	j, topic, pid := ready(t)
	j.must(alice, addToTxn(j.position, pid, 0, []PartRef{{topic, 0}}))
	arrived := j.position
	j.must(alice, endTxn(j.position, pid, 0, true, plainly))
	j.must(alice, addToTxn(j.position, pid, 0, []PartRef{{topic, 1}}))
	for _, late := range []*pb.Command{
		endTxn(arrived, pid, 0, true, plainly), addToTxn(arrived, pid, 0, []PartRef{{topic, 2}}), txnOffset(arrived, pid, 0, "g", topic, 0, 1),
		initTxn("t", arrived),
	} {
		if r := j.result(bob, 0, late); r.Code != Conflict {
			t.Errorf("%v: %v", late, r.Code)
		}
	}
	if x := j.s.Txn("t"); x.Status != TxnOngoing || x.Partitions() != 1 {
		t.Errorf("%+v", x)
	}
}

// Semantics lines 70 to 72: a new producer fences, in one step; one that goes on is told its epoch again.
func TestInitProducerFences(t *testing.T) {
	j, topic, pid := ready(t)
	j.result(alice, 10, appendBatches(0, inTxn(topic, 0, pid, 0, 0, 1)))
	r := j.result(bob, 0, initTxn("t", j.position))
	if r.Code != OK || r.ID != pid || r.Epoch != 1 || len(r.Touched) != 1 {
		t.Fatalf("%+v", r)
	}
	if r := j.result(alice, 10, appendBatches(0, inTxn(topic, 0, pid, 0, 1, 1))); r.Batches[0].Code != InvalidProducerEpoch {
		t.Errorf("the fenced producer's batch: %v", r.Batches[0].Code)
	}
	for _, late := range []*pb.Command{
		endTxn(j.position, pid, 0, true, bumping), endTxn(j.position, pid, 0, false, bumping),
		addToTxn(j.position, pid, 0, []PartRef{{topic, 0}}), txnOffset(j.position, pid, 0, "g", topic, 0, 1), resumeTxn("t", j.position, pid, 0),
	} {
		if r := j.result(alice, 0, late); r.Code != ProducerFenced {
			t.Errorf("%v: %v", late, r.Code)
		}
	}
	for range 2 { // KIP-360: going on raises the epoch once, however often it is asked
		if r := j.result(bob, 0, resumeTxn("t", j.position, pid, 1)); r.Code != OK || r.Epoch != 2 {
			t.Errorf("%+v", r)
		}
	}
	j.must(bob, addToTxn(j.position, pid, 2, []PartRef{{topic, 0}}))
	if r := j.result(bob, 0, resumeTxn("t", j.position, pid, 1)); r.Code != ProducerFenced {
		t.Errorf("an answer lost long ago: %+v", r)
	}
	if r := j.result(alice, 0, resumeTxn("t", j.position, pid+100, 0)); r.Code != ProducerFenced {
		t.Errorf("another producer id: %+v", r)
	}
}

// Semantics line 71: behind epoch 32766 comes a new producer id.
func TestEpochsRunOut(t *testing.T) {
	for _, how := range []string{"init", "resume", "commit", "overdue"} {
		j, topic, pid := ready(t)
		j.s.editTxn(j.s.Txn("t").Number).Epoch = MaxProducerEpoch
		j.result(alice, 10, appendBatches(0, inTxn(topic, 0, pid, MaxProducerEpoch, 0, 1)))
		c := map[string]*pb.Command{
			"init": initTxn("t", j.position), "resume": resumeTxn("t", j.position, pid, MaxProducerEpoch),
			"commit": endTxn(j.position, pid, MaxProducerEpoch, true, bumping), "overdue": endTxn(j.position, pid, MaxProducerEpoch, false, fencing),
		}[how]
		r := j.result(alice, 0, c)
		if r.Code != OK || r.ID == pid || r.Epoch != 0 || len(r.Touched) != 1 {
			t.Fatalf("%s: %+v", how, r)
		}
		next := r.ID
		if how == "commit" {
			if r := j.result(alice, 0, c); r.Code != OK || r.ID != next || r.Epoch != 0 {
				t.Errorf("commit again: %+v", r)
			}
		}
		if r := j.result(alice, 10, appendBatches(0, inTxn(topic, 0, pid, MaxProducerEpoch, 1, 1))); r.Batches[0].Code != InvalidProducerEpoch {
			t.Errorf("%s: under the old id: %v", how, r.Batches[0].Code)
		}
		if r := j.result(alice, 10, appendBatches(0, inTxn(topic, 0, next, 0, 0, 1))); r.Batches[0].Code != OK {
			t.Errorf("%s: under the new id: %v", how, r.Batches[0].Code)
		}
		if err := j.s.Check(); err != nil {
			t.Errorf("%s: %v", how, err)
		}
	}
}

// Semantics lines 75, 77, 82: who may append, transactions without records, and partitions that are gone by the end.
func TestTransactionsAndPartitions(t *testing.T) {
	j, topic, pid := ready(t)
	older := inTxn(topic, 0, pid, 0, 0, 1)
	older.transactional = 1
	outside := older
	outside.transactional = 0
	if r := j.result(alice, 10, appendBatches(0, older)); r.Batches[0].Code != InvalidTxnState {
		t.Errorf("a partition that is not in: %v", r.Batches[0].Code)
	}
	j.must(alice, addToTxn(j.position, pid, 0, []PartRef{{topic, 0}, {topic, 1}}, "g"))
	if r := j.result(alice, 10, appendBatches(0, outside)); r.Batches[0].Code != InvalidTxnState {
		t.Errorf("outside of the open transaction: %v", r.Batches[0].Code)
	}
	if r := j.result(alice, 10, appendBatches(0, older)); r.Batches[0].Code != OK {
		t.Errorf("in the transaction: %v", r.Batches[0].Code)
	}
	unknown := inTxn(topic, 0, pid+100, 0, 0, 1)
	if r := j.result(alice, 10, appendBatches(0, unknown)); r.Batches[0].Code != UnknownTxn {
		t.Errorf("an unknown producer: %v", r.Batches[0].Code)
	}
	if r := j.result(alice, 0, addToTxn(j.position, pid, 0, []PartRef{{topic, 2}, {topic, 3}})); r.Code != UnknownTopic || j.s.Txn("t").HasPartition(topic, 2) {
		t.Errorf("with a partition that is not there: %v", r.Code)
	}
	other := uint64(j.must(alice, createTopic("b", 1, j.position)))
	j.result(alice, 10, appendBatches(0, inTxn(other, 0, pid, 0, 0, 1)))
	j.must(bob, deleteTopic(other, j.position))
	again := uint64(j.must(bob, createTopic("b", 1, j.position)))
	r := j.result(alice, 0, endTxn(j.position, pid, 0, true, plainly))
	if r.Code != OK || fmt.Sprint(r.Touched) != fmt.Sprint([]PartRef{{topic, 0}}) || j.s.TopicByNumber(again).Partition(0).Next != 0 {
		t.Errorf("%+v", r)
	}
	j.must(alice, addToTxn(j.position, pid, 0, []PartRef{{topic, 0}}))
	if r := j.result(alice, 0, endTxn(j.position, pid, 0, true, plainly)); r.Code != OK || len(r.Touched) != 0 {
		t.Errorf("a transaction without records: %+v", r)
	}
}

// Semantics line 66, 80: nothing that is pending or open expires, whatever its age.
func TestOpenTransactionsDoNotExpire(t *testing.T) {
	j, topic, pid := ready(t)
	j.must(alice, txnOffset(j.position, pid, 0, "g", topic, 0, 3))
	const later = 1 << 50
	expire := []*pb.Command{
		{Kind: &pb.Command_ExpireTxns{ExpireTxns: &pb.ExpireTxns{BeforeMs: later, ProducerIds: []int64{pid}}}},
		{Kind: &pb.Command_ExpireOffsets{ExpireOffsets: &pb.ExpireOffsets{Group: "g", BeforeMs: later, Topics: []uint64{topic}, Partitions: []uint32{0}}}},
	}
	for _, c := range expire {
		j.must(bob, c)
	}
	if j.s.Txn("t") == nil || j.s.Group("g") == nil {
		t.Fatal("expired while open")
	}
	j.must(alice, endTxn(j.position, pid, 0, true, bumping))
	if o, ok := j.s.Group("g").Offset(topic, 0); !ok || o.Offset != 3 {
		t.Errorf("%+v %v", o, ok)
	}
	for _, c := range expire {
		j.must(bob, c)
	}
	if j.s.Txn("t") != nil || j.s.TxnByProducer(pid) != nil || j.s.Group("g") != nil {
		t.Error("still there")
	}
}

// A group that is deleted takes with it what open transactions hold for it; made anew it gets nothing of theirs.
func TestDeletedGroupLosesPendingPositions(t *testing.T) {
	j, topic, pid := ready(t)
	j.must(alice, txnOffset(j.position, pid, 0, "g", topic, 0, 3))
	j.must(bob, &pb.Command{Base: j.position, Kind: &pb.Command_DeleteGroup{DeleteGroup: &pb.DeleteGroup{Group: "g"}}})
	j.must(bob, &pb.Command{Base: j.position, Kind: &pb.Command_CommitOffsets{CommitOffsets: &pb.CommitOffsets{
		Group: "g", Generation: -1, Topics: []uint64{topic}, Partitions: []uint32{0}, Offsets: []int64{9},
	}}})
	j.must(alice, endTxn(j.position, pid, 0, true, bumping))
	if o, _ := j.s.Group("g").Offset(topic, 0); o.Offset != 9 {
		t.Errorf("%+v", o)
	}
}

// The last stable offset follows the earliest open transaction, and is where a run begins.
func TestLastStableOffset(t *testing.T) {
	j, topic, pid := ready(t)
	other := j.must(alice, initTxn("u", j.position))
	p := func() *Partition { return j.s.Topic("a").Partition(0) }
	j.result(alice, 60, appendBatches(0, plain(topic, 0, 2), inTxn(topic, 0, pid, 0, 0, 1), plain(topic, 0, 1), inTxn(topic, 0, other, 0, 0, 1)))
	for _, step := range []struct {
		command *pb.Command
		lso     int64
	}{
		{nil, 2},
		{endTxn(j.position, other, 0, true, plainly), 2},
		{&pb.Command{Base: j.position, Kind: trimPartitions(j.position, trim{topic, 0, 3}).Kind}, 3},
		{endTxn(j.position, pid, 0, false, plainly), 7},
	} {
		if step.command != nil {
			step.command.Base = j.position
			j.result(alice, 0, step.command)
		}
		if p().LSO() != step.lso {
			t.Errorf("after %v stable to %d, want %d", step.command, p().LSO(), step.lso)
		}
	}
	if got := p().Aborted(3, 7, nil); len(got) != 1 || got[0].First != 2 || got[0].Last != 6 {
		t.Errorf("aborted %+v", got)
	}
}
