package semantics

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/integration/rawbatch"
)

func timeIn(ms int) time.Time { return time.Now().Add(time.Duration(ms) * time.Millisecond) }

// sizes are the lengths of what was fetched of each topic.
func sizes(resp *kmsg.FetchResponse) (list []int) {
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			list = append(list, len(p.RecordBatches))
		}
	}
	return list
}

// Semantics line 31: the first batch of the first partition that has any comes whole, above both limits; later ones keep
// to the limits; partitions are served in the order of the request, so that a client can rotate them.
// Regression R14: a consumer whose limit is below the size of a batch goes on.
func TestLine31LimitsOfFetch(t *testing.T) {
	c := dial(t, shared(t))
	empty, a, b := create(c, "line31-empty", 1), create(c, "line31-a", 1), create(c, "line31-b", 1)
	big := plain(string(make([]byte, 30_000)))
	for i := range int64(3) {
		stored(c, a, big, i)
		stored(c, b, big, i)
	}
	limits := func(maxBytes, partitionMaxBytes int32, topics ...topic) []int {
		req := fetchRequest(0, topics...)
		req.MaxBytes = maxBytes
		for i := range req.Topics {
			req.Topics[i].Partitions[0].PartitionMaxBytes = partitionMaxBytes
		}
		return sizes(ask[*kmsg.FetchResponse](c, 12, req))
	}
	n := len(big)
	for _, e := range []struct {
		maxBytes, partitionMaxBytes int
		topics                      []topic
		want                        []int
	}{
		{1, 1, []topic{empty, a, b}, []int{0, n, 0}},
		{1, 1, []topic{b, empty, a}, []int{n, 0, 0}},
		{0, 0, []topic{a}, []int{n}},
		{10 * n, 1, []topic{a, b}, []int{n, 0}},
		{10 * n, n, []topic{a, b}, []int{n, n}},
		{10 * n, 2 * n, []topic{a, b}, []int{2 * n, 2 * n}},
		{4 * n, 10 * n, []topic{a, b}, []int{3 * n, n}},
		{4 * n, 10 * n, []topic{b, a}, []int{3 * n, n}},
		{10 * n, 10 * n, []topic{a, b}, []int{3 * n, 3 * n}},
	} {
		require.Equal(t, e.want, limits(int32(e.maxBytes), int32(e.partitionMaxBytes), e.topics...), "%d and %d for %v",
			e.maxBytes, e.partitionMaxBytes, e.topics)
	}
	for offset := int64(0); offset < 3; offset++ {
		req := fetchRequest(offset, a)
		req.MaxBytes, req.Topics[0].Partitions[0].PartitionMaxBytes = 100, 100
		got := records(t, only(c, ask[*kmsg.FetchResponse](c, 12, req)).RecordBatches)
		require.Len(t, got, 1)
		require.Equal(t, offset, got[0].Offset)
	}
}

// Semantics line 32: a fetch from the middle of a batch gets that batch whole, from its beginning.
func TestLine32WholeBatches(t *testing.T) {
	c := dial(t, shared(t))
	to := create(c, "line32", 1)
	for i := range int64(3) {
		stored(c, to, plain("a", "b", "c", "d"), 4*i)
	}
	for offset := range int64(12) {
		for _, limit := range []int32{1, 90, 200, 1 << 20} {
			req := fetchRequest(offset, to)
			req.MaxBytes = limit
			got := batches(t, only(c, ask[*kmsg.FetchResponse](c, 12, req)).RecordBatches)
			require.NotEmpty(t, got)
			require.Equal(t, offset/4*4, got[0].FirstOffset)
			require.Equal(t, int32(4), got[0].NumRecords)
		}
	}
}

// Semantics line 33: no records are a field of length zero, in every version and with every error, never null.
func TestLine33EmptyRecordsAreNotNull(t *testing.T) {
	c := dial(t, shared(t))
	to := create(c, "line33", 1)
	for version := int16(4); version <= 17; version++ {
		for name, req := range map[string]*kmsg.FetchRequest{
			"empty": fetchRequest(0, to), "out of range": fetchRequest(9, to), "unknown": fetchRequest(0, topic{"line33-none", [16]byte{9}}),
		} {
			p := only(c, ask[*kmsg.FetchResponse](c, version, req))
			require.NotNil(t, p.RecordBatches, "%s, version %d", name, version)
			require.Empty(t, p.RecordBatches, "%s, version %d", name, version)
		}
	}
}

// timed asks and tells how long the answer took.
func timed(c *client, req *kmsg.FetchRequest) (*kmsg.FetchResponse, time.Duration) {
	c.t.Helper()
	began := time.Now()
	resp := ask[*kmsg.FetchResponse](c, 12, req)
	return resp, time.Since(began)
}

