package config

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// All sources are read to their end, whatever is wrong in one of them, and each problem is told where it stands.
func TestAllProblemsAtOnce(t *testing.T) {
	path := writeFile(t, `
clutser: demo
cluster: Demo
zone: 0123
flush: {bytes: 1KiB, interval: soon, size: 3}
flush.bytes: 2MiB
session: {ttl: 1s}
roles: [broker, conductor]
http:
memory: 5
listeners: {host: a}
`)
	_, err := Load(Input{
		File:    path,
		Environ: []string{"WADI_FLUSH_BYTE=9", "WADI_INLINE_MAX_BYTES=1MiB", "WADI_KAFKA_AUTO_CREATE_TOPICS_ENABLE=yes"},
		Flags:   []Given{{"kafka.num.partitions", "0", "--kafka.num.partitions"}, {"etcd.endpoints", "127.0.0.1:2379", "--etcd.endpoints"}},
	})
	got := strings.ReplaceAll(strings.Join(texts(t, err), "\n"), path, "wadi.yaml")
	require.Equal(t, strings.TrimSpace(`
flush.bytes (file wadi.yaml): is given twice, once as a dotted key and once inside a group
http (file wadi.yaml): has no value; write "" for an empty one
listeners (file wadi.yaml): takes a value, not a group of keys
cluster = "Demo" (file wadi.yaml): must be 1 to 64 characters of a-z, 0-9 and inner '-'
clutser = "demo" (file wadi.yaml): is not a configuration key; did you mean cluster?
flush.bytes = "1KiB" (file wadi.yaml): must lie between 64KiB and 64MiB
flush.interval = "soon" (file wadi.yaml): "soon" is not a duration such as 250ms or 5s
flush.size = "3" (file wadi.yaml): is not a configuration key
memory = "5" (file wadi.yaml): is not a configuration key
roles = "broker,conductor" (file wadi.yaml): "conductor" is not a role; there are broker and compactor
session.ttl = "1s" (file wadi.yaml): must lie between 2s and 1m
zone = "83" (file wadi.yaml): is read as a number, which may change its spelling; put it in quotes
WADI_FLUSH_BYTE = "9" (environment): is not a variable that Wadi reads; did you mean WADI_FLUSH_BYTES?
inline.max.bytes = "1MiB" (WADI_INLINE_MAX_BYTES): must lie between 0B and 128KiB
kafka.auto.create.topics.enable = "yes" (WADI_KAFKA_AUTO_CREATE_TOPICS_ENABLE): "yes" is neither true nor false
kafka.num.partitions = "0" (--kafka.num.partitions): must lie between 1 and 10000
etcd.endpoints = "127.0.0.1:2379" (--etcd.endpoints): "127.0.0.1:2379" is not a URL such as http://127.0.0.1:2379
listeners = "PLAINTEXT://0.0.0.0:9092" (default): stands for every address of the machine, so advertised.listeners must say which one clients connect to
store (default): must be set, for example to s3://bucket/prefix?region=us-east-1 or file:///var/lib/wadi
`), got)
	require.True(t, strings.HasPrefix(err.Error(), "the configuration has 19 problems:\n  flush.bytes"))
}

func TestOneProblemIsOneLine(t *testing.T) {
	_, err := Load(Input{Flags: append([]Given{{"zone", "a b", "--zone"}}, enough...)})
	require.EqualError(t, err, `the configuration has a problem: zone = "a b" (--zone): must be up to 64 characters of A-Z, a-z, 0-9, '.', '_' and '-'`)
}

// A wrong value is reported although another source replaces it.
func TestOverriddenValueIsStillChecked(t *testing.T) {
	_, err := Load(Input{
		Environ: []string{"WADI_SESSION_TTL=soon"},
		Flags:   append([]Given{{"session.ttl", "7s", "--session.ttl"}}, enough...),
	})
	require.Equal(t, []string{`session.ttl = "soon" (WADI_SESSION_TTL): "soon" is not a duration such as 250ms or 5s`}, texts(t, err))
}

