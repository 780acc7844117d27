package main

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
)

// The server's own words stand in place of what the error's name means in general.
func TestRefusal(t *testing.T) {
	err := refusal(kerr.InvalidConfig, "retention.ms must be a number")
	require.EqualError(t, err, "INVALID_CONFIG: retention.ms must be a number")
	require.ErrorIs(t, err, kerr.InvalidConfig)
	require.EqualError(t, refusal(kerr.InvalidConfig, ""), kerr.InvalidConfig.Error())
	other := errors.New("no answer")
	err = refusal(other, "words")
	require.EqualError(t, err, "no answer: words")
	require.ErrorIs(t, err, other)
}

// What a command was given wrong is said in one sentence, in the terms of the command.
func TestWrongNames(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(2, "t"))
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"topic", "create", ""}, exitUsage, "wadi: an argument is empty\n"},
		{[]string{"topic", "describe", "t", ""}, exitUsage, "wadi: an argument is empty\n"},
		{[]string{"group", "describe", ""}, exitUsage, "wadi: an argument is empty\n"},
		{[]string{"topic", "delete-records", "t", "--partition", "1", "--partition", "7", "--offset", "0"}, exitFailed, "wadi: topic t has no partition 7\n"},
		{[]string{"topic", "delete-records", "u", "--partition", "1", "--offset", "0"}, exitFailed, "wadi: topic u: UNKNOWN_TOPIC_OR_PARTITION"},
		{[]string{"topic", "delete-records", "t", "--all", "--offset", "9"}, exitFailed, "wadi: topic t, partition 0: OFFSET_OUT_OF_RANGE"},
		{[]string{"produce", "--topic", "t", "--partition", "7"}, exitFailed, "wadi: topic t has no partition 7\n"},
		{[]string{"consume", "--topic", "u", "--group", "g"}, exitFailed, "wadi: topic u: UNKNOWN_TOPIC_OR_PARTITION"},
	} {
		got := wadi(t.Context(), "line\n", append(c.args, "--bootstrap-server", cluster.ListenAddrs()[0])...)
		require.Equal(t, c.code, got.code, "%q: %s", c.args, got.err)
		require.Contains(t, got.err, c.want, "%q", c.args)
		require.NotContains(t, got.err, "shard", "%q", c.args)
	}
}