// Semantics line 34: a fetch waits until min_bytes are there over all its partitions, or max_wait is over; an error of
// any partition, or an unknown session, answers at once. With read_committed it is the same as long as nothing is
// unstable.
func TestLine34WaitingForBytes(t *testing.T) {
	n := shared(t)
	c, writer := dial(t, n), dial(t, n)
	const long, short = 240_000, 150
	for _, isolation := range []int8{0, 1} {
		a := create(c, fmt.Sprint("line34-a", isolation), 1)
		b := create(c, fmt.Sprint("line34-b", isolation), 1)
		sent := plain(string(make([]byte, 500)))
		req := func(wait, minBytes int32, topics ...topic) *kmsg.FetchRequest {
			r := fetchRequest(0, topics...)
			r.MaxWaitMillis, r.MinBytes, r.IsolationLevel = wait, minBytes, isolation
			return r
		}
		// Nothing there: the time passes.
		resp, took := timed(c, req(short, 1, a, b))
		require.Equal(t, []int{0, 0}, sizes(resp))
		require.GreaterOrEqual(t, took, short*time.Millisecond)
		// One batch is not enough for two, which may lie in different partitions.
		stored(writer, a, sent, 0)
		resp, took = timed(c, req(short, int32(len(sent))+1, a, b))
		require.Equal(t, []int{len(sent), 0}, sizes(resp))
		require.GreaterOrEqual(t, took, short*time.Millisecond)
		waiting := req(long, int32(2*len(sent)), a, b)
		waiting.SetVersion(12)
		began := time.Now()
		id := c.send(waiting)
		stored(writer, b, sent, 0)
		require.Equal(t, []int{len(sent), len(sent)}, sizes(receive[*kmsg.FetchResponse](c, id, waiting)))
		require.Less(t, time.Since(began), long*time.Millisecond/2)
		// An error ends the wait.
		resp, took = timed(c, req(long, 1<<20, a, topic{name: "line34-none"}))
		require.Equal(t, int16(3), resp.Topics[1].Partitions[0].ErrorCode)
		require.Less(t, took, long*time.Millisecond/2)
		outside := req(long, 1<<20, a, b)
		outside.Topics[1].Partitions[0].FetchOffset = 99
		resp, took = timed(c, outside)
		require.Equal(t, int16(1), resp.Topics[1].Partitions[0].ErrorCode)
		require.Less(t, took, long*time.Millisecond/2)
		// Bytes that max_bytes does not let in are not waited for.
		limited := req(long, 1<<20, a, b)
		limited.MaxBytes = 600
		resp, took = timed(c, limited)
		require.Equal(t, len(sent), sizes(resp)[0])
		require.Less(t, took, long*time.Millisecond/2)
	}
	session := fetchRequest(0)
	session.MaxWaitMillis, session.SessionID, session.SessionEpoch = long, 77, 5
	resp, took := timed(c, session)
	require.Equal(t, int16(70), resp.ErrorCode)
	require.Less(t, took, long*time.Millisecond/2)
}

// Semantics line 35: at the high watermark a fetch succeeds with nothing; beyond it and below the log start it is out
// of range, with both ends told.
func TestLine35EndsOfTheLog(t *testing.T) {
	c := dial(t, shared(t))
	to := create(c, "line35", 1)
	stored(c, to, plain("a", "b"), 0)
	p := fetch(c, to, 2)
	require.Equal(t, []int64{0, 2, 2, 0}, []int64{int64(p.ErrorCode), p.HighWatermark, p.LastStableOffset, p.LogStartOffset})
	require.Empty(t, p.RecordBatches)
	for _, offset := range []int64{3, 1 << 40, -1, -1 << 40} {
		require.Equal(t, int16(1), fetch(c, to, offset).ErrorCode, "offset %d", offset)
	}
}

// fetchCodes are the errors that the fetcher of Apache Kafka's own consumer knows; of any other it dies.
var fetchCodes = []int16{0, 1, 2, 3, 6, 9, 29, 56, 74, 75, 78, 100, 103, -1}

// Semantics line 36: whatever fails behind a fetch, the client gets a code that it knows and that it can get over.
func TestLine36CodesOfFetch(t *testing.T) {
	t.Parallel()
	faults := newFaulty(t)
	n, c, to := faults.node, faults.client, faults.topic
	definite := []int16{1, 2, 3, 29, 100, 103, -1} // these would reset or end a consumer, or say what is not so
	for name, break_ := range faults.all() {
		t.Run(name, func(t *testing.T) {
			c.t = t
			break_()
			for _, offset := range []int64{0, 1, 2, 50} {
				p := fetch(c, to, offset)
				require.Contains(t, fetchCodes, p.ErrorCode)
				if offset < 2 {
					require.NotContains(t, definite, p.ErrorCode)
				}
			}
			n.clear()
			eventually(t, "reading again", func() bool { return fetch(c, to, 0).ErrorCode == 0 })
		})
	}
	c.t = t
	require.Len(t, everything(c, to), 2)
}

