package semantics

import (
	"fmt"
	"net"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/integration/rawbatch"
)

// transactor is a transactional producer on a connection of its own. It speaks as clients do before KIP-890 (tv 1:
// partitions are registered, an epoch lasts until the next InitProducerId) or since (tv 2: they register themselves, each
// EndTxn gives a new epoch).
type transactor struct {
	*client
	tv      int
	id      string
	pid     int64
	epoch   int16
	timeout int32
	next    map[string]int32 // sequences by topic and partition
}

// newTransactor has no producer id yet.
func newTransactor(t *testing.T, n *node, tv int, id string) *transactor {
	t.Helper()
	return &transactor{
		client: dial(t, n), tv: tv, id: id, pid: -1, epoch: -1, timeout: 60_000, next: map[string]int32{},
	}
}

// transactorOf has one.
func transactorOf(t *testing.T, n *node, tv int, id string) *transactor {
	t.Helper()
	x := newTransactor(t, n, tv, id)
	x.init()
	return x
}

// twin is the same producer on another connection, as after a client lost one.
func (x *transactor) twin(n *node) *transactor {
	other := *x
	other.client, other.next = dial(x.t, n), map[string]int32{}
	for k, v := range x.next {
		other.next[k] = v
	}
	return &other
}

// coordinator is the one of the nodes that coordinates a transactional id, once all agree.
func coordinator(t *testing.T, id string, nodes ...*node) (at *node) {
	t.Helper()
	req := kmsg.NewPtrFindCoordinatorRequest()
	req.CoordinatorType, req.CoordinatorKeys = 1, []string{id}
	clients := make([]*client, len(nodes))
	for i, n := range nodes {
		clients[i] = dial(t, n)
	}
	eventually(t, "all agree who coordinates "+id, func() bool {
		votes := map[string]int{}
		for _, c := range clients {
			got := ask[*kmsg.FindCoordinatorResponse](c, 4, req).Coordinators[0]
			votes[net.JoinHostPort(got.Host, strconv.Itoa(int(got.Port)))]++
		}
		for _, n := range nodes {
			if votes[n.addr] == len(nodes) {
				at = n
			}
		}
		return at != nil
	})
	return at
}

// bothVersions runs a test as both kinds of client, each with topics and ids of its own.
func bothVersions(t *testing.T, test func(t *testing.T, tv int)) {
	for tv := 1; tv <= 2; tv++ {
		t.Run(fmt.Sprintf("TV%d", tv), func(t *testing.T) { test(t, tv) })
	}
}

// settled asks what Apache Kafka may answer with CONCURRENT_TRANSACTIONS, until its coordinator has moved on. Here one
// command does all of it, and 51 is never sent.
func settled[R kmsg.Response](c *client, version int16, req kmsg.Request, code func(R) int16) R {
	c.t.Helper()
	resp := ask[R](c, version, req)
	require.NotEqualValues(c.t, 51, code(resp), "CONCURRENT_TRANSACTIONS")
	return resp
}

func initRequest(id string, timeout int32, pid int64, epoch int16) *kmsg.InitProducerIDRequest {
	req := kmsg.NewPtrInitProducerIDRequest()
	req.TransactionTimeoutMillis, req.ProducerID, req.ProducerEpoch = timeout, pid, epoch
	if id != "" {
		req.TransactionalID = &id
	}
	return req
}

func initProducer(c *client, version int16, req *kmsg.InitProducerIDRequest) *kmsg.InitProducerIDResponse {
	c.t.Helper()
	return settled(c, version, req, func(r *kmsg.InitProducerIDResponse) int16 { return r.ErrorCode })
}

// init fences whoever had the id before.
func (x *transactor) init() {
	x.t.Helper()
	resp := initProducer(x.client, 5, initRequest(x.id, x.timeout, -1, -1))
	require.Zero(x.t, resp.ErrorCode, "InitProducerId %s", x.id)
	x.became(resp.ProducerID, resp.ProducerEpoch)
}

