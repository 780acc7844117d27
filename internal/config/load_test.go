package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// enough makes the defaults valid: the two things that have none.
var enough = []Given{
	{Key: "store", Value: "s3://bucket/prefix", Source: "--store"},
	{Key: "advertised.listeners", Value: "PLAINTEXT://agent-1:9092", Source: "--advertised.listeners"},
}

func writeFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "wadi.yaml")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func setting(t *testing.T, l *Loaded, key string) Setting {
	t.Helper()
	for _, s := range l.Settings {
		if s.Key == key {
			return s
		}
	}
	t.Fatalf("no setting %s", key)
	return Setting{}
}

// texts returns the problems as sentences.
func texts(t *testing.T, err error) []string {
	t.Helper()
	var problems Problems
	require.True(t, errors.As(err, &problems), "%v", err)
	out := make([]string, len(problems))
	for i, p := range problems {
		out[i] = p.String()
	}
	return out
}

func TestDefaults(t *testing.T) {
	l, err := Load(Input{Flags: enough})
	require.NoError(t, err)
	require.Equal(t, Config{
		Cluster:    "demo",
		Listeners:  []Listener{{Host: "0.0.0.0", Port: 9092}},
		Advertised: []Listener{{Host: "agent-1", Port: 9092}},
		HTTP:       "127.0.0.1:9644",
		Etcd:       Etcd{Endpoints: []string{"http://127.0.0.1:2379"}},
		Store:      "s3://bucket/prefix",
		Roles:      []Role{Broker, Compactor},
		SessionTTL: 5 * time.Second,
		Flush:      Flush{Bytes: 8 << 20, Interval: 250 * time.Millisecond, PutsPerSecond: 8},
		Inline:     Inline{MaxBytes: 16 << 10, Budget: 1 << 20},
		Memory:     Memory{Ingest: 256 << 20, Cache: 512 << 20},
		Compactor:  Compaction{Interval: 10 * time.Second, Memory: 256 << 20, Debt: 20_000, Grace: 10 * time.Minute},
		Recover:    Recover{Roots: 3, Hourly: 24 * time.Hour},
		Kafka:      Kafka{NumPartitions: 1, AutoCreateTopics: true, Groups: defaultGroups, Txns: defaultTxns},
	}, l.Config)
	require.True(t, l.Config.HasRole(Compactor))
}

// A process without clients has a use for a file that was written for agents, whatever it says of listeners.
func TestWithoutClients(t *testing.T) {
	store := Given{"store", "s3://bucket/prefix", "--store"}
	_, err := Load(Input{Flags: []Given{store}})
	require.Error(t, err, "a wildcard address needs another")
	_, err = Load(Input{Flags: []Given{store}, NoClients: true})
	require.NoError(t, err)
}

// Every combination of the four sources: the one of highest precedence wins, whatever the others say.
func TestPrecedence(t *testing.T) {
	cases := []struct {
		name            string
		file, env, flag bool
		want, source    string
	}{
		{"nothing", false, false, false, "8MiB", "default"},
		{"file", true, false, false, "1MiB", "file "},
		{"env", false, true, false, "2MiB", "WADI_FLUSH_BYTES"},
		{"file and env", true, true, false, "2MiB", "WADI_FLUSH_BYTES"},
		{"flag", false, false, true, "3MiB", "--flush.bytes"},
		{"file and flag", true, false, true, "3MiB", "--flush.bytes"},
		{"env and flag", false, true, true, "3MiB", "--flush.bytes"},
		{"all", true, true, true, "3MiB", "--flush.bytes"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			in := Input{Flags: enough, Environ: []string{"PATH=/bin", "WADIX=1"}}
			if c.file {
				in.File = writeFile(t, "flush: {bytes: 1MiB}\n")
			}
			if c.env {
				in.Environ = append(in.Environ, "WADI_FLUSH_BYTES=2MiB")
			}
			if c.flag {
				in.Flags = append([]Given{{Key: "flush.bytes", Value: "3MiB", Source: "--flush.bytes"}}, in.Flags...)
			}
			l, err := Load(in)
			require.NoError(t, err)
			got := setting(t, l, "flush.bytes")
			require.Equal(t, c.want, got.Value)
			require.Equal(t, c.want, l.Config.Flush.Bytes.String())
			require.Truef(t, strings.HasPrefix(got.Source, c.source), "source %q", got.Source)
		})
	}
}

func TestReplacedDefaultsAreBelowEverySource(t *testing.T) {
	in := Input{Flags: enough, Defaults: []Given{{Key: "cluster", Value: "dev", Source: "dev"}}}
	l, err := Load(in)
	require.NoError(t, err)
	require.Equal(t, Setting{"cluster", "dev", "dev"}, setting(t, l, "cluster"))
	in.File = writeFile(t, "cluster: fromfile\n")
	l, err = Load(in)
	require.NoError(t, err)
	require.Equal(t, "fromfile", l.Config.Cluster)
}

