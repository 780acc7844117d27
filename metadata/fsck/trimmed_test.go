package fsck_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"wadi/internal/layout"
	"wadi/metadata/fsck"
	"wadi/metadata/kv"
	pb "wadi/metadata/metadatapb"
)

// propose appends an entry of the agent's session, as it would have.
func (f fixture) propose(t *testing.T, commands ...*pb.Command) {
	t.Helper()
	f.proposeInline(t, nil, commands...)
}

func (f fixture) proposeInline(t *testing.T, inline []byte, commands ...*pb.Command) {
	t.Helper()
	keys := layout.NewEtcd(cluster)
	session, seq := f.last(t)
	value, err := proto.Marshal(&pb.Entry{AtMs: 1, Commands: commands, Inline: inline})
	require.NoError(t, err)
	_, err = f.kv.Txn(t.Context(), kv.Txn{Then: []kv.Op{kv.Put(keys.Entry(session, seq+1), value, 0), kv.Put(keys.Head(), nil, 0)}})
	require.NoError(t, err)
}

// A log that begins behind its first run, or in the middle of one, is whole, before the sweep and after it; what nothing
// needs any more is garbage and no finding. Partitions that were added are whole though they hold nothing.
func TestTrimmedPartitions(t *testing.T) {
	f := work(t)
	before := f.check(t)
	require.True(t, before.Clean(), "%v", before.Findings)
	const base = 1 << 40 // no other session changes the topic
	trim := &pb.TrimPartitions{}
	for p := range uint32(3) {
		trim.Topics, trim.Partitions, trim.Offsets = append(trim.Topics, 1), append(trim.Partitions, p), append(trim.Offsets, 20)
	}
	f.propose(t, &pb.Command{Base: base, Kind: &pb.Command_CreatePartitions{CreatePartitions: &pb.CreatePartitions{Topic: 1, Count: 5}}},
		&pb.Command{Base: base, Kind: &pb.Command_TrimPartitions{TrimPartitions: trim}})
	marked := f.check(t)
	require.True(t, marked.Clean(), "%v", marked.Findings)
	require.Equal(t, before.Counts.Records-60, marked.Counts.Records)
	require.Equal(t, before.Counts.Runs, marked.Counts.Runs, "nothing is swept yet")
	require.Equal(t, 5, marked.Counts.Partitions)

	f.propose(t, &pb.Command{Kind: &pb.Command_Sweep{Sweep: &pb.Sweep{Limit: 10}}})
	half := f.check(t)
	require.True(t, half.Clean(), "%v", half.Findings)
	require.Equal(t, before.Counts.Runs-10, half.Counts.Runs)

	f.propose(t, &pb.Command{Kind: &pb.Command_Sweep{Sweep: &pb.Sweep{Limit: 1000}}})
	swept := f.check(t)
	require.True(t, swept.Clean(), "%v", swept.Findings)
	require.Equal(t, marked.Counts.Records, swept.Counts.Records)
	require.Less(t, swept.Counts.Runs, half.Counts.Runs)
	require.NotEmpty(t, swept.Leftovers)
	require.Equal(t, map[fsck.Kind]int{fsck.Garbage: len(swept.Leftovers)}, kinds(swept.Leftovers), "%v", swept.Leftovers)
}