// became takes an id and epoch over; sequences begin anew with an epoch.
func (x *transactor) became(pid int64, epoch int16) {
	if x.pid != pid || x.epoch != epoch {
		x.pid, x.epoch, x.next = pid, epoch, map[string]int32{}
	}
}

func (x *transactor) addRequest(to topic, partitions ...int32) *kmsg.AddPartitionsToTxnRequest {
	req := kmsg.NewPtrAddPartitionsToTxnRequest()
	req.TransactionalID, req.ProducerID, req.ProducerEpoch = x.id, x.pid, x.epoch
	in := kmsg.NewAddPartitionsToTxnRequestTopic()
	in.Topic, in.Partitions = to.name, partitions
	req.Topics = append(req.Topics, in)
	return req
}

// register adds partitions in a version that clients use; the answer has a code for each, in the order of the request.
func (x *transactor) register(to topic, partitions ...int32) (codes []int16) {
	x.t.Helper()
	return registered(x, 3, x.addRequest(to, partitions...))
}

// registered sends the request in one of the versions 0 to 3.
func registered(x *transactor, version int16, req *kmsg.AddPartitionsToTxnRequest) (codes []int16) {
	x.t.Helper()
	resp := settled(x.client, version, req, func(r *kmsg.AddPartitionsToTxnResponse) int16 {
		for _, t := range r.Topics {
			for _, p := range t.Partitions {
				if p.ErrorCode == 51 {
					return 51
				}
			}
		}
		return 0
	})
	return codesOf(req.Topics, resp.Topics)
}

// codesOf are the codes of an answer in the order of what was asked for.
func codesOf(asked []kmsg.AddPartitionsToTxnRequestTopic, got []kmsg.AddPartitionsToTxnResponseTopic) (codes []int16) {
	answered := map[string]int16{}
	for _, t := range got {
		for _, p := range t.Partitions {
			answered[fmt.Sprint(t.Topic, p.Partition)] = p.ErrorCode
		}
	}
	for _, in := range asked {
		for _, n := range in.Partitions {
			code, ok := answered[fmt.Sprint(in.Topic, n)]
			if !ok {
				code = -999
			}
			codes = append(codes, code)
		}
	}
	return codes
}

// write sends values to a partition that a TV1 client has registered.
func (x *transactor) write(to topic, partition int32, values ...string) produced {
	x.t.Helper()
	p := x.writeAt(x.produceVersion(), to, partition, values...)
	if p.ErrorCode == 0 {
		x.next[fmt.Sprint(to.name, partition)] += int32(len(values))
	}
	return p
}

func (x *transactor) produceVersion() int16 {
	if x.tv == 1 {
		return 11
	}
	return 12
}

// writeAt sends values with the next sequence in a version of Produce; the sequence is not used up.
func (x *transactor) writeAt(version int16, to topic, partition int32, values ...string) produced {
	x.t.Helper()
	return x.writeBatch(version, to, partition, x.batch(to, partition, values...))
}

// batch has the next sequence.
func (x *transactor) batch(to topic, partition int32, values ...string) []byte {
	return transactional(x.pid, x.epoch, x.next[fmt.Sprint(to.name, partition)], values...)
}

func (x *transactor) writeBatch(version int16, to topic, partition int32, batch []byte) produced {
	x.t.Helper()
	req := produceRequest(batch, to)
	req.TransactionID = &x.id
	req.Topics[0].Partitions[0].Partition = partition
	resp := settled(x.client, version, req, func(r *kmsg.ProduceResponse) int16 { return r.Topics[0].Partitions[0].ErrorCode })
	require.Len(x.t, resp.Topics, 1)
	require.Len(x.t, resp.Topics[0].Partitions, 1)
	return resp.Topics[0].Partitions[0]
}

// puts writes in the transaction what must be stored, with the registration that a TV1 client owes, and returns the
// offset.
func (x *transactor) puts(to topic, partition int32, values ...string) int64 {
	x.t.Helper()
	if x.tv == 1 {
		require.Equal(x.t, []int16{0}, x.register(to, partition))
	}
	p := x.write(to, partition, values...)
	require.Zero(x.t, p.ErrorCode, "produce to %s: %s", to.name, text(p.ErrorMessage))
	return p.BaseOffset
}

