package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
)

// broker starts a Kafka endpoint in this process. The result runs a command line against it.
func broker(t *testing.T, opts ...kfake.Opt) func(stdin string, args ...string) result {
	t.Helper()
	cluster, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1)}, opts...)...)
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	address := strings.Join(cluster.ListenAddrs(), ",")
	return func(stdin string, args ...string) result {
		return wadi(t.Context(), stdin, append(args, "--bootstrap-server", address)...)
	}
}

func requireOK(t *testing.T, r result) string {
	t.Helper()
	require.Equal(t, exitOK, r.code, r.err)
	require.Empty(t, r.err)
	return r.out
}

func TestTopics(t *testing.T) {
	run := broker(t)
	require.Equal(t, "created a with 3 partitions\ncreated b with 3 partitions\n",
		requireOK(t, run("", "topic", "create", "b", "a", "--partitions", "3", "--config", "retention.ms=60000")))
	require.Regexp(t, `^TOPIC +PARTITIONS +ID\na +3 +\S+\nb +3 +\S+\n$`, requireOK(t, run("", "topic", "list")))

	var described []describedTopic
	require.NoError(t, json.Unmarshal([]byte(requireOK(t, run("", "topic", "describe", "a", "--output", "json"))), &described))
	require.Len(t, described, 1)
	require.Len(t, described[0].Partitions, 3)
	require.Equal(t, int32(2), described[0].Partitions[2].Partition)
	require.Equal(t, int64(0), described[0].Partitions[2].End)
	require.Equal(t, "60000", described[0].Configs["retention.ms"])
	text := requireOK(t, run("", "topic", "describe", "a"))
	require.Contains(t, text, "\n  retention.ms=60000\n")
	require.Regexp(t, `(?m)^PARTITION +LEADER +REPLICAS +START +END$`, text)

	// What succeeds is done and told although something else fails.
	r := run("", "topic", "create", "a", "c")
	require.Equal(t, exitFailed, r.code)
	require.Contains(t, r.out, "created c with ")
	require.Contains(t, r.err, "wadi: topic a: TOPIC_ALREADY_EXISTS")

	require.JSONEq(t, `["a","b"]`, requireOK(t, run("", "topic", "delete", "a", "b", "--output", "json")))
	r = run("", "topic", "delete", "a")
	require.Equal(t, exitFailed, r.code)
	require.Contains(t, r.err, "topic a: UNKNOWN_TOPIC_OR_PARTITION")

	r = run("", "topic", "describe", "a")
	require.Equal(t, exitFailed, r.code)
	require.Contains(t, r.err, "topic a: UNKNOWN_TOPIC_OR_PARTITION")
	require.NotContains(t, requireOK(t, run("", "topic", "list", "--output", "json")), `"a"`, "describe created the topic")
}

func TestProduceAndConsume(t *testing.T) {
	for codec := range codecs {
		t.Run(codec, func(t *testing.T) {
			run := broker(t, kfake.SeedTopics(2, "t"))
			out := requireOK(t, run("k1=one\nk2=two=2\n=\r\n", "produce", "--topic", "t", "--partition", "1",
				"--key-separator", "=", "--header", "h=v", "--compression", codec))
			require.Equal(t, "3 records to t\n  partition 1: offsets 0 to 2\n", out)

			require.Equal(t, "one\ntwo=2\n\r\n", requireOK(t, run("", "consume", "--topic", "t", "--exit-at-end")))
			require.Equal(t, "k1:one\nk2:two=2\n:\r\n", requireOK(t, run("", "consume", "--topic", "t", "--exit-at-end", "--key-separator", ":")))

			lines := strings.Split(strings.TrimSpace(requireOK(t, run("", "consume", "--topic", "t", "--exit-at-end", "--output", "json"))), "\n")
			require.Len(t, lines, 3)
			var got jsonRecord
			require.NoError(t, json.Unmarshal([]byte(lines[1]), &got))
			require.Equal(t, "k2", *got.Key)
			require.Equal(t, "two=2", *got.Value)
			require.Equal(t, int32(1), got.Partition)
			require.Equal(t, int64(1), got.Offset)
			require.WithinDuration(t, time.Now(), time.UnixMilli(got.Timestamp), time.Minute)
			require.Len(t, got.Headers, 1)
			require.Equal(t, "h", got.Headers[0].Key)
			require.Equal(t, "v", *got.Headers[0].Value)
		})
	}
}

