package semantics

import (
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/integration/rawbatch"
)

// Semantics line 21: a compacted topic takes no record without a key; from version 8 on the answer names the records, and
// nothing of their batch is stored.
func TestLine21KeysOfCompactedTopics(t *testing.T) {
	c := dial(t, shared(t))
	to := create(c, "line21", 1, "cleanup.policy", "compact")
	records := rawbatch.Values("a", "b", "c")
	records[1].Key, records[2].Key = nil, nil
	batch := batchOf(nil, records...)
	for version := int16(3); version <= 11; version++ {
		p := ask[*kmsg.ProduceResponse](c, version, produceRequest(batch, to)).Topics[0].Partitions[0]
		require.EqualValues(t, 87, p.ErrorCode, "version %d", version)
		require.EqualValues(t, -1, p.BaseOffset)
		if version < 8 {
			continue
		}
		var named []int32
		for _, r := range p.ErrorRecords {
			named = append(named, r.RelativeOffset)
		}
		require.Equal(t, []int32{1, 2}, named)
	}
	for i := range records {
		records[i].Key = []byte("k")
	}
	stored(c, to, batchOf(nil, records...), 0)
}