func TestFileProblems(t *testing.T) {
	_, err := Load(Input{File: "/nowhere/wadi.yaml", Flags: enough})
	require.Equal(t, []string{"/nowhere/wadi.yaml: the configuration file cannot be read: open /nowhere/wadi.yaml: no such file or directory"}, texts(t, err))

	for _, text := range []string{"cluster: [", "cluster: a\ncluster: b\n", "- a\n", "\x00"} {
		_, err := Load(Input{File: writeFile(t, text), Flags: enough})
		got := texts(t, err)
		require.Len(t, got, 1, text)
		require.Contains(t, got[0], "is not YAML")
		require.NotContains(t, got[0], "\n")
	}
}

// One line for each value that is outside of what a key takes.
func TestBounds(t *testing.T) {
	cases := []struct{ key, value, want string }{
		{"cluster", "", "must be 1 to 64 characters"},
		{"listeners", "", "needs at least one listener"},
		{"listeners", "localhost:9092", "is not a listener such as"},
		{"listeners", "SSL://localhost:9092", `the protocol "SSL" is not served`},
		{"listeners", "PLAINTEXT://localhost", "is not host:port"},
		{"listeners", "PLAINTEXT://localhost:70000", "is not a number from 0 to 65535"},
		{"listeners", "PLAINTEXT://a:1,PLAINTEXT://a:1", "is given twice"},
		{"listeners", "PLAINTEXT://a:1,PLAINTEXT://b:1", "must name one address for each of the 2 listeners, not 1"},
		{"advertised.listeners", "PLAINTEXT://0.0.0.0:9092", "must name a host and a port"},
		{"advertised.listeners", "PLAINTEXT://[::]:9092", "must name a host and a port"},
		{"advertised.listeners", "PLAINTEXT://:9092", "must name a host and a port"},
		{"advertised.listeners", "PLAINTEXT://a:0", "must name a host and a port"},
		{"http", "9644", "is not host:port"},
		{"etcd.endpoints", "", "needs at least one URL"},
		{"etcd.endpoints", "http://root:secret@a:2379", "must not hold credentials"},
		{"etcd.endpoints", "http://a:2379/x", "has more than scheme, host and port"},
		{"etcd.endpoints", "http://a:1,http://a:1", "is given twice"},
		{"store", "", "must be set"},
		{"store", "gs://bucket", "unknown scheme"},
		{"store", "s3:///prefix", "no bucket"},
		{"store", "s3://bucket?regoin=x", "unknown parameter"},
		{"store", "file://data", "the path must be absolute"},
		{"store", "s3://key:secret@bucket/p", "credentials do not belong in it"},
		{"roles", "", "needs at least one role"},
		{"roles", "broker,broker", "is given twice"},
		{"session.ttl", "1999ms", "must lie between 2s and 1m"},
		{"session.ttl", "61s", "must lie between 2s and 1m"},
		{"session.ttl", "2500ms", "must be a multiple of 1s"},
		{"session.ttl", "5", "is not a duration"},
		{"flush.bytes", "65535", "must lie between 64KiB and 64MiB"},
		{"flush.bytes", "65MiB", "must lie between 64KiB and 64MiB"},
		{"flush.bytes", "8MB", "is not a size such as"},
		{"flush.bytes", "99999999999GiB", "is not a size such as"},
		{"flush.interval", "0s", "must lie between 1ms and 10s"},
		{"flush.interval", "11s", "must lie between 1ms and 10s"},
		{"flush.puts.per.second", "-1", "must lie between 0 and 10000"},
		{"flush.puts.per.second", "many", "is not a whole number"},
		{"inline.max.bytes", "129KiB", "must lie between 0B and 128KiB"},
		{"inline.budget", "65MiB", "must lie between 0B and 64MiB"},
		{"memory.ingest", "15MiB", "must lie between 16MiB and 1024GiB"},
		{"memory.cache", "0", "must lie between 16MiB and 1024GiB"},
		{"compactor.interval", "99ms", "must lie between 100ms and 24h"},
		{"compactor.memory", "63MiB", "must lie between 64MiB and 64GiB"},
		{"compactor.debt", "999", "must lie between 1000 and 1000000"},
		{"gc.grace", "721h", "must lie between 1s and 720h"},
		{"recover.roots", "1", "must lie between 2 and 100"},
		{"recover.hourly", "90m", "must be a multiple of"},
		{"kafka.num.partitions", "10001", "must lie between 1 and 10000"},
		{"kafka.auto.create.topics.enable", "", "is neither true nor false"},
		{"kafka.group.initial.rebalance.delay.ms", "300001", "must lie between 0 and 300000"},
		{"kafka.group.min.session.timeout.ms", "1800001", "must not be above kafka.group.max.session.timeout.ms"},
		{"kafka.group.max.session.timeout.ms", "0", "must lie between 1 and 2147483647"},
		{"kafka.group.max.size", "0", "must lie between 1 and 2147483647"},
		{"kafka.group.consumer.session.timeout.ms", "0", "must lie between 1 and 2147483647"},
		{"kafka.group.consumer.heartbeat.interval.ms", "45001", "must not be above kafka.group.consumer.session.timeout.ms"},
		{"kafka.group.consumer.max.size", "0", "must lie between 1 and 2147483647"},
		{"kafka.offsets.retention.minutes", "0", "must lie between 1 and 2147483647"},
		{"kafka.offset.metadata.max.bytes", "32768", "must lie between 0 and 32767"},
		{"kafka.transaction.max.timeout.ms", "0", "must lie between 1 and 2147483647"},
		{"kafka.transaction.abort.timed.out.transaction.cleanup.interval.ms", "99", "must lie between 100 and 2147483647"},
		{"kafka.transactional.id.expiration.ms", "0", "must lie between 1 and 2147483647"},
		{"kafka.transaction.remove.expired.transaction.cleanup.interval.ms", "999", "must lie between 1000 and 2147483647"},
		{"kafka.producer.id.expiration.ms", "2147483648", "must lie between 1 and 2147483647"},
		{"zone", strings.Repeat("z", 65), "must be up to 64 characters"},
	}
	tried := make(map[string]bool)
	for _, c := range cases {
		tried[c.key] = true
		_, err := Load(Input{Flags: append(append([]Given{}, enough...), Given{c.key, c.value, "--" + c.key})})
		got := texts(t, err)
		require.Len(t, got, 1, "%s=%s", c.key, c.value)
		require.Contains(t, got[0], c.want)
		require.True(t, strings.HasPrefix(got[0], c.key) || strings.HasPrefix(got[0], "advertised."+c.key), got[0])
		require.NotContains(t, got[0], "(default)")
	}
	for _, k := range Keys() {
		require.True(t, tried[k.Name], "no bound of %s is tried", k.Name)
	}
}

