package fsck_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"wadi/internal/batch"
	pb "wadi/metadata/metadatapb"
)

// A transaction's marker takes an offset and has no bytes anywhere: there is nothing to look for, and nothing missing.
// Bytes of a transaction are looked for like all others, whether it is open, committed or aborted.
func TestMarkers(t *testing.T) {
	f := work(t)
	before := f.check(t)
	require.True(t, before.Clean(), "%v", before.Findings)
	const base = 1 << 40 // no other session changes the transactional id
	const pid = 2        // the client of the fixture has the first one
	for epoch, commit := range []bool{true, false, true} {
		f.propose(t, &pb.Command{Base: base, Kind: &pb.Command_InitProducer{InitProducer: &pb.InitProducer{TransactionalId: "id", TimeoutMs: 1000}}})
		for partition := range uint32(2) {
			f.transactional(t, partition, pid, int16(2*epoch))
		}
		open := f.check(t)
		require.True(t, open.Clean(), "%v", open.Findings)
		require.Equal(t, before.Counts.Records+int64(2*(epoch+1)), open.Counts.Records)
		require.Equal(t, 2*epoch, open.Counts.Markers)
		f.propose(t, &pb.Command{Base: base, Kind: &pb.Command_EndTxn{EndTxn: &pb.EndTxn{
			ProducerId: pid, ProducerEpoch: int32(2 * epoch), Commit: commit, Bump: true,
		}}})
	}
	after := f.check(t)
	require.True(t, after.Clean(), "%v", after.Findings)
	require.Equal(t, before.Counts.Records+6, after.Counts.Records)
	require.Equal(t, 6, after.Counts.Markers)
	require.Equal(t, before.Counts.Runs+12, after.Counts.Runs)

	// Below the log start a marker waits for the sweep like every run.
	f.propose(t, &pb.Command{Base: base, Kind: &pb.Command_TrimPartitions{
		TrimPartitions: &pb.TrimPartitions{Topics: []uint64{1, 1}, Partitions: []uint32{0, 1}, Offsets: []int64{-1, 0}},
	}})
	trimmed := f.check(t)
	require.True(t, trimmed.Clean(), "%v", trimmed.Findings)
	require.Equal(t, 6, trimmed.Counts.Markers)
	require.Positive(t, trimmed.Counts.Records)
	f.propose(t, &pb.Command{Kind: &pb.Command_Sweep{Sweep: &pb.Sweep{Limit: 1000}}})
	swept := f.check(t)
	require.True(t, swept.Clean(), "%v", swept.Findings)
	require.Equal(t, trimmed.Counts.Records, swept.Counts.Records)
}

// transactional appends a batch of one record of a transaction's, whose bytes lie in the entry.
func (f fixture) transactional(t *testing.T, partition uint32, pid int64, epoch int16) {
	t.Helper()
	var w batch.Builder
	w.Reset(batch.BuildOptions{ProducerID: pid, ProducerEpoch: epoch, BaseSequence: 0, Transactional: true})
	require.NoError(t, w.Append(batch.Record{Timestamp: 1, Value: []byte("v")}))
	b, err := w.Build(nil)
	require.NoError(t, err)
	f.proposeInline(t, b, &pb.Command{Kind: &pb.Command_AppendBatches{AppendBatches: &pb.AppendBatches{
		Topics: []uint64{1}, Partitions: []uint32{partition}, Offsets: []uint64{0}, Runs: []uint32{1}, ProducerIds: []int64{pid},
		ProducerEpochs: []int32{int32(epoch)}, Sequences: []int32{0}, Batches: []uint32{1}, Records: []uint32{1},
		Bytes: []uint32{uint32(len(b))}, MaxTimestamps: []int64{0}, Transactional: []uint32{2},
	}}})
}
