package semantics

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Semantics line 74: a partition that does not exist fails with its code, and with it the whole request: the others were
// not attempted, and none of them is registered.
func TestLine74BadPartitions(t *testing.T) {
	t.Parallel()
	n := shared(t)
	c := dial(t, n)
	to := create(c, "line74", 3)
	x := transactorOf(t, n, 1, "line74")
	for version := range int16(4) {
		req := x.addRequest(to, 0, 7, 1)
		other := kmsg.NewAddPartitionsToTxnRequestTopic()
		other.Topic, other.Partitions = "line74-unheard-of", []int32{0}
		req.Topics = append(req.Topics, other)
		require.Equal(t, []int16{55, 3, 55, 3}, registered(x, version, req), "version %d", version)
	}
	require.EqualValues(t, 48, x.end(true), "nothing is open")
	for version := range int16(4) {
		require.Equal(t, []int16{0, 0}, registered(x, version, x.addRequest(to, 0, 2)), "version %d", version)
	}
	require.Equal(t, []int16{0}, x.register(to, 2), "registered already")
	require.Zero(t, x.write(to, 0, "a").ErrorCode)
	require.Zero(t, x.write(to, 2, "b").ErrorCode)
	require.EqualValues(t, 120, x.write(to, 1, "c").ErrorCode)
	x.ends(true)
	require.Equal(t, []string{"a"}, committedValues(c, to, 0))
	require.Empty(t, committedValues(c, to, 1))
	require.Equal(t, []string{"b"}, committedValues(c, to, 2))
}

// Semantics line 74: a registration that was acknowledged is known to every agent, and outlives them all.
func TestLine74RegistrationsLast(t *testing.T) {
	t.Parallel()
	cl := newCluster(t)
	a, b := cl.start(t, nil), cl.start(t, nil)
	to := create(dial(t, a), "line74", 2)
	home := coordinator(t, "line74", a, b)
	away := map[*node]*node{a: b, b: a}[home]
	x := transactorOf(t, home, 1, "line74")
	require.Equal(t, []int16{0}, x.register(to, 0))
	onB := x.twin(away)
	require.Zero(t, onB.write(to, 0, "at the other agent").ErrorCode)
	require.EqualValues(t, 120, onB.writeAt(11, to, 1, "not registered").ErrorCode)
	require.NoError(t, a.stop())
	require.NoError(t, b.stop())

	last := cl.start(t, nil)
	onLast := onB.twin(coordinator(t, x.id, last))
	require.Zero(t, onLast.write(to, 0, "after all of them").ErrorCode)
	require.EqualValues(t, 120, onLast.writeAt(11, to, 1, "not registered").ErrorCode)
	onLast.ends(true)
	require.Equal(t, []string{"at the other agent", "after all of them"}, committedValues(dial(t, last), to, 0))
}

// The batched form, of several transactions, is what Apache Kafka's brokers send each other (KIP-890): it adds, or asks
// whether a partition is in the transaction. (Semantics line 74.)
func TestLine74Batched(t *testing.T) {
	t.Parallel()
	n := shared(t)
	c := dial(t, n)
	to := create(c, "line74-batched", 3)
	x, y := transactorOf(t, n, 1, "line74-x"), transactorOf(t, n, 1, "line74-y")
	require.Equal(t, []int16{0}, x.register(to, 0))
	one := func(x *transactor, verify bool, epoch int16, partitions ...int32) kmsg.AddPartitionsToTxnRequestTransaction {
		q := kmsg.NewAddPartitionsToTxnRequestTransaction()
		q.TransactionalID, q.ProducerID, q.ProducerEpoch, q.VerifyOnly = x.id, x.pid, epoch, verify
		in := kmsg.NewAddPartitionsToTxnRequestTransactionTopic()
		in.Topic, in.Partitions = to.name, partitions
		q.Topics = append(q.Topics, in)
		return q
	}
	batched := func(version int16, list ...kmsg.AddPartitionsToTxnRequestTransaction) map[string][]int16 {
		t.Helper()
		req := kmsg.NewPtrAddPartitionsToTxnRequest()
		req.Transactions = list
		resp := ask[*kmsg.AddPartitionsToTxnResponse](c, version, req)
		require.Zero(t, resp.ErrorCode)
		codes := map[string][]int16{}
		for _, got := range resp.Transactions {
			require.Len(t, got.Topics, 1)
			for _, p := range got.Topics[0].Partitions {
				codes[got.TransactionalID] = append(codes[got.TransactionalID], p.ErrorCode)
			}
		}
		return codes
	}
	for version := int16(4); version <= 5; version++ {
		p := int32(version - 4)
		require.Equal(t, map[string][]int16{x.id: {0, 120}, y.id: {120}},
			batched(version, one(x, true, x.epoch, p, 2), one(y, true, y.epoch, p)), "asking registers nothing")
		require.Equal(t, map[string][]int16{x.id: {0}, y.id: {90}},
			batched(version, one(x, false, x.epoch, p+1), one(y, false, y.epoch+1, p)), "each transaction by itself")
		require.Equal(t, map[string][]int16{x.id: {0, 0}}, batched(version, one(x, true, x.epoch, p, p+1)))
	}
	require.EqualValues(t, 48, y.end(true), "its transaction never began")
	x.ends(false)
}

