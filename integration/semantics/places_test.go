package semantics

import (
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/integration/rawbatch"
	"wadi/internal/batch"
)

// place is what ListOffsets answers for a partition: error, offset, timestamp, leader epoch.
type place struct {
	code          int16
	offset, stamp int64
	epoch         int32
}

// nowhere is the answer when nothing is found.
var nowhere = place{0, -1, -1, -1}

// placesRequest asks for a timestamp in each of these partitions.
func placesRequest(of topic, timestamp int64, partitions ...int32) *kmsg.ListOffsetsRequest {
	req := kmsg.NewPtrListOffsetsRequest()
	req.ReplicaID, req.TimeoutMillis = -1, 30_000
	in := kmsg.NewListOffsetsRequestTopic()
	in.Topic = of.name
	for _, n := range partitions {
		p := kmsg.NewListOffsetsRequestTopicPartition()
		p.Partition, p.Timestamp, p.CurrentLeaderEpoch = n, timestamp, -1
		in.Partitions = append(in.Partitions, p)
	}
	req.Topics = append(req.Topics, in)
	return req
}

func places(c *client, version int16, req *kmsg.ListOffsetsRequest) (list []place) {
	c.t.Helper()
	for _, in := range ask[*kmsg.ListOffsetsResponse](c, version, req).Topics {
		for _, p := range in.Partitions {
			list = append(list, place{p.ErrorCode, p.Offset, p.Timestamp, p.LeaderEpoch})
		}
	}
	return list
}

// Semantics line 46: places in the log. -1 is the high watermark, for read_committed the last stable offset, -2 the log
// start; from the version on that knows them, -3 is the largest timestamp with its offset, -4 the log start too, as all
// is local, -5 and -6 are none, as nothing is tiered. A version that does not know one answers UNSUPPORTED_VERSION, as
// every version does below -6; there is no version 0 (Semantics line 50).
func TestLine46PlacesInTheLog(t *testing.T) {
	c := dial(t, shared(t))
	to := create(c, "line46", 2)
	const base = 1_700_000_000_000
	stored(c, to, at(t, batch.None, base+500, base+900, base+100), 0)
	stored(c, to, at(t, batch.Gzip, base+700, base+800), 3)
	at := func(offset int64) place { return place{0, offset, -1, 0} }
	type known struct {
		since        int16
		full, vacant place // what partition 0 and the empty partition 1 answer
	}
	table := map[int64]known{
		-1: {1, at(5), at(0)}, -2: {1, at(0), at(0)}, -3: {7, place{0, 1, base + 900, 0}, nowhere}, -4: {8, at(0), at(0)},
		-5: {9, nowhere, nowhere}, -6: {11, nowhere, nowhere},
	}
	check := func() {
		for version := int16(1); version <= 11; version++ {
			for ms := int64(-8); ms < 0; ms++ {
				for isolation := int8(0); isolation < 2; isolation++ {
					req := placesRequest(to, ms, 0, 1)
					req.IsolationLevel = isolation
					want := []place{{35, -1, -1, -1}, {35, -1, -1, -1}}
					if k, ok := table[ms]; ok && version >= k.since {
						want = []place{k.full, k.vacant}
					}
					if version < 4 { // no leader epoch in the reply
						for i := range want {
							want[i].epoch = -1
						}
					}
					require.Equal(t, want, places(c, version, req), "version %d, timestamp %d, isolation %d", version, ms, isolation)
				}
			}
		}
	}
	check()
	// What was deleted is not found any more.
	require.Equal(t, [2]int64{0, 2}, deleteRecords(c, to, 0, 2))
	table[-2], table[-4], table[-3] = known{1, at(2), at(0)}, known{8, at(2), at(0)}, known{7, place{0, 4, base + 800, 0}, nowhere}
	check()
	require.Equal(t, [2]int64{0, 5}, deleteRecords(c, to, 0, -1))
	table[-2], table[-4], table[-3] = known{1, at(5), at(0)}, known{8, at(5), at(0)}, known{7, nowhere, nowhere}
	check()
}

// Semantics line 48: the leader epoch in the answer is that of the record found, which is 0 for every record here, and -1
// where none is found.
func TestLine48EpochOfTheRecordFound(t *testing.T) {
	c := dial(t, shared(t))
	to := create(c, "line48", 1)
	const base = 1_700_000_000_000
	stored(c, to, at(t, batch.None, base, base+10), 0)
	for version := int16(4); version <= 11; version++ {
		for ms, want := range map[int64]int32{base - 1: 0, base: 0, base + 10: 0, base + 11: -1, 1<<63 - 1: -1, -1: 0, -2: 0} {
			got := places(c, version, placesRequest(to, ms, 0))
			require.Equal(t, want, got[0].epoch, "version %d, timestamp %d", version, ms)
			require.Equal(t, want == -1, got[0].offset == -1)
		}
	}
	// Batches that claim another epoch were stored under this one (Semantics line 17).
	odd := batchOf(func(b *kmsg.RecordBatch) {
		b.PartitionLeaderEpoch = 9
		b.FirstTimestamp, b.MaxTimestamp = base+20, base+20
	}, rawbatch.Values("x")...)
	stored(c, to, odd, 2)
	require.Equal(t, []place{{0, 2, base + 20, 0}}, places(c, 11, placesRequest(to, base+20, 0)))
}

// A partition that comes twice in one request is answered once, with INVALID_REQUEST; so does Apache Kafka. Others are
// answered beside it.
func TestOffsetsOfAPartitionAskedForTwice(t *testing.T) {
	c := dial(t, shared(t))
	to := create(c, "twice", 3)
	bad := place{42, -1, -1, -1}
	require.Equal(t, []place{bad, {0, 0, -1, 0}}, places(c, 10, placesRequest(to, -1, 0, 1, 0, 0)))
	again := placesRequest(to, -1, 0, 1)
	again.Topics = append(again.Topics, placesRequest(to, -2, 0, 2).Topics[0], placesRequest(to, -2, 0).Topics[0])
	require.Equal(t, []place{bad, {0, 0, -1, 0}, {0, 0, -1, 0}}, places(c, 10, again))
	require.Equal(t, []place{bad}, places(c, 10, placesRequest(topic{name: "twice-none"}, -1, 0, 0)))
	require.Empty(t, ask[*kmsg.ListOffsetsResponse](c, 10, placesRequest(to, -1)).Topics, "no partition was asked for")
	odd := placesRequest(to, -1, 0)
	odd.IsolationLevel = 2
	require.Equal(t, []place{bad}, places(c, 10, odd))
}