func TestProduceReports(t *testing.T) {
	run := broker(t, kfake.SeedTopics(1, "t"))
	require.Equal(t, "partition 0 offset 0\npartition 0 offset 1\n2 records to t\n  partition 0: offsets 0 to 1\n",
		requireOK(t, run("a\nb", "produce", "--topic", "t", "--verbose")))
	require.Equal(t, "{\"topic\":\"t\",\"partition\":0,\"offset\":2}\n"+
		"{\"topic\":\"t\",\"records\":1,\"partitions\":[{\"partition\":0,\"first\":2,\"last\":2,\"records\":1}]}\n",
		requireOK(t, run("c\n", "produce", "--topic", "t", "--verbose", "--output", "json")))
	require.Equal(t, "0 records to t\n", requireOK(t, run("", "produce", "--topic", "t")))

	// Without a separator there is no key; an empty line is an empty value and no tombstone.
	requireOK(t, run("\n", "produce", "--topic", "t"))
	out := requireOK(t, run("", "consume", "--topic", "t", "--offset", "3", "--exit-at-end", "--output", "json"))
	require.Contains(t, out, `"key":null,"value":""`)
}

func TestProduceFailures(t *testing.T) {
	run := broker(t, kfake.SeedTopics(1, "t"))
	// The lines before the bad one are records and stay.
	r := run("a=1\nb\nc=3\n", "produce", "--topic", "t", "--key-separator", "=")
	require.Equal(t, exitFailed, r.code)
	require.Contains(t, r.err, `line 2 has no "="`)
	require.Equal(t, "1 record to t\n  partition 0: offsets 0 to 0\n", r.out)

	r = run("a\n", "produce", "--topic", "t", "--partition", "7")
	require.Equal(t, exitFailed, r.code)
	require.Contains(t, r.err, "topic t has no partition 7")
	require.Empty(t, r.out)

	r = run(strings.Repeat("x", 2<<20)+"\n", "produce", "--topic", "t")
	require.Equal(t, exitFailed, r.code)
	require.Contains(t, r.err, "MESSAGE_TOO_LARGE")
}

func TestConsumeStarts(t *testing.T) {
	run := broker(t, kfake.SeedTopics(2, "t"))
	for p := range 2 {
		var lines strings.Builder
		for i := range 5 {
			fmt.Fprintf(&lines, "%d-%d\n", p, i)
		}
		requireOK(t, run(lines.String(), "produce", "--topic", "t", "--partition", strconv.Itoa(p)))
	}
	consume := func(args ...string) string {
		return requireOK(t, run("", append([]string{"consume", "--topic", "t"}, args...)...))
	}
	require.Equal(t, "1-0\n1-1\n1-2\n1-3\n1-4\n", consume("--partition", "1", "--exit-at-end"))
	require.Len(t, strings.Fields(consume("--exit-at-end")), 10)
	require.Equal(t, "0-3\n0-4\n", consume("--partition", "0", "--offset", "3", "--exit-at-end"))
	require.Equal(t, "", consume("--partition", "0", "--offset", "5", "--exit-at-end"))
	require.Equal(t, "", consume("--offset", "latest", "--exit-at-end"))
	require.Equal(t, "0-0\n0-1\n", consume("--partition", "0", "--from-beginning", "--max-messages", "2"))
	require.Len(t, strings.Fields(consume("--timestamp", "0", "--exit-at-end")), 10)
	require.Len(t, strings.Fields(consume("--timestamp", "2020-01-01T00:00:00Z", "--exit-at-end")), 10)
	require.Equal(t, "", consume("--timestamp", strconv.FormatInt(time.Now().Add(time.Hour).UnixMilli(), 10), "--exit-at-end"))

	for args, want := range map[string]string{
		"--topic t --partition 2 --exit-at-end": "topic t has no partition 2",
		"--topic t --offset 6 --exit-at-end":    "topic t, partition 0: offset 6 is outside of what is there, 0 to 5",
		"--topic u --exit-at-end":               "topic u: UNKNOWN_TOPIC_OR_PARTITION",
	} {
		r := run("", append([]string{"consume"}, strings.Fields(args)...)...)
		require.Equal(t, exitFailed, r.code)
		require.Contains(t, r.err, want)
	}
}

