package api

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// A real client end to end: auto-creation, idempotent produce, fetch with long polls, admin.
func TestFranzGo(t *testing.T) {
	c := newCluster(t)
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
	defer cancel()
	client, err := kgo.NewClient(kgo.SeedBrokers(c.addr), kgo.AllowAutoTopicCreation(), kgo.ConsumeTopics("orders"),
		kgo.FetchMaxWait(time.Second), kgo.ProducerBatchCompression(kgo.ZstdCompression()))
	require.NoError(t, err)
	defer client.Close()
	const n = 100
	want := map[string]bool{}
	for i := range n {
		r := &kgo.Record{Topic: "orders", Key: fmt.Append(nil, i%7), Value: fmt.Append(nil, "value ", i)}
		want[string(r.Value)] = true
		client.Produce(ctx, r, func(_ *kgo.Record, err error) {
			if err != nil {
				t.Error(err)
			}
		})
	}
	require.NoError(t, client.Flush(ctx))
	next := map[int32]int64{}
	for len(want) > 0 {
		fetches := client.PollFetches(ctx)
		require.NoError(t, fetches.Err())
		fetches.EachRecord(func(r *kgo.Record) {
			require.Equal(t, next[r.Partition], r.Offset)
			next[r.Partition]++
			require.True(t, want[string(r.Value)], "%s", r.Value)
			delete(want, string(r.Value))
		})
	}
	admin := kadm.NewClient(client)
	ends, err := admin.ListEndOffsets(ctx, "orders")
	require.NoError(t, err)
	total := int64(0)
	ends.Each(func(o kadm.ListedOffset) { total += o.Offset })
	require.Equal(t, int64(n), total)
	_, err = admin.CreateTopic(ctx, 5, 3, map[string]*string{"retention.ms": kadm.StringPtr("1000")}, "made")
	require.NoError(t, err)
	configs, err := admin.DescribeTopicConfigs(ctx, "made")
	require.NoError(t, err)
	made, err := configs.On("made", nil)
	require.NoError(t, err)
	require.NotEmpty(t, made.Configs)
	deleted, err := admin.DeleteTopics(ctx, "made")
	require.NoError(t, err)
	require.NoError(t, deleted.Error())
}

// kcat lists, produces and consumes, where it is installed; the integration suite demands it.
func TestKcat(t *testing.T) {
	kcat, err := exec.LookPath("kcat")
	if err != nil {
		t.Skip("kcat is not installed")
	}
	c := newCluster(t)
	c.topic("t", 1)
	run := func(in string, args ...string) string {
		ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
		defer cancel()
		cmd := exec.CommandContext(ctx, kcat, append([]string{"-b", c.addr}, args...)...)
		cmd.Stdin = strings.NewReader(in)
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		return string(out)
	}
	require.Contains(t, run("", "-L"), `topic "t" with 1 partitions`)
	run("one\ntwo\nthree\n", "-P", "-t", "t", "-z", "lz4")
	run("four\n", "-P", "-t", "t", "-X", "enable.idempotence=true")
	require.Equal(t, "one\ntwo\nthree\nfour\n", run("", "-C", "-t", "t", "-o", "beginning", "-e", "-q"))
}
