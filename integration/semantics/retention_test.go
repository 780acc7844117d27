package semantics

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/internal/batch"
	"wadi/internal/layout"
	"wadi/metadata/checkpoint"
	"wadi/objstore/fault"
)

// often lets the compactor look for work ten times a second, and what nobody needs go after a second.
var often = settings{"compactor.interval": "100ms", "gc.grace": "1s", "inline.max.bytes": "0"}

// Semantics lines 35, 92: retention by time moves the log start, at all agents; whoever asks for what is gone is told
// where the log begins now, and a consumer that may start over goes on there.
func TestLine92RetentionByTime(t *testing.T) {
	t.Parallel()
	cluster := newCluster(t)
	a, b := cluster.startWith(t, setup{settings: often, compactor: true}), cluster.start(t, settings{"roles": "broker"})
	ca, cb := dial(t, a), dial(t, b)
	hours := func(n int64) int64 { return time.Now().UnixMilli() - n*3_600_000 }
	to := create(ca, "line92", 1, "retention.ms", "-1")
	kept := create(ca, "line92-kept", 1, "cleanup.policy", "", "retention.ms", "1000")
	stored(ca, kept, at(t, batch.None, hours(9)), 0)
	stored(ca, to, at(t, batch.None, hours(9), hours(5)), 0)
	stored(cb, to, at(t, batch.None, hours(7)), 2)
	stored(ca, to, at(t, batch.None, hours(9), hours(0)), 3) // one of them is young
	stored(cb, to, at(t, batch.None, hours(9)), 5)           // behind one that stays
	require.Zero(t, offsetOf(ca, to, -2).Offset)
	require.Zero(t, alter(cb, ofTopic, to.name, set("retention.ms", "3600000")))
	eventually(t, "the log starts at 3", func() bool { return offsetOf(ca, to, -2).Offset == 3 })
	for name, c := range map[string]*client{"with the compactor": ca, "other": cb} {
		require.Equal(t, []int64{3, 6}, []int64{offsetOf(c, to, -2).Offset, end(c, to)}, name)
		for offset := range int64(7) {
			for _, version := range []int16{5, 12} {
				p := only(c, ask[*kmsg.FetchResponse](c, version, fetchRequest(offset, to)))
				require.Equal(t, []int64{3, 6}, []int64{p.LogStartOffset, p.HighWatermark}, "%s, offset %d", name, offset)
				if offset < 3 {
					require.Equal(t, int16(1), p.ErrorCode, "%s, offset %d", name, offset)
					require.Empty(t, p.RecordBatches)
				} else {
					require.Zero(t, p.ErrorCode, "%s, offset %d", name, offset)
				}
			}
		}
		require.Len(t, valuesOf(t, fetch(c, to, 3)), 3, name)
	}
	require.Zero(t, offsetOf(ca, kept, -2).Offset, "an empty policy keeps everything (KIP-1113)")
	// Consumers that had read up to 1.
	consumer := func(reset kgo.Offset) *kgo.Client {
		client, err := kgo.NewClient(kgo.SeedBrokers(b.addr), kgo.FetchMaxWait(50*time.Millisecond), kgo.ConsumeResetOffset(reset),
			kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{to.name: {0: kgo.NewOffset().At(1)}}))
		require.NoError(t, err)
		t.Cleanup(client.Close)
		return client
	}
	goesOn := consumer(kgo.NewOffset().AtStart())
	require.Equal(t, []int64{3, 4, 5}, polled(t, goesOn, 3))
	stored(cb, to, plain("on"), 6)
	require.Equal(t, []int64{6}, polled(t, goesOn, 1))
	require.ErrorIs(t, poll(t, consumer(kgo.NoResetOffset())), kerr.OffsetOutOfRange)
}

// polled are the offsets of the next n records.
func polled(t *testing.T, client *kgo.Client, n int) (offsets []int64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for len(offsets) < n {
		fetches := client.PollFetches(ctx)
		require.NoError(t, fetches.Err())
		fetches.EachRecord(func(r *kgo.Record) { offsets = append(offsets, r.Offset) })
	}
	return offsets
}

