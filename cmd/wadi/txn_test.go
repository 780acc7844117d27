package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// hang begins a transaction and leaves it open: its client goes away.
func hang(t *testing.T, address, id string, topic string) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(address), kgo.TransactionalID(id), kgo.TransactionTimeout(10*time.Minute), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	require.NoError(t, err)
	defer client.Close()
	require.NoError(t, client.BeginTransaction())
	for p := range int32(2) {
		require.NoError(t, client.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Partition: p, Value: []byte("x")}).FirstErr())
	}
}

// Transactions are listed, described with their partitions, and one that hangs is aborted, once.
func TestTransactions(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(2, "t"))
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	address := cluster.ListenAddrs()[0]
	run := func(args ...string) result {
		return wadi(t.Context(), "", append(args, "--bootstrap-server", address)...)
	}
	hang(t, address, "one", "t")
	hang(t, address, "two", "t")
	require.Regexp(t, `^TRANSACTIONAL ID +STATE +PRODUCER +EPOCH +OPEN FOR\none +Ongoing +\d+ +\d+ +\d+s\ntwo +Ongoing .*\n$`, requireOK(t, run("txn", "list")))
	require.Regexp(t, `^one \(Ongoing, open for \d+s of 10m0s, producer \d+, epoch \d+\)\n  t 0 1\n$`, requireOK(t, run("txn", "describe", "one")))
	require.NotContains(t, requireOK(t, run("txn", "list", "--open-for", "1h")), "one")
	require.Equal(t, "aborted the transaction of one\n", requireOK(t, run("txn", "abort", "one")))
	r := run("txn", "abort", "nobody")
	require.Equal(t, exitFailed, r.code)
	require.Contains(t, r.err, "wadi: transactional id nobody: ")
	var listed []describedTxn
	require.NoError(t, json.Unmarshal([]byte(requireOK(t, run("txn", "list", "--state", "Ongoing", "--output", "json"))), &listed))
	require.Equal(t, "two", listed[len(listed)-1].ID)
	require.Equal(t, map[string][]int32{"t": {0, 1}}, listed[len(listed)-1].Partitions)
}

func TestTxnUsage(t *testing.T) {
	for args, want := range map[string]string{
		"txn":                                    "wadi txn needs a command",
		"txn abort":                              "accepts 1 arg(s)",
		"txn describe":                           "requires at least 1 arg(s)",
		"txn list --open-for -1s":                "--open-for is a duration above 0",
		"txn list --open-for 1s --state Ongoing": "goes without --state",
	} {
		r := wadi(t.Context(), "", strings.Fields(args)...)
		require.Equal(t, exitUsage, r.code, args)
		require.Contains(t, r.err, want, args)
	}
}
