package retention

import (
	"context"
	"crypto/rand"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// size of the values, so that each record is an object of its own; small ones lie in the journal and its archives.
const (
	size  = 64 << 10
	small = 900
)

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

func (n *node) client(t *testing.T, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	c, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(n.addr), kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.ProducerLinger(0), kgo.FetchMaxWait(100 * time.Millisecond),
	}, opts...)...)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

// create makes a topic of one partition that keeps everything.
func create(t *testing.T, c *kgo.Client, name string) {
	t.Helper()
	req := kmsg.NewPtrCreateTopicsRequest()
	in := kmsg.NewCreateTopicsRequestTopic()
	in.Topic, in.NumPartitions, in.ReplicationFactor = name, 1, -1
	cfg := kmsg.NewCreateTopicsRequestTopicConfig()
	cfg.Name, cfg.Value = "retention.ms", kmsg.StringPtr("-1")
	in.Configs = append(in.Configs, cfg)
	req.Topics = append(req.Topics, in)
	resp, err := req.RequestWith(within(t), c)
	require.NoError(t, err)
	require.NoError(t, kerr.ErrorForCode(resp.Topics[0].ErrorCode))
}

func set(t *testing.T, c *kgo.Client, topic, name, value string) {
	t.Helper()
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	in := kmsg.NewIncrementalAlterConfigsRequestResource()
	in.ResourceType, in.ResourceName = kmsg.ConfigResourceTypeTopic, topic
	cfg := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
	cfg.Name, cfg.Value = name, &value
	in.Configs = append(in.Configs, cfg)
	req.Resources = append(req.Resources, in)
	resp, err := req.RequestWith(within(t), c)
	require.NoError(t, err)
	require.NoError(t, kerr.ErrorForCode(resp.Resources[0].ErrorCode))
}

// record is one of some bytes that begin with its topic and number.
func record(topic string, n, bytes int, at time.Time) *kgo.Record {
	value := make([]byte, bytes)
	_, _ = rand.Read(value) // it never fails
	copy(value, fmt.Sprintf("%s %d ", topic, n))
	return &kgo.Record{Topic: topic, Partition: 0, Timestamp: at, Value: value}
}

// write stores records from one number to another, each with a request of its own.
func write(t *testing.T, c *kgo.Client, topic string, from, to, bytes int, at time.Time) {
	t.Helper()
	for i := from; i < to; i++ {
		require.NoError(t, c.ProduceSync(within(t), record(topic, i, bytes, at)).FirstErr())
	}
}

// requireHeld reads a topic from its start and requires that it holds these numbers and no others.
func (n *node) requireHeld(t *testing.T, topic string, from, to int) {
	t.Helper()
	c := n.client(t, kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().AtStart()}}))
	defer c.Close()
	for next := from; next < to; {
		fetches := c.PollFetches(within(t))
		require.NoError(t, fetches.Err())
		fetches.EachRecord(func(r *kgo.Record) {
			require.Equal(t, int64(next), r.Offset)
			require.Equal(t, fmt.Sprintf("%s %d ", topic, next), string(r.Value[:len(topic)+len(fmt.Sprint(next))+2]))
			next++
		})
	}
}

// remove deletes a topic.
func (n *node) remove(t *testing.T, c *kgo.Client, topic string) {
	t.Helper()
	req := kmsg.NewPtrDeleteTopicsRequest()
	req.TopicNames = []string{topic}
	of := kmsg.NewDeleteTopicsRequestTopic()
	of.Topic = kmsg.StringPtr(topic)
	req.Topics = append(req.Topics, of)
	resp, err := req.RequestWith(within(t), c)
	require.NoError(t, err)
	require.NoError(t, kerr.ErrorForCode(resp.Topics[0].ErrorCode))
}

// logStart is where a topic's partition begins.
func (n *node) logStart(t *testing.T, topic string) int64 {
	t.Helper()
	c := n.client(t)
	defer c.Close()
	list, err := kadm.NewClient(c).ListStartOffsets(within(t), topic)
	require.NoError(t, err)
	o, ok := list.Lookup(topic, 0)
	require.True(t, ok)
	require.NoError(t, o.Err)
	return o.Offset
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for limit := time.Now().Add(patience); !holds(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// Retention by time and by size, and the deletion of a topic, free objects in the bucket, down to those that must stay,
// and no byte of these is lost. The last three checkpoints are kept: objects that they name go when they do.
func TestRetentionFreesObjects(t *testing.T) {
	n := start(t)
	c := n.client(t, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	for _, name := range []string{"time", "bytes", "kept", "deleted", "small"} {
		create(t, c, name)
	}
	now := time.Now()
	old := now.Add(-2 * time.Hour)
	write(t, c, "time", 0, 12, size, old)
	write(t, c, "time", 12, 15, size, now)
	write(t, c, "bytes", 0, 12, size, now)
	write(t, c, "kept", 0, 10, size, old)
	write(t, c, "deleted", 0, 10, size, now)
	write(t, c, "small", 0, 25, small, old)
	eventually(t, "the journal is archived", func() bool { return n.look(t)["archive"].bytes > 25*small })
	write(t, c, "small", 25, 28, small, now)
	before := n.look(t)
	require.Equal(t, 47, before["data"].objects)
	t.Logf("before: %v", before)

	set(t, c, "time", "retention.ms", "3600000")
	set(t, c, "small", "retention.ms", "3600000")
	set(t, c, "bytes", "retention.bytes", fmt.Sprint(4*size))
	n.remove(t, c, "deleted")

	const stays = 3 + 4 + 10
	freed := func() bool {
		x := n.look(t)["data"]
		return x.objects <= stays && x.bytes < stays*(size+1000)
	}
	eventually(t, "objects are freed", freed)
	for range 3 { // however often the compactor looks, nothing more goes; what stays may be merged
		after := n.look(t)
		t.Logf("after: %v", after)
		require.GreaterOrEqual(t, after["data"].bytes, int64(stays*size))
		n.requireHeld(t, "time", 12, 15)
		n.requireHeld(t, "bytes", 8, 12)
		n.requireHeld(t, "kept", 0, 10)
		n.requireHeld(t, "small", 25, 28)
		time.Sleep(time.Second)
	}
	eventually(t, "archives are freed", func() bool { return n.look(t)["archive"].bytes < 25*small/2 })
	n.requireHeld(t, "small", 25, 28)
	n.fsck(t)

	// What comes is retained as what was there; what lies in one object with the rest goes with it.
	write(t, c, "bytes", 12, 16, size, now)
	eventually(t, "room is made for new records", func() bool { return n.logStart(t, "bytes") == 12 })
	n.requireHeld(t, "bytes", 12, 16)
	n.fsck(t)
	for _, name := range []string{"time", "bytes", "kept", "small"} {
		n.remove(t, c, name)
	}
	eventually(t, "all objects are freed", func() bool { return n.look(t)["data"].objects == 0 })
	n.fsck(t)
	eventually(t, "three roots stay, and one that is being written", func() bool { return n.look(t)["root"].objects <= 4 })
}