// Semantics line 75: a transactional batch for a partition that is not in the transaction is refused to a TV1 client;
// with Produce 12 and above (TV2) the partition joins, which begins the transaction if need be. While a transaction is
// open on a partition its producer writes nothing else there.
func TestLine75WhoMayWrite(t *testing.T) {
	t.Parallel()
	n := shared(t)
	c := dial(t, n)
	to := create(c, "line75", 2)
	x := transactorOf(t, n, 1, "line75")
	refused := func(version int16) int16 {
		if version == 11 { // the first that knows of TRANSACTION_ABORTABLE
			return 120
		}
		return 48
	}
	for v := int16(3); v <= 11; v++ {
		p := x.writeAt(v, to, 0, "not registered")
		require.Equal(t, []int64{int64(refused(v)), -1}, []int64{int64(p.ErrorCode), p.BaseOffset}, "version %d", v)
	}
	require.Equal(t, []int16{0}, x.register(to, 0))
	require.Zero(t, x.write(to, 0, "a").ErrorCode)
	for v := int16(3); v <= 11; v++ {
		require.Equal(t, refused(v), x.writeAt(v, to, 1, "not registered").ErrorCode, "version %d", v)
	}
	p := produce(x.client, to, idempotent(x.pid, x.epoch, 1, "not transactional"))
	require.Equal(t, []int64{48, -1}, []int64{int64(p.ErrorCode), p.BaseOffset})
	require.Zero(t, x.write(to, 0, "b").ErrorCode)
	x.ends(true)
	require.EqualValues(t, refused(11), x.writeAt(11, to, 0, "after the end").ErrorCode)
	require.Equal(t, []string{"a", "b"}, committedValues(c, to, 0))
	lso, next := stable(c, to, 1)
	require.Equal(t, []int64{0, 0}, []int64{lso, next}, "what was refused is not there")

	y := transactorOf(t, n, 2, "line75-TV2")
	require.Zero(t, y.write(to, 1, "c").ErrorCode)
	lso, next = stable(c, to, 1)
	require.Equal(t, []int64{0, 1}, []int64{lso, next}, "a transaction began with its first batch")
	require.EqualValues(t, 48, produce(y.client, to, idempotent(y.pid, y.epoch, 0, "elsewhere")).ErrorCode,
		"partition 0 is not in the transaction, but the producer has one open")
	y.ends(true)
	require.Equal(t, []string{"c"}, committedValues(c, to, 1))

	stranger := *y
	stranger.pid += 1_000_000
	require.EqualValues(t, 49, stranger.writeAt(12, to, 0, "an id that nobody has").ErrorCode)
}

// Semantics line 75: what was registered, or joined, is in this transaction only; the next one begins with none.
func TestLine75NextTransaction(t *testing.T) {
	t.Parallel()
	bothVersions(t, func(t *testing.T, tv int) {
		n := shared(t)
		c := dial(t, n)
		to := create(c, fmt.Sprint("line75-next-", tv), 2)
		x := transactorOf(t, n, tv, t.Name())
		x.puts(to, 0, "a")
		x.ends(true)
		x.puts(to, 1, "b")
		lso, next := stable(c, to, 0)
		require.Equal(t, []int64{2, 2}, []int64{lso, next}, "partition 0 is not in the second transaction")
		if tv == 1 {
			require.EqualValues(t, 120, x.writeAt(11, to, 0, "c").ErrorCode)
		}
		x.ends(false)
		lso, next = stable(c, to, 0)
		require.Equal(t, []int64{2, 2}, []int64{lso, next}, "and gets no marker of it")
		require.Equal(t, []string{"a"}, committedValues(c, to, 0))
		require.Empty(t, committedValues(c, to, 1))
	})
}
