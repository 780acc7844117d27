package main

import (
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
)

func TestTopicAlter(t *testing.T) {
	run := broker(t, kfake.SeedTopics(2, "t"))
	require.Equal(t, "altered t: 5 partitions\n", requireOK(t, run("", "topic", "alter", "t", "--partitions", "5")))
	require.Contains(t, requireOK(t, run("", "topic", "list", "--output", "json")), `"partitions":5`)
	require.JSONEq(t, `{"topic":"t","partitions":6}`, requireOK(t, run("", "topic", "alter", "t", "--partitions", "6", "--output", "json")))
	r := run("", "topic", "alter", "t", "--partitions", "1")
	require.Equal(t, exitFailed, r.code)
	require.Empty(t, r.out)
	require.Contains(t, r.err, "wadi: topic t: INVALID_PARTITIONS")
	r = run("", "topic", "alter", "none", "--partitions", "6")
	require.Equal(t, exitFailed, r.code)
	require.Contains(t, r.err, "topic none: UNKNOWN_TOPIC_OR_PARTITION")
}

func TestTopicAlterConfigs(t *testing.T) {
	run := broker(t, kfake.SeedTopics(2, "t"))
	require.Equal(t, "altered t: cleanup.policy=compact\naltered t: retention.ms=1000\naltered t: 3 partitions\n",
		requireOK(t, run("", "topic", "alter", "t", "--set", "retention.ms=1000", "--set", "cleanup.policy=compact", "--partitions", "3")))
	require.Contains(t, requireOK(t, run("", "topic", "describe", "t")), "\n  retention.ms=1000\n")
	require.JSONEq(t, `{"topic":"t","set":{"retention.ms":"5"},"unset":["cleanup.policy"]}`,
		requireOK(t, run("", "topic", "alter", "t", "--set", "retention.ms=5", "--unset", "cleanup.policy", "--output", "json")))
	text := requireOK(t, run("", "topic", "describe", "t"))
	require.Contains(t, text, "\n  retention.ms=5\n")
	require.NotContains(t, text, "cleanup.policy=compact")

	// What was done is told although the rest fails; what is refused stops the rest.
	r := run("", "topic", "alter", "t", "--set", "retention.ms=6", "--partitions", "2")
	require.Equal(t, exitFailed, r.code)
	require.Equal(t, "altered t: retention.ms=6\n", r.out)
	require.Contains(t, r.err, "topic t: INVALID_PARTITIONS")
	r = run("", "topic", "alter", "none", "--set", "retention.ms=6", "--partitions", "4")
	require.Equal(t, exitFailed, r.code)
	require.Empty(t, r.out)
	require.Contains(t, r.err, "topic none: UNKNOWN_TOPIC_OR_PARTITION")
}

func TestTopicDeleteRecords(t *testing.T) {
	run := broker(t, kfake.SeedTopics(3, "t"))
	for _, p := range []string{"0", "1", "2"} {
		requireOK(t, run("a\nb\nc\n", "produce", "--topic", "t", "--partition", p))
	}
	require.Equal(t, "t partition 1 starts at offset 2\n",
		requireOK(t, run("", "topic", "delete-records", "t", "--partition", "1", "--offset", "2")))
	require.Equal(t, "c\n", requireOK(t, run("", "consume", "--topic", "t", "--partition", "1", "--exit-at-end")))
	require.JSONEq(t, `[{"partition":0,"start":1},{"partition":2,"start":1}]`,
		requireOK(t, run("", "topic", "delete-records", "t", "--partition", "2", "--partition", "0", "--offset", "1", "--output", "json")))

	// What can be done is done and told, what cannot is told too.
	r := run("", "topic", "delete-records", "t", "--partition", "0,1", "--offset", "4")
	require.Equal(t, exitFailed, r.code)
	require.Empty(t, r.out)
	require.Contains(t, r.err, "topic t, partition 0: OFFSET_OUT_OF_RANGE")
	require.Contains(t, r.err, "topic t, partition 1: OFFSET_OUT_OF_RANGE")
	r = run("", "topic", "delete-records", "t", "--partition", "0,7", "--offset", "2")
	require.Equal(t, exitFailed, r.code)
	require.Equal(t, "t partition 0 starts at offset 2\n", r.out)
	require.Equal(t, "wadi: topic t has no partition 7\n", r.err)

	require.Equal(t, "t partition 0 starts at offset 3\nt partition 1 starts at offset 3\nt partition 2 starts at offset 3\n",
		requireOK(t, run("", "topic", "delete-records", "t", "--all", "--offset", "latest")))
	require.Empty(t, requireOK(t, run("", "consume", "--topic", "t", "--exit-at-end")))
	r = run("", "topic", "delete-records", "none", "--all", "--offset", "latest")
	require.Equal(t, exitFailed, r.code)
	require.Contains(t, r.err, "topic none: UNKNOWN_TOPIC_OR_PARTITION")
}
