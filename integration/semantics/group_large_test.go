package semantics

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A commit of more partitions, or more words, than a journal entry holds is stored all the same, and a bad partition in
// it spoils no other (Semantics line 61).
func TestLargeOffsetCommit(t *testing.T) {
	n := newCluster(t).start(t, groupSettings)
	c := dial(t, n)
	const partitions = 5000
	to := create(c, "wide", partitions)
	words := strings.Repeat("w", 1000)
	for name, metadata := range map[string]*string{"many": nil, "wordy": &words} {
		req := commitRequest(name, to, 0, 0)
		req.Topics[0].Partitions = nil
		for i := range int32(partitions + 1) {
			p := kmsg.NewOffsetCommitRequestTopicPartition()
			p.Partition, p.Offset, p.Metadata = i, int64(i)+1, metadata
			req.Topics[0].Partitions = append(req.Topics[0].Partitions, p)
		}
		resp := ask[*kmsg.OffsetCommitResponse](c, 9, req)
		require.Len(t, resp.Topics[0].Partitions, partitions+1)
		for i, p := range resp.Topics[0].Partitions {
			want := int16(0)
			if i == partitions {
				want = 3
			}
			require.Equal(t, want, p.ErrorCode, "%s: partition %d", name, i)
		}
		all := ask[*kmsg.OffsetFetchResponse](c, 8, fetchOffsets(name, nil)).Groups[0].Topics[0].Partitions
		require.Len(t, all, partitions)
		for i, p := range all {
			require.EqualValues(t, i, p.Partition)
			require.EqualValues(t, i+1, p.Offset)
		}
	}
}