// A password that is in the wrong place does not also get into the logs.
func TestProblemsHidePasswords(t *testing.T) {
	_, err := Load(Input{
		Environ: []string{"WADI_STORE=s3://key:secret@bucket/p", "WADI_ETCD_ENDPOINTS=http://a:2379,http://root:secret@b:2379", "WADI_ZONE=x://%zz:secret@"},
		File:    writeFile(t, "etcd: {endpoints: ['ftp://root:secret@b:2379']}\n"),
		Flags:   enough,
	})
	require.Len(t, texts(t, err), 4)
	require.NotContains(t, err.Error(), "secret")
	require.Contains(t, err.Error(), "http://a:2379,http://root:xxxxx@b:2379")
}

func TestRelationsNameTheOtherValue(t *testing.T) {
	_, err := Load(Input{Flags: append([]Given{{"flush.bytes", "64MiB", "--flush.bytes"}, {"memory.ingest", "100MiB", "--memory.ingest"}}, enough...)})
	require.Equal(t, []string{`memory.ingest = "100MiB" (--memory.ingest): must be at least twice flush.bytes, which is 64MiB (--flush.bytes)`}, texts(t, err))

	_, err = Load(Input{Flags: append([]Given{{"flush.bytes", "64KiB", "--flush.bytes"}, {"inline.max.bytes", "65KiB", "--inline.max.bytes"}}, enough...)})
	require.Equal(t, []string{`inline.max.bytes = "65KiB" (--inline.max.bytes): must not be above flush.bytes, which is 64KiB (--flush.bytes)`}, texts(t, err))
}