// transactional is a batch of a transaction.
func transactional(pid int64, epoch int16, seq int32, list ...string) []byte {
	return batchOf(func(b *kmsg.RecordBatch) {
		b.ProducerID, b.ProducerEpoch, b.FirstSequence, b.Attributes = pid, epoch, seq, 0x10
	}, rawbatch.Values(list...)...)
}

func (x *transactor) endRequest(commit bool) *kmsg.EndTxnRequest {
	req := kmsg.NewPtrEndTxnRequest()
	req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Commit = x.id, x.pid, x.epoch, commit
	return req
}

func ended(x *transactor, version int16, req *kmsg.EndTxnRequest) *kmsg.EndTxnResponse {
	x.t.Helper()
	return settled(x.client, version, req, func(r *kmsg.EndTxnResponse) int16 { return r.ErrorCode })
}

// endVersion is that of the client's kind.
func (x *transactor) endVersion() int16 {
	if x.tv == 1 {
		return 4
	}
	return 5
}

// end commits or aborts and takes the new epoch over.
func (x *transactor) end(commit bool) int16 {
	x.t.Helper()
	resp := ended(x, x.endVersion(), x.endRequest(commit))
	if resp.ErrorCode == 0 && x.tv == 2 {
		x.became(resp.ProducerID, resp.ProducerEpoch)
	}
	return resp.ErrorCode
}

// ends must succeed.
func (x *transactor) ends(commit bool) {
	x.t.Helper()
	require.Zero(x.t, x.end(commit), "EndTxn")
}

// addGroup sends AddOffsetsToTxn.
func (x *transactor) addGroup(version int16, group string) int16 {
	x.t.Helper()
	req := kmsg.NewPtrAddOffsetsToTxnRequest()
	req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Group = x.id, x.pid, x.epoch, group
	return settled(x.client, version, req, func(r *kmsg.AddOffsetsToTxnResponse) int16 { return r.ErrorCode }).ErrorCode
}

// offsetRequest commits one offset in the transaction, from outside of the group.
func (x *transactor) offsetRequest(group string, to topic, partition int32, offset int64) *kmsg.TxnOffsetCommitRequest {
	req := kmsg.NewPtrTxnOffsetCommitRequest()
	req.TransactionalID, req.ProducerID, req.ProducerEpoch = x.id, x.pid, x.epoch
	req.Group, req.Generation = group, -1
	in := kmsg.NewTxnOffsetCommitRequestTopic()
	in.Topic = to.name
	p := kmsg.NewTxnOffsetCommitRequestTopicPartition()
	p.Partition, p.Offset = partition, offset
	in.Partitions = append(in.Partitions, p)
	req.Topics = append(req.Topics, in)
	return req
}

func (x *transactor) offsetVersion() int16 {
	if x.tv == 1 {
		return 4
	}
	return 5
}

// commitOffset sends a TxnOffsetCommit and returns its only code.
func commitOffset(x *transactor, version int16, req *kmsg.TxnOffsetCommitRequest) int16 {
	x.t.Helper()
	code := func(r *kmsg.TxnOffsetCommitResponse) int16 { return r.Topics[0].Partitions[0].ErrorCode }
	resp := settled(x.client, version, req, code)
	require.Len(x.t, resp.Topics, 1)
	require.Len(x.t, resp.Topics[0].Partitions, 1)
	return code(resp)
}

// moves commits an offset in the transaction, with the registration that a TV1 client owes.
func (x *transactor) moves(group string, to topic, partition int32, offset int64) {
	x.t.Helper()
	if x.tv == 1 {
		require.Zero(x.t, x.addGroup(3, group))
	}
	require.Zero(x.t, commitOffset(x, x.offsetVersion(), x.offsetRequest(group, to, partition, offset)))
}
