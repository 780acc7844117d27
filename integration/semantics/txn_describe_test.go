package semantics

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func describeTxn(c *client, id string) kmsg.DescribeTransactionsResponseTransactionState {
	c.t.Helper()
	req := kmsg.NewPtrDescribeTransactionsRequest()
	req.TransactionalIDs = []string{id}
	resp := ask[*kmsg.DescribeTransactionsResponse](c, 0, req)
	require.Len(c.t, resp.TransactionStates, 1)
	return resp.TransactionStates[0]
}

// listTxns returns state and producer id by transactional id, of those that the prefix begins.
func listTxns(c *client, version int16, prefix string, edit func(*kmsg.ListTransactionsRequest)) map[string]string {
	c.t.Helper()
	req := kmsg.NewPtrListTransactionsRequest()
	req.DurationFilterMillis = -1
	if edit != nil {
		edit(req)
	}
	resp := ask[*kmsg.ListTransactionsResponse](c, version, req)
	require.Zero(c.t, resp.ErrorCode)
	got := map[string]string{}
	for _, s := range resp.TransactionStates {
		if len(s.TransactionalID) >= len(prefix) && s.TransactionalID[:len(prefix)] == prefix {
			got[s.TransactionalID] = fmt.Sprint(s.TransactionState, " ", s.ProducerID)
		}
	}
	return got
}

// Semantics line 85: what kafka-transactions and other tools ask about transactions.
func TestLine85Describe(t *testing.T) {
	t.Parallel()
	n := shared(t)
	c := dial(t, n)
	to, other := create(c, "line85", 3), create(c, "line85-other", 1)
	x := transactorOf(t, n, 1, "line85-a")
	x.timeout = 12_345
	x.init()
	got := describeTxn(c, x.id)
	require.Zero(t, got.ErrorCode)
	require.Equal(t, []any{x.id, "Empty", int32(12_345), int64(-1), x.pid, x.epoch},
		[]any{got.TransactionalID, got.State, got.TimeoutMillis, got.StartTimestamp, got.ProducerID, got.ProducerEpoch})
	require.Empty(t, got.Topics)

	before := time.Now()
	require.Equal(t, []int16{0, 0}, x.register(to, 2, 0))
	require.Equal(t, []int16{0}, x.register(other, 0))
	require.Zero(t, x.write(to, 2, "a").ErrorCode)
	require.Zero(t, x.write(to, 2, "b").ErrorCode)
	got = describeTxn(c, x.id)
	require.Equal(t, "Ongoing", got.State)
	require.WithinRange(t, time.UnixMilli(got.StartTimestamp), before.Add(-time.Minute), time.Now().Add(time.Minute))
	require.Len(t, got.Topics, 2)
	slices.SortFunc(got.Topics, func(a, b kmsg.DescribeTransactionsResponseTransactionStateTopic) int {
		return len(a.Topic) - len(b.Topic)
	})
	slices.Sort(got.Topics[0].Partitions)
	require.Equal(t, to.name, got.Topics[0].Topic)
	require.Equal(t, []int32{0, 2}, got.Topics[0].Partitions)
	require.Equal(t, []int32{0}, got.Topics[1].Partitions)

	y, z := transactorOf(t, n, 2, "line85-b"), transactorOf(t, n, 2, "line85-c")
	y.puts(to, 1, "c")
	y.ends(true)
	z.puts(to, 1, "d")
	z.ends(false)
	require.Equal(t, "CompleteCommit", describeTxn(c, y.id).State)
	require.Equal(t, "CompleteAbort", describeTxn(c, z.id).State)
	require.EqualValues(t, 105, describeTxn(c, "line85-unheard-of").ErrorCode, "TRANSACTIONAL_ID_NOT_FOUND")

	all := map[string]string{
		x.id: fmt.Sprint("Ongoing ", x.pid), y.id: fmt.Sprint("CompleteCommit ", y.pid), z.id: fmt.Sprint("CompleteAbort ", z.pid),
	}
	only := func(ids ...string) map[string]string {
		m := map[string]string{}
		for _, id := range ids {
			m[id] = all[id]
		}
		return m
	}
	for v := range int16(3) {
		require.Equal(t, all, listTxns(c, v, "line85-", nil), "version %d", v)
		require.Equal(t, only(x.id, z.id), listTxns(c, v, "line85-", func(r *kmsg.ListTransactionsRequest) {
			r.StateFilters = []string{"Ongoing", "CompleteAbort"}
		}))
		require.Equal(t, only(y.id), listTxns(c, v, "line85-", func(r *kmsg.ListTransactionsRequest) {
			r.ProducerIDFilters = []int64{y.pid}
		}))
	}
	lasts := func(ms int64) map[string]string {
		return listTxns(c, 1, x.id, func(r *kmsg.ListTransactionsRequest) { r.DurationFilterMillis = ms })
	}
	time.Sleep(2 * time.Millisecond)
	require.Empty(t, lasts(3_600_000))
	require.Equal(t, only(x.id), lasts(0))
	pattern := ".*85-[ac].*"
	require.Equal(t, only(x.id, z.id), listTxns(c, 2, "line85-", func(r *kmsg.ListTransactionsRequest) {
		r.TransactionalIDPattern = &pattern
	}))
	req := kmsg.NewPtrListTransactionsRequest()
	req.StateFilters = []string{"Ongoing", "Nonsense"}
	require.Equal(t, []string{"Nonsense"}, ask[*kmsg.ListTransactionsResponse](c, 0, req).UnknownStateFilters)
}