// poll is the error of a poll that must have one.
func poll(t *testing.T, client *kgo.Client) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		fetches := client.PollFetches(ctx)
		require.Empty(t, fetches.Records())
		if err := fetches.Err(); err != nil {
			return err
		}
	}
}

// Semantics line 92: retention by size keeps at least what was asked for, and the newest records; what a topic gets from
// the brokers counts, and changes of it act.
func TestLine92RetentionBySize(t *testing.T) {
	t.Parallel()
	n := newCluster(t).startWith(t, setup{settings: often, compactor: true})
	c := dial(t, n)
	to := create(c, "line92-bytes", 1)
	b := plain(strings.Repeat("v", 1000))
	for i := range int64(5) {
		stored(c, to, b, i)
	}
	require.Zero(t, alter(c, ofBroker, "", set("log.retention.bytes", strconv.Itoa(3*len(b)-1))))
	eventually(t, "the log starts at 2", func() bool { return offsetOf(c, to, -2).Offset == 2 })
	stored(c, to, b, 5)
	eventually(t, "the log starts at 3", func() bool { return offsetOf(c, to, -2).Offset == 3 })
	require.Len(t, valuesOf(t, fetch(c, to, 3)), 3)
	require.Equal(t, int64(3), fetch(c, to, 0).LogStartOffset)
	require.Zero(t, alter(c, ofTopic, to.name, set("retention.bytes", "0")))
	eventually(t, "nothing is left", func() bool { return offsetOf(c, to, -2).Offset == 6 })
	stored(c, to, b, 6)
}

// Semantics line 92: objects are deleted after the log start has moved past all that is in them, and no others.
func TestLine92ObjectsGoAfterTheLogStart(t *testing.T) {
	t.Parallel()
	cluster := newCluster(t)
	limits := checkpoint.DefaultLimits()
	limits.JournalBytes, limits.Interval = 1, 100*time.Millisecond
	n := cluster.startWith(t, setup{settings: often, checkpoints: limits, compactor: true})
	c := dial(t, n)
	to := create(c, "line92-objects", 1, "retention.ms", "-1")
	objects := func() (keys []string) {
		list, err := cluster.store.List(t.Context(), layout.NewObjects("semantics", 1).Root(), "", 1000)
		require.NoError(t, err)
		for _, o := range list {
			if strings.Contains(o.Key, "/flush/") || strings.Contains(o.Key, "/merge/") {
				keys = append(keys, o.Key)
			}
		}
		return keys
	}
	old := time.Now().UnixMilli() - 3_600_000
	for i := range int64(4) {
		stored(c, to, at(t, batch.None, old), i)
	}
	due := objects()
	require.Len(t, due, 4)
	stored(c, to, at(t, batch.None, time.Now().UnixMilli()), 4)
	client, err := kgo.NewClient(kgo.SeedBrokers(n.addr))
	require.NoError(t, err)
	defer client.Close()
	var mu sync.Mutex
	starts := map[int64][]string{} // what was deleted when the log started there
	n.script(fault.Fault{Op: fault.Delete, Times: -1, Do: fault.Hook(func(ctx context.Context, call fault.Call) error {
		req := kmsg.NewPtrListOffsetsRequest()
		in, p := kmsg.NewListOffsetsRequestTopic(), kmsg.NewListOffsetsRequestTopicPartition()
		in.Topic, p.Timestamp, p.CurrentLeaderEpoch = to.name, -2, -1
		in.Partitions = append(in.Partitions, p)
		req.Topics = append(req.Topics, in)
		resp, err := req.RequestWith(ctx, client)
		mu.Lock()
		defer mu.Unlock()
		start := int64(-1)
		if err == nil {
			start = resp.Topics[0].Partitions[0].Offset
		}
		for _, key := range call.Keys {
			if slices.Contains(due, key) {
				starts[start] = append(starts[start], key)
			}
		}
		return nil
	}, nil)})
	require.Zero(t, alter(c, ofTopic, to.name, set("retention.ms", "1000000")))
	eventually(t, "the objects go", func() bool { return len(objects()) == 1 })
	mu.Lock()
	defer mu.Unlock()
	require.Len(t, starts, 1)
	require.ElementsMatch(t, due, starts[4])
	require.Len(t, valuesOf(t, fetch(c, to, 4)), 1)
}
