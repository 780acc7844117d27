package cluster

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"wadi/internal/busy"
)

// drainLimit is how long a compactor may take to end in order.
const drainLimit = 10 * time.Second

// flushes writes a number of records to each topic, each of them an object of its own or shared with those of other topics.
func flushes(t *testing.T, c *Cluster, topics []Topic, from, to int) {
	t.Helper()
	ctx := within(t, 3*patience)
	client, err := kgo.NewClient(kgo.SeedBrokers(c.Addresses()...), kgo.ProducerLinger(0), kgo.MaxBufferedRecords(1))
	require.NoError(t, err)
	defer client.Close()
	for n := from; n < to; n++ {
		var all sync.WaitGroup
		for _, topic := range topics {
			all.Add(1)
			client.Produce(ctx, &kgo.Record{Topic: topic.Name, Partition: 0, Value: fmt.Appendf(nil, "%s %d", topic.Name, n)},
				func(_ *kgo.Record, err error) {
					defer all.Done()
					if err != nil {
						t.Errorf("produce: %v", err)
					}
				})
		}
		all.Wait()
	}
}

// readBack reads a topic from its start and requires what flushes wrote.
func readBack(t *testing.T, c *Cluster, topic Topic, to int) {
	t.Helper()
	ctx := within(t, 3*patience)
	client, err := kgo.NewClient(kgo.SeedBrokers(c.Addresses()...), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{
		topic.Name: {0: kgo.NewOffset().At(0)},
	}))
	require.NoError(t, err)
	defer client.Close()
	for n := 0; n < to; {
		fetches := client.PollFetches(ctx)
		require.NoError(t, fetches.Err())
		fetches.EachRecord(func(r *kgo.Record) {
			require.Equal(t, fmt.Sprintf("%s %d", topic.Name, n), string(r.Value), "offset %d", r.Offset)
			n++
		})
	}
}

// until waits for a condition.
func until(t *testing.T, limit time.Duration, what string, holds func() bool) time.Duration {
	t.Helper()
	began := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	for !holds() {
		select {
		case <-ctx.Done():
			t.Fatalf("not within %v: %s", limit, what)
		case <-time.After(50 * time.Millisecond):
		}
	}
	return time.Since(began)
}

// Processes that serve no clients merge what agents without that role wrote, and share the work. One that is killed has its
// share taken over within its session's time to live; one that is stopped gives it up before that. Clients see none of
// them, and every record stays where it is.
func TestCompactorProcesses(t *testing.T) {
	t.Parallel()
	c := Start(t, Options{Agents: 1, TTL: 4 * time.Second, Settings: "roles: [broker]\ncompactor.interval: 500ms\n" +
		"inline.max.bytes: 0\nflush: {interval: 5ms, puts.per.second: 0}\n"})
	agent := c.Agents[0]
	var topics []Topic
	for i := range 6 {
		topics = append(topics, newTopic(t, c, fmt.Sprintf("topic-%d", i), 1))
	}
	shards := func(p *Compactor) int { return int(Metric(p.HTTP, "wadi_compactor_shards ")) }
	merged := func(p *Compactor) float64 {
		return Metric(p.HTTP, `wadi_compactor_changes_total{outcome="applied",task="merge"}`)
	}
	waiting := func() float64 { return Metric(agent.HTTP, "wadi_unmerged_objects ") }

	flushes(t, c, topics, 0, 140)
	until(t, 2*patience, "the agent's metrics say what waits", func() bool { return waiting() >= 140 })
	require.Zero(t, Metric(agent.HTTP, "wadi_compactor_pass_seconds_count"), "the agent has no such role")

	one, two := c.StartCompactor("one"), c.StartCompactor("two")
	until(t, 2*patience, "the work is shared", func() bool {
		return shards(one)+shards(two) == 16 && min(shards(one), shards(two)) > 0
	})
	// Each partition has enough for a merge.
	until(t, 2*patience, "what waits is merged", func() bool { return merged(one)+merged(two) >= float64(len(topics)) })
	until(t, 2*patience, "the agent knows", func() bool { return waiting() < 140 })
	for _, p := range []*Compactor{one, two} {
		require.NoError(t, Failures(Metric(p.HTTP, "wadi_compactor_failures_total"), p.run.Output()))
	}
	m, err := NewRaw(t, agent).Metadata(within(t, patience), topics[0].Name)
	require.NoError(t, err)
	require.Len(t, m.Brokers, 1, "clients are told of a process that serves none")

	one.Kill()
	waited := busy.Since()
	took := until(t, patience, "the other one takes over", func() bool { return shards(two) == 16 })
	t.Logf("taken over after %v", took)
	require.Less(t, took, c.TTL+10*time.Second+waited())
	before := merged(two)
	flushes(t, c, topics, 140, 280)
	until(t, 2*patience, "what waits is merged by one", func() bool { return merged(two) >= before+float64(len(topics)) })

	three := c.StartCompactor("three")
	until(t, 2*patience, "the work is shared again", func() bool { return shards(two)+shards(three) == 16 && shards(three) > 0 })
	waited = busy.Since()
	stopped := two.Stop()
	require.Less(t, stopped, drainLimit+waited())
	took = until(t, patience, "the last one has all", func() bool { return shards(three) == 16 })
	t.Logf("handed over after %v", took)
	require.Less(t, took, c.TTL+10*time.Second+waited())
	for _, topic := range topics {
		readBack(t, c, topic, 280)
	}
}
