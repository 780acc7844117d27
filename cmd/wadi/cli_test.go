package main

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// result is what a command line left behind.
type result struct {
	code     int
	out, err string
}

// syncBuffer may be read while a command writes.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// wadi runs a command line in this process, with an empty environment.
func wadi(ctx context.Context, stdin string, args ...string) result {
	var out, errs syncBuffer
	code := run(ctx, args, stdio{in: strings.NewReader(stdin), out: &out, err: &errs})
	return result{code, out.String(), errs.String()}
}

func TestExitCodes(t *testing.T) {
	cases := []struct {
		args string
		code int
		want string // part of stderr
	}{
		{"version", exitOK, ""},
		{"--help", exitOK, ""},
		{"topic create --help", exitOK, ""},
		{"", exitUsage, "wadi: wadi needs a command\n"},
		{"nonsense", exitUsage, "wadi: unknown command \"wadi nonsense\"\n"},
		{"topic", exitUsage, "wadi: wadi topic needs a command\n"},
		{"topic nonsense", exitUsage, "wadi: unknown command \"wadi topic nonsense\"\n"},
		{"version extra", exitUsage, "wadi: unknown command \"extra\" for \"wadi version\"\n"},
		{"version --nonsense", exitUsage, "wadi: unknown flag: --nonsense\n"},
		{"version --output yaml", exitUsage, "wadi: --output \"yaml\": there are text and json\n"},
		{"topic create", exitUsage, "requires at least 1 arg"},
		{"topic create x --partitions many", exitUsage, "invalid argument \"many\""},
		{"topic create x --partitions 0", exitUsage, "--partitions 0: must be positive"},
		{"topic create x --config retention", exitUsage, "--config \"retention\": must be KEY=VALUE"},
		{"txn list --state Open", exitUsage, "--state \"Open\": there are Empty, Ongoing, CompleteCommit, CompleteAbort"},
		{"group list --state Empty,stable,Gone", exitUsage, "--state \"Gone\": there are Empty, PreparingRebalance, "},
		{"topic list --bootstrap-server a,,b", exitUsage, "--bootstrap-server \"a,,b\" names no host"},
		{"topic alter", exitUsage, "accepts 1 arg(s)"},
		{"topic alter x", exitUsage, "there is nothing to change"},
		{"topic alter x --partitions 0", exitUsage, "--partitions 0: must be positive"},
		{"topic alter x --set retention.ms", exitUsage, "--set \"retention.ms\": must be KEY=VALUE"},
		{"topic alter x --unset retention.ms=1", exitUsage, "--unset \"retention.ms=1\": must be a KEY"},
		{"topic alter x --set a=1 --unset a", exitUsage, "the configuration a is named twice"},
		{"topic delete-records x --offset 3", exitUsage, "name the partitions with --partition, or all of them with --all"},
		{"topic delete-records x --all --partition 1 --offset 3", exitUsage, "name the partitions"},
		{"topic delete-records x --all", exitUsage, "--offset \"\": must be an offset or 'latest'"},
		{"topic delete-records x --all --offset -1", exitUsage, "--offset \"-1\": must be an offset or 'latest'"},
		{"topic delete-records x --partition -1 --offset 1", exitUsage, "--partition -1: must not be negative"},
		{"produce", exitUsage, "--topic is required"},
		{"produce --topic t --compression rar", exitUsage, "--compression \"rar\": there are none, gzip, snappy, lz4 and zstd"},
		{"produce --topic t --partition -2", exitUsage, "--partition -2: must not be negative"},
		{"produce --topic t --header x", exitUsage, "--header \"x\": must be KEY=VALUE"},
		{"consume", exitUsage, "--topic is required"},
		{"consume --topic t --offset first", exitUsage, "--offset \"first\": must be an offset or 'latest'"},
		{"consume --topic t --timestamp noon", exitUsage, "--timestamp \"noon\": must be a time"},
		{"consume --topic t --offset 3 --from-beginning", exitUsage, "exclude each other"},
		{"consume --topic t --isolation serializable", exitUsage, "--isolation \"serializable\": there are read_uncommitted and read_committed"},
		{"consume --topic t --max-messages -1", exitUsage, "--max-messages -1: must not be negative"},
		{"demo --records 0", exitUsage, "--records 0: must lie between 1 and 10000"},
		{"agent", exitUsage, "store (default): must be set"},
		{"agent --config /nowhere.yaml", exitUsage, "/nowhere.yaml: the configuration file cannot be read"},
		{"dev --agents 0", exitUsage, "--agents 0: must lie between 1 and 16"},
		{"dev --listen 9092", exitUsage, "--listen: \"9092\" is not host:port"},
		{"dev --listen 127.0.0.1:65535 --agents 2", exitUsage, "there are not that many ports from 65535 on"},
		{"dev --store gs://bucket", exitUsage, "store = \"gs://bucket\" (--store): invalid store URL"},
		{"fsck --dry-run", exitUsage, "--dry-run belongs to --repair"},
		{"fsck --grace -1s", exitUsage, "--grace -1s: must not be negative"},
		{"topic list --bootstrap-server 127.0.0.1:1", exitFailed, "wadi: no Kafka endpoint answers at 127.0.0.1:1: "},
		{"consume --topic t --bootstrap-server 127.0.0.1:1", exitFailed, "no Kafka endpoint answers"},
	}
	for _, c := range cases {
		t.Run(c.args, func(t *testing.T) {
			got := wadi(t.Context(), "", strings.Fields(c.args)...)
			require.Equal(t, c.code, got.code, got.err)
			require.Contains(t, got.err, c.want)
			switch c.code {
			case exitOK:
				require.Empty(t, got.err)
				require.NotEmpty(t, got.out)
			case exitUsage:
				require.Contains(t, got.err, "--help' for the usage.\n")
				require.Empty(t, got.out)
			case exitFailed:
				require.Equal(t, 1, strings.Count(got.err, "\n"), "one sentence: %s", got.err)
			}
		})
	}
}