// Semantics line 85: what a partition knows of its producers tells which of them has a transaction open, and since where.
func TestLine85Producers(t *testing.T) {
	t.Parallel()
	n := shared(t)
	c := dial(t, n)
	to := create(c, "line85-producers", 1)
	stored(c, to, plain("before"), 0)
	x, y := transactorOf(t, n, 1, "line85p-x"), transactorOf(t, n, 2, "line85p-y")
	x.puts(to, 0, "a", "b")
	y.puts(to, 0, "c")
	x.puts(to, 0, "d")
	producers := func() map[int64]kmsg.DescribeProducersResponseTopicPartitionActiveProducer {
		t.Helper()
		req := kmsg.NewPtrDescribeProducersRequest()
		in := kmsg.NewDescribeProducersRequestTopic()
		in.Topic, in.Partitions = to.name, []int32{0}
		req.Topics = append(req.Topics, in)
		p := ask[*kmsg.DescribeProducersResponse](c, 0, req).Topics[0].Partitions[0]
		require.Zero(t, p.ErrorCode)
		got := map[int64]kmsg.DescribeProducersResponseTopicPartitionActiveProducer{}
		for _, a := range p.ActiveProducers {
			got[a.ProducerID] = a
		}
		return got
	}
	got := producers()
	require.Len(t, got, 2)
	require.EqualValues(t, 1, got[x.pid].CurrentTxnStartOffset)
	require.EqualValues(t, 2, got[x.pid].LastSequence)
	require.EqualValues(t, 3, got[y.pid].CurrentTxnStartOffset)
	yEpoch := y.epoch
	y.ends(true)
	x.ends(false)
	got = producers()
	require.EqualValues(t, 2, got[x.pid].LastSequence)
	require.EqualValues(t, x.epoch, got[x.pid].ProducerEpoch)
	require.EqualValues(t, -1, got[y.pid].LastSequence, "the end was that of an epoch (KIP-890)")
	require.EqualValues(t, yEpoch+1, got[y.pid].ProducerEpoch)
	require.EqualValues(t, -1, got[x.pid].CurrentTxnStartOffset)
	require.EqualValues(t, -1, got[y.pid].CurrentTxnStartOffset)
}
