package api

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/internal/batch"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/state"
)

// produced is a batch of one record, of a producer and perhaps of a transaction.
func batchOf(t *testing.T, pid int64, epoch int16, seq int32, txn bool) []byte {
	t.Helper()
	var w batch.Builder
	w.Reset(batch.BuildOptions{ProducerID: pid, ProducerEpoch: epoch, BaseSequence: seq, Transactional: txn})
	require.NoError(t, w.Append(batch.Record{Timestamp: time.Now().UnixMilli(), Value: []byte("v")}))
	b, err := w.Build(nil)
	require.NoError(t, err)
	return b
}

// Semantics lines 26, 73, 75 and KIP-890: batches of transactions that are refused, with the codes that Apache Kafka 4.3
// answers in each version. State judges; what a request itself says wrong never gets there.
func TestProduceTransactional(t *testing.T) {
	c := newCluster(t)
	c.topic("t", 2)
	init := func(name string) (id int64, epoch int16) {
		t.Helper()
		kind := &pb.Command_InitProducer{InitProducer: &pb.InitProducer{TransactionalId: name, TimeoutMs: 60_000}}
		r := c.apply(nil, &pb.Command{Base: c.st.Position(), Kind: kind})
		require.Equal(t, state.OK, r[0].Code)
		return r[0].ID, r[0].Epoch
	}
	init("id")
	id, epoch := init("id")
	other, _ := init("other")
	free := c.apply(nil, &pb.Command{Kind: &pb.Command_InitProducer{InitProducer: &pb.InitProducer{}}})[0].ID
	require.Equal(t, int16(1), epoch)
	k := c.dial()
	type parts = map[int32][]byte
	all := []int16{3, 10, 11, 12, 13}
	for _, e := range []struct {
		name     string
		id       string // "-" is null
		parts    parts
		versions []int16
		want     []int16
	}{
		{"no id", "-", parts{0: batchOf(t, id, 1, 0, true), 1: oneBatch(t, batch.None, "v")}, all, []int16{53, 53}},
		{"no id, and no producer", "-", parts{0: batchOf(t, -1, -1, -1, true)}, all, []int16{53}},
		{"no id, partition unknown", "-", parts{7: batchOf(t, id, 1, 0, true)}, all, []int16{53}},
		{"an id that nothing is of", "id", parts{0: oneBatch(t, batch.None, "v")}, all, []int16{0}},
		{"no producer, so of no transaction", "id", parts{0: batchOf(t, -1, -1, -1, true)}, all, []int16{0}},
		{"empty id", "", parts{0: batchOf(t, id, 1, 0, true), 1: oneBatch(t, batch.None, "v")}, all, []int16{42, 0}},
		{"another id's producer", "id", parts{0: batchOf(t, other, 0, 0, true)}, all, []int16{49}},
		{"a producer without id", "id", parts{0: batchOf(t, free, 0, 0, true)}, all, []int16{49}},
		{"a producer that was never given", "id", parts{0: batchOf(t, 99, 0, 0, true)}, all, []int16{49}},
		{"two producers", "id", parts{0: batchOf(t, id, 1, 0, true), 1: batchOf(t, other, 0, 0, true)}, all, []int16{49, 49}},
		{"two epochs", "id", parts{0: batchOf(t, id, 1, 0, true), 1: batchOf(t, id, 0, 0, true)}, all, []int16{49, 49}},
		{"an old epoch", "id", parts{0: batchOf(t, id, 0, 0, true)}, all, []int16{47}},
		{"an epoch to come", "id", parts{0: batchOf(t, id, 2, 0, true)}, all, []int16{47}},
		{"no epoch", "id", parts{0: batchOf(t, id, -1, 0, true)}, all, []int16{47}},
		{"not in the transaction", "id", parts{0: batchOf(t, id, 1, 0, true)}, []int16{3, 10}, []int16{48}},
		{"not in the transaction", "id", parts{0: batchOf(t, id, 1, 0, true)}, []int16{11}, []int16{120}},
		{"control", "id", parts{0: batch.Marker{ProducerID: id, Epoch: 1, Ms: 1, Commit: true}.AppendTo(nil)}, all, []int16{87}},
		{"joins the transaction", "id", parts{0: batchOf(t, id, 1, 0, true), 1: oneBatch(t, batch.None, "v")}, []int16{12}, []int16{0, 0}},
		{"is in it", "id", parts{0: batchOf(t, id, 1, 1, true)}, []int16{11}, []int16{0}},
		{"outside, while it is open", "id", parts{0: batchOf(t, id, 1, 2, false)}, all, []int16{48}},
	} {
		for _, version := range e.versions {
			req := produceTo(version, -1, "t", c.id("t"), e.parts)
			if e.id != "-" {
				req.TransactionID = &e.id
			}
			var got []int16
			for _, p := range k.ask(req).(*kmsg.ProduceResponse).Topics[0].Partitions {
				if got = append(got, p.ErrorCode); p.ErrorCode != 0 {
					require.Equal(t, int64(-1), p.BaseOffset)
				}
				if version >= 5 && p.ErrorCode == 47 {
					require.Equal(t, int64(-1), p.LogStartOffset)
				}
			}
			require.Equal(t, e.want, got, "%s in version %d", e.name, version)
		}
	}
}
