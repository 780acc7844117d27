package semantics

import (
	"encoding/hex"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// reading is a request of a reader of committed records, or of all.
func reading(offset int64, committed bool, topics ...topic) *kmsg.FetchRequest {
	req := fetchRequest(offset, topics...)
	if committed {
		req.IsolationLevel = 1
	}
	return req
}

// aborts are the aborted transactions of an answer: first offsets by producer id; nil for null.
func aborts(p fetched) map[int64][]int64 {
	if p.AbortedTransactions == nil {
		return nil
	}
	m := map[int64][]int64{}
	for _, a := range p.AbortedTransactions {
		m[a.ProducerID] = append(m[a.ProducerID], a.FirstOffset)
	}
	return m
}

// bases are the first offsets of fetched batches.
func bases(t *testing.T, p fetched) (list []int64) {
	t.Helper()
	for _, b := range batches(t, p.RecordBatches) {
		list = append(list, b.FirstOffset)
	}
	return list
}

// Semantics line 43: who reads committed records gets those below the last stable offset, which is where the first open
// transaction begins, or else the high watermark. Every answer tells it, also those of readers of everything.
func TestLine43LastStableOffset(t *testing.T) {
	t.Parallel()
	n := shared(t)
	c := dial(t, n)
	to := create(c, "line43", 1)
	a, b := transactorOf(t, n, 1, "line43-a"), transactorOf(t, n, 2, "line43-b")
	check := func(high, lso int64, all, committed []int64) {
		t.Helper()
		for version := int16(4); version <= 17; version++ {
			for isolation, want := range map[bool][]int64{false: all, true: committed} {
				p := only(c, ask[*kmsg.FetchResponse](c, version, reading(0, isolation, to)))
				require.Zero(t, p.ErrorCode)
				require.Equal(t, []int64{high, lso}, []int64{p.HighWatermark, p.LastStableOffset}, "version %d", version)
				require.Equal(t, want, bases(t, p), "version %d, committed %t", version, isolation)
			}
		}
	}
	stored(c, to, plain("0"), 0)
	check(1, 1, []int64{0}, []int64{0})
	a.puts(to, 0, "1", "2")
	check(3, 1, []int64{0, 1}, []int64{0})
	stored(c, to, plain("3"), 3)
	b.puts(to, 0, "4")
	a.puts(to, 0, "5")
	check(6, 1, []int64{0, 1, 3, 4, 5}, []int64{0})
	b.ends(true) // 6: the first open transaction is still a's
	check(7, 1, []int64{0, 1, 3, 4, 5, 6}, []int64{0})
	b.puts(to, 0, "7")
	a.ends(false) // 8: what was committed between shows up to b's second one
	check(9, 7, []int64{0, 1, 3, 4, 5, 6, 7, 8}, []int64{0, 1, 3, 4, 5, 6})
	b.ends(true) // 9
	check(10, 10, []int64{0, 1, 3, 4, 5, 6, 7, 8, 9}, []int64{0, 1, 3, 4, 5, 6, 7, 8, 9})
	require.Equal(t, []string{"0", "3", "4", "7"}, committedValues(c, to, 0))
}

// Semantics line 43, over agents: nobody who reads one of them sees the last stable offset, or the high watermark, go
// back, nor the first above the second.
func TestLine43StableOffsetsRise(t *testing.T) {
	t.Parallel()
	cl := newCluster(t)
	one, two := cl.start(t, nil), cl.start(t, nil)
	c := dial(t, one)
	to := create(c, "line43-rises", 1)
	done := make(chan struct{})
	var readers, writers sync.WaitGroup
	moved := make([]int, 2)
	for i, n := range []*node{one, two} {
		c := dial(t, n)
		readers.Go(func() {
			var lso, high int64
			for {
				select {
				case <-done:
					return
				default:
				}
				p := only(c, ask[*kmsg.FetchResponse](c, 12, reading(lso, true, to)))
				if p.ErrorCode != 0 {
					continue // this agent has not heard of the topic yet
				}
				if p.LastStableOffset < lso || p.HighWatermark < high || p.LastStableOffset > p.HighWatermark {
					t.Errorf("from %d and %d to %d and %d", lso, high, p.LastStableOffset, p.HighWatermark)
					return
				}
				if p.LastStableOffset > lso {
					moved[i]++
				}
				lso, high = p.LastStableOffset, p.HighWatermark
			}
		})
	}
	for i := range 3 {
		id := fmt.Sprint("line43-", i)
		x := transactorOf(t, coordinator(t, id, one, two), 2, id)
		writers.Go(func() {
			for k := range 15 {
				x.puts(to, 0, "v")
				x.puts(to, 0, "w")
				x.ends((k+i)%3 != 0)
			}
		})
	}
	writers.Wait()
	close(done)
	readers.Wait()
	require.Positive(t, moved[0])
	require.Positive(t, moved[1])
	require.Equal(t, int64(3*15*3), end(c, to))
	lso, next := stable(c, to, 0)
	require.Equal(t, []int64{3 * 15 * 3, 3 * 15 * 3}, []int64{lso, next})
	require.Len(t, committedValues(c, to, 0), 3*10*2)
}

// Semantics line 44: who reads committed records hears of every aborted transaction that overlaps what is returned, also
// of one that began below the fetch offset; an empty array if there is none, null for who reads everything.
func TestLine44AbortedTransactions(t *testing.T) {
	t.Parallel()
	n := shared(t)
	c := dial(t, n)
	to := create(c, "line44", 1)
	a, b := transactorOf(t, n, 2, "line44-a"), transactorOf(t, n, 1, "line44-b")
	stored(c, to, plain("0"), 0)
	a.puts(to, 0, "1")
	b.puts(to, 0, "2", "3")
	a.puts(to, 0, "4")
	b.ends(false) // 5
	a.ends(false) // 6
	a.puts(to, 0, "7")
	a.ends(true) // 8
	a.puts(to, 0, "9")
	a.ends(false) // 10
	for version := int16(4); version <= 17; version++ {
		for _, e := range []struct {
			offset   int64
			maxBytes int32
			bases    []int64
			want     map[int64][]int64
		}{
			{0, 1 << 20, []int64{0, 1, 2, 4, 5, 6, 7, 8, 9, 10}, map[int64][]int64{a.pid: {1, 9}, b.pid: {2}}},
			{0, 1, []int64{0}, map[int64][]int64{}},
			{1, 1, []int64{1}, map[int64][]int64{a.pid: {1}}},
			{3, 1, []int64{2}, map[int64][]int64{a.pid: {1}, b.pid: {2}}},
			{5, 1, []int64{5}, map[int64][]int64{a.pid: {1}, b.pid: {2}}},
			{6, 1, []int64{6}, map[int64][]int64{a.pid: {1}}},
			{7, 1, []int64{7}, map[int64][]int64{}},
			{10, 1, []int64{10}, map[int64][]int64{a.pid: {9}}},
			{11, 1, nil, map[int64][]int64{}},
		} {
			req := reading(e.offset, true, to)
			req.Topics[0].Partitions[0].PartitionMaxBytes = e.maxBytes
			p := only(c, ask[*kmsg.FetchResponse](c, version, req))
			require.Equal(t, e.bases, bases(t, p), "version %d from %d", version, e.offset)
			require.Equal(t, e.want, aborts(p), "version %d from %d", version, e.offset)
			all := only(c, ask[*kmsg.FetchResponse](c, version, reading(e.offset, false, to)))
			require.Nil(t, aborts(all), "version %d from %d", version, e.offset)
		}
	}
	require.Equal(t, []string{"0", "7"}, committedValues(c, to, 0))
}

// Semantics line 44: a fetch that waits is answered with the aborted transactions of the moment of its answer. Semantics
// line 34: it waits for stable bytes, through what open transactions write, and the end of one, at whichever agent, wakes
// it: EndTxn, and InitProducerId that aborts what its predecessor left open.
func TestLine44DelayedFetch(t *testing.T) {
	t.Parallel()
	cl := newCluster(t)
	one, two := cl.start(t, nil), cl.start(t, nil)
	c := dial(t, one)
	to := create(c, "line44-delayed", 1)
	for _, e := range []struct {
		name   string
		end    func(x *transactor)
		aborts bool
	}{
		{"commit", func(x *transactor) { x.ends(true) }, false},
		{"abort", func(x *transactor) { x.ends(false) }, true},
		{"another instance", func(x *transactor) { x.init() }, true},
	} {
		id := "line44-" + e.name
		x := transactorOf(t, coordinator(t, id, one, two), 2, id)
		pid, first := x.pid, x.puts(to, 0, "open")
		readers := []*client{dial(t, one), dial(t, two)}
		eventually(t, "the second agent has the record", func() bool {
			return fetch(readers[1], to, first).HighWatermark > first
		})
		ids := make([]int32, len(readers))
		requests := make([]*kmsg.FetchRequest, len(readers))
		for i, r := range readers {
			requests[i] = reading(first, true, to)
			requests[i].SetVersion(12)
			requests[i].MaxWaitMillis = 240_000
			ids[i] = r.send(requests[i])
		}
		stored(c, to, plain("beside it"), first+1)
		for _, r := range readers {
			r.nc.SetReadDeadline(timeIn(50))
			_, err := r.r.Peek(1)
			require.Error(t, err, "%s: answered although nothing is stable", e.name)
		}
		began := time.Now()
		e.end(x)
		for i, r := range readers {
			p := only(r, receive[*kmsg.FetchResponse](r, ids[i], requests[i]))
			require.Less(t, time.Since(began), 2*time.Minute, "%s: not woken", e.name)
			require.Equal(t, []int64{first, first + 1, first + 2}, bases(t, p), e.name)
			require.Equal(t, first+3, p.LastStableOffset)
			want := map[int64][]int64{}
			if e.aborts {
				want[pid] = []int64{first}
			}
			require.Equal(t, want, aborts(p), e.name)
		}
	}
	require.Equal(t, []string{"open", "beside it", "beside it", "beside it"}, committedValues(c, to, 0))
}

// Semantics line 38, with transactions: a session of a reader of committed records hears of what moved, open transactions
// as changed watermarks and their ends with the records. (KIP-227; Semantics line 43.)
func TestLine38SessionsOverTransactions(t *testing.T) {
	t.Parallel()
	n := shared(t)
	c := dial(t, n)
	to, other := create(c, "line38-txn", 1), create(c, "line38-txn-other", 1)
	x := transactorOf(t, n, 2, "line38")
	req := inSession(0, 0, 0, to, other)
	req.IsolationLevel = 1
	resp := ask[*kmsg.FetchResponse](c, 12, req)
	s := &polls{c, 12, resp.SessionID, 1}
	committed := func(req *kmsg.FetchRequest) { req.IsolationLevel = 1 }
	require.Empty(t, s.poll(committed))
	x.puts(to, 0, "0")
	require.Equal(t, []said{{to.name, 0, 1, 0, 0}}, s.poll(committed), "the high watermark moved, nothing is stable")
	require.Empty(t, s.poll(committed))
	x.ends(false)
	got := s.poll(committed)
	require.Len(t, got, 1)
	require.Positive(t, got[0].records)
	require.Equal(t, int64(2), got[0].high)
	require.Empty(t, s.poll(func(req *kmsg.FetchRequest) { committed(req); seek(2, to)(req) }))
	// The other level shows everything at once.
	x.puts(to, 0, "2")
	require.Zero(t, s.poll(committed)[0].records)
	got = s.poll(nil)
	require.NotEmpty(t, got)
	require.Positive(t, got[0].records)
}

// Semantics line 45: a marker takes one offset and is a control batch of the transaction, with the key that says how it
// ended, for both kinds of readers and from every agent the same. An answer of aborted records and markers alone is a
// normal one.
func TestLine45Markers(t *testing.T) {
	t.Parallel()
	cl := newCluster(t)
	one, two := cl.start(t, nil), cl.start(t, nil)
	ca, cb := dial(t, one), dial(t, two)
	bothVersions(t, func(t *testing.T, tv int) {
		to := create(ca, fmt.Sprint("line45-", tv), 1)
		id := fmt.Sprint("line45-", tv)
		for i, commit := range []bool{true, false} {
			x := transactorOf(t, coordinator(t, id, one, two), tv, id)
			epoch := x.epoch
			at := x.puts(to, 0, "a", "b") + 2
			require.Equal(t, int64(3*i+2), at)
			began := time.Now().UnixMilli()
			x.ends(commit)
			require.Equal(t, at+1, end(ca, to))
			if tv == 2 {
				epoch++ // of the producer behind the transaction, as Apache Kafka has it
			}
			key := []byte{0, 0, 0, 0}
			if commit {
				key[3] = 1
			}
			var first string
			for _, c := range []*client{ca, cb} {
				eventually(t, "both agents have the marker", func() bool { return fetch(c, to, at).HighWatermark > at })
				for _, committed := range []bool{false, true} {
					p := only(c, ask[*kmsg.FetchResponse](c, 12, reading(at, committed, to)))
					require.Zero(t, p.ErrorCode)
					got := batches(t, p.RecordBatches)
					require.Len(t, got, 1)
					b := got[0]
					require.Equal(t, int16(0x30), b.Attributes)
					require.Equal(t, []int64{at, 0, 1}, []int64{b.FirstOffset, int64(b.LastOffsetDelta), int64(b.NumRecords)})
					require.Equal(t, []int64{x.pid, int64(epoch), -1}, []int64{b.ProducerID, int64(b.ProducerEpoch), int64(b.FirstSequence)})
					require.InDelta(t, began, b.FirstTimestamp, 60_000)
					require.Equal(t, b.FirstTimestamp, b.MaxTimestamp)
					var r kmsg.Record
					require.NoError(t, r.ReadFrom(b.Records))
					require.Equal(t, key, r.Key)
					require.Equal(t, []byte{0, 0, 0, 0, 0, 0}, r.Value)
					if first == "" {
						first = hex.EncodeToString(p.RecordBatches)
					}
					require.Equal(t, first, hex.EncodeToString(p.RecordBatches), "the same bytes everywhere")
				}
			}
		}
		// The second transaction, and nothing else.
		p := only(ca, ask[*kmsg.FetchResponse](ca, 12, reading(3, true, to)))
		require.Zero(t, p.ErrorCode)
		require.Equal(t, []int64{3, 5}, bases(t, p))
		require.Equal(t, []string{"a", "b"}, committedValues(ca, to, 0))
	})
}

// Semantics line 84: a consumer that has read a transaction commits the position behind its last record, which is the
// marker's; from there it goes on, and its lag is one.
func TestLine84PositionsAtMarkers(t *testing.T) {
	t.Parallel()
	n := shared(t)
	c := dial(t, n)
	to := create(c, "line84", 1)
	x := transactorOf(t, n, 2, "line84")
	x.puts(to, 0, "a", "b")
	x.ends(true)
	commit := kmsg.NewPtrOffsetCommitRequest()
	commit.Group, commit.Generation = "line84", -1
	in := kmsg.NewOffsetCommitRequestTopic()
	in.Topic = to.name
	part := kmsg.NewOffsetCommitRequestTopicPartition()
	part.Offset = 2
	in.Partitions = append(in.Partitions, part)
	commit.Topics = append(commit.Topics, in)
	require.Zero(t, ask[*kmsg.OffsetCommitResponse](c, 8, commit).Topics[0].Partitions[0].ErrorCode)
	position, code := unstable(c, "line84", to, 0)
	require.Equal(t, []int64{2, 0}, []int64{position, int64(code)})
	for _, committed := range []bool{false, true} {
		p := only(c, ask[*kmsg.FetchResponse](c, 12, reading(position, committed, to)))
		require.Zero(t, p.ErrorCode)
		require.Equal(t, []int64{2}, bases(t, p), "the marker, which brings the consumer forward")
		require.Equal(t, int64(1), p.HighWatermark-position, "its lag")
	}
	stored(c, to, plain("c"), 3)
	p := only(c, ask[*kmsg.FetchResponse](c, 12, reading(position, true, to)))
	require.Equal(t, []int64{2, 3}, bases(t, p))
}

// Semantics lines 46, 47: the latest offset, the newest record and the first since a time, as far as readers of committed
// records may know of them. Markers have a time as records do.
func TestLine46OffsetsOfCommittedRecords(t *testing.T) {
	t.Parallel()
	n := shared(t)
	c := dial(t, n)
	to := create(c, "line46-txn", 1)
	x := transactorOf(t, n, 2, "line46")
	now := time.Now().UnixMilli()
	at := func(offset int64, ms int64) [2]int64 { return [2]int64{offset, ms} }
	none := at(-1, -1)
	check := func(ms int64, all, committed [2]int64) {
		t.Helper()
		for isolation, want := range map[int8][2]int64{0: all, 1: committed} {
			req := kmsg.NewPtrListOffsetsRequest()
			req.ReplicaID, req.IsolationLevel = -1, isolation
			in := kmsg.NewListOffsetsRequestTopic()
			in.Topic = to.name
			p := kmsg.NewListOffsetsRequestTopicPartition()
			p.Timestamp, p.CurrentLeaderEpoch = ms, -1
			in.Partitions = append(in.Partitions, p)
			req.Topics = append(req.Topics, in)
			for version := int16(2); version <= 11; version++ {
				if ms == -3 && version < 7 {
					continue
				}
				got := ask[*kmsg.ListOffsetsResponse](c, version, req).Topics[0].Partitions[0]
				require.Zero(t, got.ErrorCode)
				require.Equal(t, want, at(got.Offset, got.Timestamp), "time %d, isolation %d, version %d", ms, isolation, version)
			}
		}
	}
	stored(c, to, batchOf(func(b *kmsg.RecordBatch) { b.FirstTimestamp, b.MaxTimestamp = now-9000, now-9000 }, kmsg.Record{}), 0)
	open := batchOf(func(b *kmsg.RecordBatch) {
		b.ProducerID, b.ProducerEpoch, b.FirstSequence, b.Attributes = x.pid, x.epoch, 0, 0x10
		b.FirstTimestamp, b.MaxTimestamp = now-5000, now-5000
	}, kmsg.Record{})
	require.Zero(t, x.writeBatch(12, to, 0, open).ErrorCode)
	check(-1, at(2, -1), at(1, -1))
	check(-2, at(0, -1), at(0, -1))
	check(-3, at(1, now-5000), none)
	check(now-9500, at(0, now-9000), at(0, now-9000))
	check(now-6000, at(1, now-5000), none)
	check(now-4000, none, none)
	x.ends(true)
	marker := batches(t, fetch(c, to, 2).RecordBatches)[0].MaxTimestamp
	for ms, want := range map[int64][2]int64{
		-1: at(3, -1), -2: at(0, -1), -3: at(2, marker), now - 6000: at(1, now-5000), now - 4000: at(2, marker), marker + 1: none,
	} {
		check(ms, want, want)
	}
}