// Following a topic shows what comes later and ends well with the signal.
func TestConsumeFollows(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "t"))
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	address := cluster.ListenAddrs()[0]
	ctx, signal := context.WithCancel(t.Context())
	defer signal()
	var out, errs syncBuffer
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, []string{"consume", "--topic", "t", "--from-beginning", "--bootstrap-server", address},
			stdio{in: strings.NewReader(""), out: &out, err: &errs})
	}()
	for _, line := range []string{"first\n", "second\n"} {
		requireOK(t, wadi(t.Context(), line, "produce", "--topic", "t", "--bootstrap-server", address))
		require.Eventually(t, func() bool { return strings.HasSuffix(out.String(), line) }, time.Minute, 5*time.Millisecond)
	}
	signal()
	require.Equal(t, exitOK, <-ended, errs.String())
	require.Equal(t, "first\nsecond\n", out.String())
}

func TestJSONRecordKeepsBytes(t *testing.T) {
	run := broker(t, kfake.SeedTopics(1, "t"))
	requireOK(t, run("\xff\xfe\n", "produce", "--topic", "t"))
	var got jsonRecord
	require.NoError(t, json.Unmarshal([]byte(requireOK(t, run("", "consume", "--topic", "t", "--exit-at-end", "--output", "json"))), &got))
	require.Nil(t, got.Value)
	require.Equal(t, []byte("\xff\xfe"), got.ValueBase64)
}

func TestDemo(t *testing.T) {
	run := broker(t)
	text := requireOK(t, run("", "demo", "--http", ""))
	require.Contains(t, text, "12 records written to orders and read back\n")
	require.Contains(t, text, `{"order":12,"amount":`)
	require.Contains(t, text, "customer-4")

	// Again, on the topic that is there now, with an agent that tells where the bytes lie: partition by partition one
	// run in the journal up to offset 3, then objects of four records each.
	agent := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		require.Equal(t, "/debug/locate", r.URL.Path)
		require.Equal(t, "orders", r.URL.Query().Get("topic"))
		offset, err := strconv.ParseInt(r.URL.Query().Get("offset"), 10, 64)
		require.NoError(t, err)
		if offset < 4 {
			fmt.Fprint(w, `{"runs":[{"base":0,"last":3,"place":"inline","position":123,"key":"demo/archive"}]}`)
			return
		}
		base := offset / 4 * 4
		fmt.Fprintf(w, `{"runs":[{"base":%d,"last":%d,"place":"object","key":"demo/x.seg","offset":16,"length":99}]}`, base, base+3)
	}))
	defer agent.Close()
	address := strings.TrimPrefix(agent.URL, "http://")
	var got demoReport
	require.NoError(t, json.Unmarshal([]byte(requireOK(t, run("", "demo", "--records", "30", "--http", address, "--output", "json"))), &got))
	require.Len(t, got.Records, 30)
	require.Empty(t, got.Notes)
	covered := func(r jsonRecord) bool {
		for _, p := range got.Places {
			if p.Partition == r.Partition && p.Base <= r.Offset && r.Offset <= p.Last {
				return true
			}
		}
		return false
	}
	for _, r := range got.Records {
		require.True(t, covered(r), "no place for partition %d, offset %d", r.Partition, r.Offset)
	}
	text = requireOK(t, run("", "demo", "--http", address))
	require.Contains(t, text, "demo/x.seg, 99 bytes from 16")
	require.Equal(t, "journal entry at position 123", place{Place: "inline", Position: 123}.String())
	require.Equal(t, "journal entry at position 123, archived in a", place{Place: "inline", Position: 123, Key: "a"}.String())
	require.Equal(t, "a transaction's abort, in the metadata alone", place{Place: "abort"}.String())

	// Equal keys are on one partition.
	partition := make(map[string]int32)
	for _, r := range got.Records {
		p, known := partition[*r.Key]
		require.True(t, !known || p == r.Partition, *r.Key)
		partition[*r.Key] = r.Partition
	}
}

// An agent that does not tell where bytes lie is no failure of the demo.
func TestDemoNotes(t *testing.T) {
	run := broker(t)
	for _, handler := range []http.HandlerFunc{
		http.NotFound,
		func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"runs":[]}`) },
		func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `nonsense`) },
	} {
		agent := httptest.NewServer(handler)
		text := requireOK(t, run("", "demo", "--http", strings.TrimPrefix(agent.URL, "http://")))
		require.Contains(t, text, "\nnote: the agent at "+strings.TrimPrefix(agent.URL, "http://"))
		agent.Close()
	}
}
