package delay_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/integration/cluster"
	"wadi/integration/delay"
)

// client is a franz-go client that reads one topic and writes what it reads to another, in transactions (KIP-447), some
// of which it aborts. In each of them a request is caught and sent again by the client, and the one that was caught
// arrives while the next one runs. What is there in the end is what was read, once.
func (s suite) client(t *testing.T) {
	const id, total, atOnce = "a-client", 80, 4
	ctx, cancel := context.WithTimeout(t.Context(), 3*patience)
	defer cancel()
	raw := cluster.NewRaw(t, s.c.Agents[0])
	for _, name := range []string{"client-in", "client-out"} {
		_, err := raw.Make(ctx, name, 2)
		require.NoError(t, err)
	}
	want := fill(ctx, t, s.c, "client-in", total)
	session, err := kgo.NewGroupTransactSession(
		kgo.SeedBrokers(s.c.Addresses()...), kgo.TransactionalID(id), kgo.ConsumerGroup(id), kgo.ConsumeTopics("client-in"),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.DefaultProduceTopic("client-out"), kgo.RetryBackoffFn(func(int) time.Duration { return 20 * time.Millisecond }),
	)
	require.NoError(t, err)
	defer session.Close()

	keys := []kmsg.Key{kmsg.EndTxn, kmsg.Produce, kmsg.TxnOffsetCommit}
	var before *delay.Catch
	for n, done := 0, 0; done < total; n++ {
		fetches := session.PollRecords(ctx, atOnce)
		require.NoError(t, fetches.Err())
		commit := n%4 != 3
		key := keys[n%len(keys)]
		if !commit && key == kmsg.TxnOffsetCommit { // is not sent then
			key = kmsg.EndTxn
		}
		late := s.rules.Hold(delay.Transactional(id, key))
		go cut(ctx, late)
		require.NoError(t, session.Begin())
		fetches.EachRecord(func(r *kgo.Record) {
			session.Produce(ctx, kgo.StringRecord(string(r.Value)), func(_ *kgo.Record, err error) {
				if err != nil {
					t.Errorf("transaction %d: %v", n, err)
				}
			})
		})
		require.NoError(t, session.Client().Flush(ctx))
		if before != nil {
			resp, err := before.Release(ctx)
			require.NoError(t, err)
			require.Contains(t, []int16{47, 90}, codeOf(resp), "%T came late", resp)
		}
		ended, err := session.End(ctx, kgo.TransactionEndTry(commit))
		require.NoError(t, err)
		require.Equal(t, commit, ended, "transaction %d", n)
		if commit {
			done += fetches.NumRecords()
		}
		before = late
	}
	require.ElementsMatch(t, want, drain(ctx, t, s.c, "client-out"))
}

// cut takes the connection of what is caught.
func cut(ctx context.Context, c *delay.Catch) {
	if _, err := c.Wait(ctx); err == nil {
		c.Cut()
	}
}

// fill writes that many records and returns their values.
func fill(ctx context.Context, t *testing.T, c *cluster.Cluster, topic string, n int) (values []string) {
	t.Helper()
	source, err := kgo.NewClient(kgo.SeedBrokers(c.Addresses()...), kgo.DefaultProduceTopic(topic), kgo.RecordPartitioner(kgo.RoundRobinPartitioner()))
	require.NoError(t, err)
	defer source.Close()
	for i := range n {
		values = append(values, fmt.Sprint("value ", i))
		source.Produce(ctx, kgo.StringRecord(values[i]), func(_ *kgo.Record, err error) {
			if err != nil {
				t.Error(err)
			}
		})
	}
	require.NoError(t, source.Flush(ctx))
	return values
}

// drain reads what is committed in a topic of two partitions, up to its end.
func drain(ctx context.Context, t *testing.T, c *cluster.Cluster, topic string) (values []string) {
	t.Helper()
	p := &producer{t: t, topic: cluster.Topic{Name: topic}}
	client, err := kgo.NewClient(kgo.SeedBrokers(c.Addresses()...))
	require.NoError(t, err)
	defer client.Close()
	p.agents = append(p.agents, client)
	for partition := range int32(2) {
		values = append(values, p.visible(partition)...)
	}
	return values
}
