package semantics

import (
	"cmp"
	"slices"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// committedValues reads a partition as a read_committed consumer does: only below the last stable offset, without what
// the aborted transactions in the answers wrote. Every fetch must bring it forward or end.
func committedValues(c *client, from topic, partition int32) []string {
	c.t.Helper()
	var values []string
	for offset := int64(0); ; {
		req := fetchRequest(offset, from)
		req.IsolationLevel = 1
		req.Topics[0].Partitions[0].Partition = partition
		p := only(c, ask[*kmsg.FetchResponse](c, 12, req))
		require.Zero(c.t, p.ErrorCode)
		if len(p.RecordBatches) == 0 {
			require.Equal(c.t, p.LastStableOffset, offset, "nothing more although there is")
			return values
		}
		aborted := slices.Clone(p.AbortedTransactions)
		slices.SortFunc(aborted, func(a, b kmsg.FetchResponseTopicPartitionAbortedTransaction) int {
			return cmp.Compare(a.FirstOffset, b.FirstOffset)
		})
		bad := map[int64]bool{} // producers inside a transaction that was aborted
		was := offset
		for _, b := range batches(c.t, p.RecordBatches) {
			last := b.FirstOffset + int64(b.LastOffsetDelta)
			for len(aborted) > 0 && aborted[0].FirstOffset <= last {
				bad[aborted[0].ProducerID] = true
				aborted = aborted[1:]
			}
			switch {
			case b.Attributes&0x20 != 0:
				delete(bad, b.ProducerID)
			case b.Attributes&0x10 == 0 || !bad[b.ProducerID]:
				for _, r := range records(c.t, b.AppendTo(nil)) {
					if r.Offset >= offset {
						values = append(values, r.Value)
					}
				}
			}
			offset = last + 1
		}
		require.Greater(c.t, offset, was)
	}
}

// stable is the last stable offset of a partition, next the offset after its last record or marker.
func stable(c *client, of topic, partition int32) (lso, next int64) {
	c.t.Helper()
	req := fetchRequest(0, of)
	req.Topics[0].Partitions[0].Partition = partition
	p := only(c, ask[*kmsg.FetchResponse](c, 12, req))
	require.Zero(c.t, p.ErrorCode)
	return p.LastStableOffset, p.HighWatermark
}