// Semantics line 40: an unknown topic id is answered with 100 in each partition. What it means in a session has a test of
// its own.
func TestLine40TopicIDsInFetch(t *testing.T) {
	c := dial(t, shared(t))
	old := create(c, "line40", 1)
	stored(c, old, plain("old"), 0)
	remove(c, "line40")
	here := create(c, "line40", 1)
	stored(c, here, plain("new"), 0)
	req := fetchRequest(0, old, here, topic{id: [16]byte{1, 2, 3}})
	req.Topics[0].Partitions = append(req.Topics[0].Partitions, req.Topics[0].Partitions[0])
	req.Topics[0].Partitions[1].Partition = 1
	for version := int16(13); version <= 17; version++ {
		resp := ask[*kmsg.FetchResponse](c, version, req)
		require.Zero(t, resp.ErrorCode)
		require.Len(t, resp.Topics, 3)
		require.Equal(t, []int16{100, 100}, []int16{resp.Topics[0].Partitions[0].ErrorCode, resp.Topics[0].Partitions[1].ErrorCode})
		require.Equal(t, int16(100), resp.Topics[2].Partitions[0].ErrorCode)
		require.Equal(t, []held{{0, "new"}}, records(t, resp.Topics[1].Partitions[0].RecordBatches))
		require.Equal(t, [][16]byte{old.id, here.id}, [][16]byte{resp.Topics[0].TopicID, resp.Topics[1].TopicID})
	}
}

// Semantics line 41: a current_leader_epoch above the broker's is answered with 75, one below it with 74 (there is none
// below 0), -1 is not looked at; in Fetch, where no negative one is, ListOffsets and OffsetForLeaderEpoch.
func TestLine41CurrentLeaderEpoch(t *testing.T) {
	c := dial(t, shared(t))
	to := create(c, "line41", 1)
	stored(c, to, plain("v"), 0)
	for epoch, want := range map[int32]int16{-1: 0, 0: 0, 1: 75, 1<<31 - 1: 75, -2: 74} {
		f := fetchRequest(0, to)
		f.Topics[0].Partitions[0].CurrentLeaderEpoch = epoch
		inFetch := want
		if epoch < 0 {
			inFetch = 0
		}
		require.Equal(t, inFetch, only(c, ask[*kmsg.FetchResponse](c, 12, f)).ErrorCode, "Fetch, epoch %d", epoch)
		l := kmsg.NewPtrListOffsetsRequest()
		lt, lp := kmsg.NewListOffsetsRequestTopic(), kmsg.NewListOffsetsRequestTopicPartition()
		lt.Topic, lp.CurrentLeaderEpoch, lp.Timestamp = to.name, epoch, -1
		lt.Partitions = append(lt.Partitions, lp)
		l.Topics = append(l.Topics, lt)
		require.Equal(t, want, ask[*kmsg.ListOffsetsResponse](c, 7, l).Topics[0].Partitions[0].ErrorCode, "ListOffsets, epoch %d", epoch)
		require.Equal(t, want, epochEnd(c, to, epoch, 0).ErrorCode, "OffsetForLeaderEpoch, epoch %d", epoch)
	}
}

// Semantics line 42: a log that never truncates never tells a client that it diverged, whatever epoch it fetched last,
// and the epochs in batches do not go back.
func TestLine42NothingDiverges(t *testing.T) {
	c := dial(t, shared(t))
	to := create(c, "line42", 1)
	for i := range int64(3) {
		stored(c, to, batchOf(func(b *kmsg.RecordBatch) { b.PartitionLeaderEpoch = 9 - int32(i) }, rawbatch.Values("v")...), i)
	}
	for _, last := range []int32{-1, 0} {
		for offset := range int64(4) {
			req := fetchRequest(offset, to)
			req.Topics[0].Partitions[0].LastFetchedEpoch = last
			p := only(c, ask[*kmsg.FetchResponse](c, 12, req))
			require.Zero(t, p.ErrorCode)
			require.Equal(t, kmsg.NewFetchResponseTopicPartitionDivergingEpoch(), p.DivergingEpoch)
			got := batches(t, p.RecordBatches)
			require.Len(t, got, int(3-offset))
			require.True(t, slices.IsSortedFunc(got, func(x, y kmsg.RecordBatch) int {
				return int(x.PartitionLeaderEpoch - y.PartitionLeaderEpoch)
			}))
		}
	}
}
