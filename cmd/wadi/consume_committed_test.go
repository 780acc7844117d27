package main

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// scribe writes transactions to partition 0 of topic t.
type scribe struct {
	t *testing.T
	*kgo.Client
}

func newScribe(t *testing.T, address, id string) scribe {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(address), kgo.TransactionalID(id), kgo.TransactionTimeout(time.Minute),
		kgo.DefaultProduceTopic("t"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	require.NoError(t, err)
	t.Cleanup(client.Close)
	return scribe{t, client}
}

// writes adds a record to the transaction that is open, or begins one.
func (s scribe) writes(begin bool, value string) {
	s.t.Helper()
	if begin {
		require.NoError(s.t, s.BeginTransaction())
	}
	require.NoError(s.t, s.ProduceSync(s.t.Context(), kgo.StringRecord(value)).FirstErr())
}

func (s scribe) ends(how kgo.TransactionEndTry) {
	s.t.Helper()
	require.NoError(s.t, s.EndTransaction(s.t.Context(), how))
}

// Committed records are printed alone, in the order of the log, up to where the first open transaction begins, also if what
// lies in front of it is to be passed over and its abort lies behind.
func TestConsumeCommitted(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "t"))
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	address := cluster.ListenAddrs()[0]
	consume := func(args ...string) string {
		t.Helper()
		return requireOK(t, wadi(t.Context(), "", append([]string{"consume", "--topic", "t", "--bootstrap-server", address}, args...)...))
	}
	const committed = "--isolation=read_committed"
	x, y, z := newScribe(t, address, "x"), newScribe(t, address, "y"), newScribe(t, address, "z")
	x.writes(true, "a1")
	y.writes(true, "b1")
	x.ends(kgo.TryAbort)
	x.writes(true, "a2")
	x.ends(kgo.TryCommit)
	y.writes(false, "b2")
	y.ends(kgo.TryCommit)
	require.Equal(t, "a1\nb1\na2\nb2\n", consume("--exit-at-end"))
	require.Equal(t, "a1\nb1\na2\nb2\n", consume("--exit-at-end", "--isolation", "read_uncommitted"))
	require.Equal(t, "b1\na2\nb2\n", consume("--exit-at-end", committed))
	require.Equal(t, "b1\na2\n", consume("--from-beginning", "--max-messages", "2", committed))
	require.Equal(t, "b1\na2\n", consume("--group", "g", "--from-beginning", "--max-messages", "2", committed))

	// What x writes is aborted behind the first record of z, which stays open.
	for range 20 {
		x.writes(true, "a3")
		x.ends(kgo.TryAbort)
	}
	x.writes(true, "a4")
	x.writes(false, "a5")
	z.writes(true, "c1")
	x.ends(kgo.TryAbort)
	require.Equal(t, "b1\na2\nb2\n", consume("--exit-at-end", committed))
	require.Empty(t, consume("--offset", "latest", "--exit-at-end", committed))
	require.Equal(t, 4+20+2+1, strings.Count(consume("--exit-at-end"), "\n"))
	z.ends(kgo.TryCommit)
	require.Equal(t, "b1\na2\nb2\nc1\n", consume("--exit-at-end", committed))
}

// Nothing but records to be passed over lies in front of the first open transaction: there is nothing to print.
func TestConsumeCommittedOfNothing(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "t"))
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	address := cluster.ListenAddrs()[0]
	x, y := newScribe(t, address, "x"), newScribe(t, address, "y")
	x.writes(true, "a1")
	y.writes(true, "b1")
	x.ends(kgo.TryAbort)
	require.Empty(t, requireOK(t, wadi(t.Context(), "", "consume", "--topic", "t", "--bootstrap-server", address, "--exit-at-end",
		"--isolation", "read_committed")))
}
