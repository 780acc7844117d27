package semantics

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// segments are the keys of the segment objects in the bucket that another agent could read.
func (c *cluster) segments(t *testing.T) (keys []string) {
	t.Helper()
	list, err := c.store.List(t.Context(), "semantics/", "", 1000)
	require.NoError(t, err)
	for _, o := range list {
		if strings.HasSuffix(o.Key, ".seg") {
			keys = append(keys, o.Key)
		}
	}
	return keys
}

// Regression R4: an object that somebody removed behind our back is KAFKA_STORAGE_ERROR and an alarm for what lay in it.
// What lies before and behind is served, merged or not, and nobody is told that the log begins elsewhere.
func TestR4RemovedObject(t *testing.T) {
	t.Parallel()
	cluster := newCluster(t)
	writer := cluster.start(t, settings{"inline.max.bytes": "0", "flush.puts.per.second": "0", "roles": "broker"})
	c := dial(t, writer)
	to, other := create(c, "r4", 1), create(c, "r4-other", 1)
	const records, lost = 150, 40
	var key string
	for i := range records {
		before := cluster.segments(t)
		stored(c, to, plain(fmt.Sprint(i)), int64(i))
		if i == lost {
			after := slices.DeleteFunc(cluster.segments(t), func(k string) bool { return slices.Contains(before, k) })
			require.Len(t, after, 1)
			key = after[0]
		}
		stored(c, other, plain(fmt.Sprint(i)), int64(i))
	}
	require.NoError(t, cluster.store.Delete(t.Context(), []string{key}))
	check := func() {
		n := cluster.start(t, settings{"roles": "broker"}) // has nothing in memory
		c := dial(t, n)
		at := func(offset int64) kmsg.FetchResponseTopicPartition {
			return only(c, ask[*kmsg.FetchResponse](c, 12, fetchRequest(offset, to)))
		}
		for _, offset := range []int64{0, lost - 1, lost + 1, records - 1} {
			p := at(offset)
			require.Zero(t, p.ErrorCode, "offset %d", offset)
			require.Equal(t, fmt.Sprint(offset), valuesOf(t, p)[0], "offset %d", offset)
		}
		require.Zero(t, n.figure(t, "wadi_objects_missing_total"))
		p := at(lost)
		require.Equal(t, int16(56), p.ErrorCode, "KAFKA_STORAGE_ERROR")
		require.Equal(t, []int64{0, records}, []int64{p.LogStartOffset, p.HighWatermark})
		require.Empty(t, p.RecordBatches)
		require.NotZero(t, n.figure(t, "wadi_objects_missing_total"))
		require.Len(t, everything(c, other), records)
	}
	check()
	compactor := cluster.startWith(t, setup{settings: settings{"compactor.interval": "100ms", "gc.grace": "1s"}, compactor: true})
	eventually(t, "merges meet it", func() bool { return compactor.figure(t, "wadi_compactor_unreadable_ranges_total") > 0 })
	eventually(t, "merges take the rest", func() bool { return compactor.figure(t, "wadi_unmerged_objects") < records/2 })
	check()
}