func TestFileForms(t *testing.T) {
	path := writeFile(t, `
cluster: east
listeners:
  - PLAINTEXT://10.0.0.1:9092
  - PLAINTEXT://[fe80::1]:9093
advertised.listeners: []
etcd: {endpoints: [http://a:2379, https://b:2379]}
store: file:///var/lib/wadi
roles: broker
session.ttl: 10s
flush: {bytes: 1048576, interval: 1s, puts.per.second: 3}
inline.max.bytes: 0
kafka: {num.partitions: 6, auto.create.topics.enable: false}
`)
	l, err := Load(Input{File: path})
	require.NoError(t, err)
	c := l.Config
	require.Equal(t, "east", c.Cluster)
	require.Equal(t, []Listener{{"10.0.0.1", 9092}, {"fe80::1", 9093}}, c.Listeners)
	require.Equal(t, c.Listeners, c.Advertised)
	require.Equal(t, []string{"http://a:2379", "https://b:2379"}, c.Etcd.Endpoints)
	require.Equal(t, []Role{Broker}, c.Roles)
	require.False(t, c.HasRole(Compactor))
	require.Equal(t, 10*time.Second, c.SessionTTL)
	require.Equal(t, Flush{Bytes: MiB, Interval: time.Second, PutsPerSecond: 3}, c.Flush)
	require.Equal(t, Size(0), c.Inline.MaxBytes)
	require.Equal(t, Kafka{NumPartitions: 6, Groups: defaultGroups, Txns: defaultTxns}, c.Kafka)
	require.Equal(t, Setting{"advertised.listeners", "PLAINTEXT://10.0.0.1:9092,PLAINTEXT://[fe80::1]:9093", "listeners"},
		setting(t, l, "advertised.listeners"))
}

func TestEmptyFile(t *testing.T) {
	_, err := Load(Input{File: writeFile(t, "# nothing\n"), Flags: enough})
	require.NoError(t, err)
}

// Small flushes are held back on S3 alone; a number that somebody gave is kept on any store.
func TestPutsPerSecondDependsOnTheStore(t *testing.T) {
	cases := []struct {
		store, given string
		want         int
		source       string
	}{
		{"s3://bkt/p", "", 8, "default"},
		{"file:///data", "", 0, "default for this store"},
		{"mem://", "", 0, "default for this store"},
		{"file:///data", "5", 5, "WADI_FLUSH_PUTS_PER_SECOND"},
	}
	for _, c := range cases {
		in := Input{Flags: append([]Given{}, enough[1], Given{"store", c.store, "--store"})}
		if c.given != "" {
			in.Environ = []string{"WADI_FLUSH_PUTS_PER_SECOND=" + c.given}
		}
		l, err := Load(in)
		require.NoError(t, err)
		require.Equal(t, c.want, l.Config.Flush.PutsPerSecond, c.store)
		require.Equal(t, c.source, setting(t, l, "flush.puts.per.second").Source)
	}
}

func TestReservedKeys(t *testing.T) {
	_, err := Load(Input{
		Environ:  []string{"WADI_LISTENERS=PLAINTEXT://localhost:1"},
		Flags:    enough,
		Reserved: map[string]string{"listeners": "use --listen"},
	})
	require.Equal(t, []string{`listeners = "PLAINTEXT://localhost:1" (WADI_LISTENERS): is not taken from here; use --listen`}, texts(t, err))
}

func TestOwnEtcdNeedsNoEndpoints(t *testing.T) {
	in := Input{Flags: append([]Given{{"etcd.endpoints", "", "dev"}}, enough...)}
	_, err := Load(in)
	require.Equal(t, []string{"etcd.endpoints (dev): needs at least one URL"}, texts(t, err))
	in.OwnEtcd = true
	_, err = Load(in)
	require.NoError(t, err)
}

var defaultGroups = Groups{
	InitialRebalanceDelayMs: 3000, MinSessionTimeoutMs: 6000, MaxSessionTimeoutMs: 1800000, MaxSize: 2147483647,
	ConsumerSessionTimeoutMs: 45_000, ConsumerHeartbeatIntervalMs: 5000, ConsumerMaxSize: 2147483647,
	OffsetsRetentionMinutes: 10080, OffsetMetadataMaxBytes: 4096,
}

var defaultTxns = Txns{
	MaxTimeoutMs: 900_000, IDExpirationMs: 604_800_000, ProducerIDExpirationMs: 86_400_000,
	AbortIntervalMs: 10_000, RemoveIntervalMs: 3_600_000,
}