// Every command has --output and --bootstrap-server, as the documentation says.
func TestGlobalFlags(t *testing.T) {
	a := &app{}
	root := a.root()
	require.Equal(t, "localhost:9092", root.PersistentFlags().Lookup("bootstrap-server").DefValue)
	require.Equal(t, "text", root.PersistentFlags().Lookup("output").DefValue)
	for _, c := range root.Commands() {
		require.Nil(t, c.Flags().Lookup("bootstrap-server"), "%s hides the global flag", c.Name())
		require.Nil(t, c.Flags().Lookup("output"), "%s hides the global flag", c.Name())
		require.NotEmpty(t, c.Short, c.Name())
	}
}

func TestVersion(t *testing.T) {
	text := wadi(t.Context(), "", "version")
	require.Regexp(t, `^wadi \S+.* go1\.\S+ \w+/\w+\n$`, text.out)
	var v versionInfo
	got := wadi(t.Context(), "", "version", "--output", "json")
	require.NoError(t, json.Unmarshal([]byte(got.out), &v))
	require.NotEmpty(t, v.Version)
}

func TestPrintConfig(t *testing.T) {
	args := []string{"agent", "--print-config", "--store", "file:///data", "--listeners", "PLAINTEXT://a:1"}
	var out, errs bytes.Buffer
	io := stdio{in: strings.NewReader(""), out: &out, err: &errs, environ: []string{"WADI_ZONE=west"}}
	require.Equal(t, exitOK, run(t.Context(), args, io), errs.String())
	require.Regexp(t, `(?m)^zone: west +# WADI_ZONE$`, out.String())
	require.Regexp(t, `(?m)^store: file:///data +# --store$`, out.String())
	require.Regexp(t, `(?m)^flush.bytes: 8MiB +# default$`, out.String())

	out.Reset()
	require.Equal(t, exitOK, run(t.Context(), append(args, "--output", "json"), io))
	var settings []struct{ Key, Value, Source string }
	require.NoError(t, json.Unmarshal(out.Bytes(), &settings))
	require.Contains(t, settings, struct{ Key, Value, Source string }{"zone", "west", "WADI_ZONE"})
}

// All problems of a configuration come in one report, whichever source they are in.
func TestBadConfigIsReportedWhole(t *testing.T) {
	var out, errs bytes.Buffer
	io := stdio{in: strings.NewReader(""), out: &out, err: &errs, environ: []string{"WADI_ZONES=west"}}
	require.Equal(t, exitUsage, run(t.Context(), []string{"agent", "--flush.bytes", "1"}, io))
	for _, want := range []string{
		"the configuration has 4 problems:\n",
		"WADI_ZONES = \"west\" (environment): is not a variable that Wadi reads; did you mean WADI_ZONE?\n",
		"flush.bytes = \"1\" (--flush.bytes): must lie between 64KiB and 64MiB\n",
		"advertised.listeners must say which one clients connect to\n",
		"store (default): must be set",
	} {
		require.Contains(t, errs.String(), want)
	}
}
