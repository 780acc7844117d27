package kafkaconfig

import (
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

var all = map[string]*Catalogue{"topic": Topics, "broker": Brokers, "group": Groups, "client metrics": Metrics}

// Every config says what it is for, and its default is one of its values, in the form in which it is shown.
func TestDefaultsAreValid(t *testing.T) {
	for what, c := range all {
		for i, k := range c.Keys {
			if i > 0 && c.Keys[i-1].Name >= k.Name {
				t.Errorf("%s configs are not sorted at %s, or it comes twice", what, k.Name)
			}
			if !strings.HasSuffix(k.Doc, ".") || (!k.Acts && !strings.Contains(k.Doc, "No effect") && !strings.Contains(k.Doc, "no effect") &&
				!strings.Contains(k.Doc, "nobody asks")) {
				t.Errorf("%s config %s does not say what it means here: %q", what, k.Name, k.Doc)
			}
			if k.Null {
				continue
			}
			if got, err := c.Check(k.Name, k.Default); err != nil || got != k.Default {
				t.Errorf("%s config %s: default %q: %q, %v", what, k.Name, k.Default, got, err)
			}
			if k.Broker != "" {
				if b, ok := Brokers.Lookup(k.Broker); !ok || b.Kind != k.Kind || b.Mode == PerBroker {
					t.Errorf("%s config %s: its default comes from %s: %+v", what, k.Name, k.Broker, b)
				}
			}
		}
	}
}

// Semantics line 88: an unknown name or a bad value is refused; what is taken is stored as Kafka shows it.
func TestCheck(t *testing.T) {
	const bad = "(refused)"
	for _, x := range []struct {
		c                 *Catalogue
		name, value, want string
	}{
		{Topics, RetentionMs, "-1", "-1"},
		{Topics, RetentionMs, "+5", "5"},
		{Topics, RetentionMs, "-2", bad},
		{Topics, RetentionMs, "1e3", bad},
		{Topics, RetentionMs, "", bad},
		{Topics, RetentionBytes, "-7", "-7"},
		{Topics, MaxMessageBytes, "0", "0"},
		{Topics, MaxMessageBytes, "2147483648", bad},
		{Topics, CleanupPolicy, "compact, delete", "compact,delete"},
		{Topics, CleanupPolicy, "compact,compact", "compact"},
		{Topics, CleanupPolicy, "", ""},
		{Topics, CleanupPolicy, "compact,", bad},
		{Topics, CleanupPolicy, "shred", bad},
		{Topics, Compression, "zstd", "zstd"},
		{Topics, Compression, "brotli", bad},
		{Topics, "compression.gzip.level", "0", bad},
		{Topics, "compression.gzip.level", "9", "9"},
		{Topics, TimestampType, "LogAppendTime", "LogAppendTime"},
		{Topics, TimestampType, "logappendtime", bad},
		{Topics, TimestampType, "", bad},
		{Topics, "preallocate", "TRUE", "true"},
		{Topics, "preallocate", "yes", bad},
		{Topics, "min.cleanable.dirty.ratio", "1", "1.0"},
		{Topics, "min.cleanable.dirty.ratio", "0.00001", "1.0E-5"},
		{Topics, "min.cleanable.dirty.ratio", "1.5", bad},
		{Topics, "min.cleanable.dirty.ratio", "NaN", bad},
		{Topics, "follower.replication.throttled.replicas", "1:1,,2:2", "1:1,2:2"},
		{Topics, "follower.replication.throttled.replicas", "*", "*"},
		{Topics, "follower.replication.throttled.replicas", "*,1:1", bad},
		{Topics, "remote.storage.enable", "true", bad},
		{Topics, "message.format.version", "3.0", bad},
		{Topics, RetentionMs, strings.Repeat("0", 5000), bad},
		{Brokers, brokerRetentionMs, "0", bad},
		{Brokers, brokerRetentionMs, "-1", "-1"},
		{Brokers, "log.cleanup.policy", ",", bad},
		{Groups, "share.auto.offset.reset", "by_duration:PT1H30M", "by_duration:PT1H30M"},
		{Groups, "share.auto.offset.reset", "by_duration:P", bad},
		{Groups, "share.auto.offset.reset", "by_duration:PT", bad},
		{Groups, "share.auto.offset.reset", "by_duration:-PT1H", bad},
		{Groups, "share.isolation.level", "READ_COMMITTED", bad},
		{Metrics, "interval.ms", "99", bad},
		{Metrics, "match", "client_id=a,client_source_port=1.*", "client_id=a,client_source_port=1.*"},
		{Metrics, "match", "client_id=[", bad},
		{Metrics, "match", "client_id=", bad},
		{Metrics, "match", "color=red", bad},
	} {
		got, err := x.c.Check(x.name, x.value)
		if err != nil {
			got = bad
		}
		if got != x.want || (err != nil && !errors.Is(err, ErrInvalid) && !errors.Is(err, ErrUnknown)) {
			t.Errorf("%s=%q: %q, %v, want %q", x.name, x.value, got, err, x.want)
		}
	}
}

// What is stored is taken again, and stays as it is.
func TestStoredFormIsStable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := rapid.SampledFrom([]*Catalogue{Topics, Brokers, Groups, Metrics}).Draw(t, "catalogue")
		k := rapid.SampledFrom(c.Keys).Draw(t, "key")
		text := rapid.OneOf(
			rapid.StringMatching(`-?[0-9]{1,19}`), rapid.StringMatching(`[0-9]{1,3}(\.[0-9]{1,5})?(E-?[0-9]{1,2})?`), rapid.String(),
			rapid.SampledFrom([]string{"true", " FALSE", "compact, delete", "1:2,3:4", "*", "gzip", "CreateTime"}),
		).Draw(t, "value")
		stored, err := c.Check(k.Name, text)
		if err != nil {
			return
		}
		if again, err := c.Check(k.Name, stored); err != nil || again != stored {
			t.Fatalf("%s=%q is stored as %q, which becomes %q: %v", k.Name, text, stored, again, err)
		}
	})
}

func FuzzCheck(f *testing.F) {
	f.Add("cleanup.policy", "compact,delete")
	f.Add("min.cleanable.dirty.ratio", "1e-7")
	f.Fuzz(func(t *testing.T, name, text string) {
		for _, c := range all {
			stored, err := c.Check(name, text)
			if err != nil {
				continue
			}
			if again, err := c.Check(name, stored); err != nil || again != stored {
				t.Fatalf("%s=%q is stored as %q, which becomes %q: %v", name, text, stored, again, err)
			}
		}
	})
}

func TestConfigsThatGoTogether(t *testing.T) {
	inForce := func(min, max string) func(string) string {
		return func(n string) string {
			return map[string]string{"min.compaction.lag.ms": min, "max.compaction.lag.ms": max}[n]
		}
	}
	if err := CheckTopic(inForce("10", "5")); !errors.Is(err, ErrInvalid) {
		t.Errorf("min above max: %v", err)
	}
	if err := CheckTopic(inForce("5", "5")); err != nil {
		t.Error(err)
	}
	group := func(name, value string) error {
		return CheckGroup(func(n string) (string, bool) { return value, n == name }, NoLayers.Value)
	}
	for name, values := range map[string][2]string{
		"consumer.session.timeout.ms": {"50", "50000"}, "consumer.heartbeat.interval.ms": {"15001", "15000"},
		"share.delivery.count.limit": {"11", "10"}, "streams.num.standby.replicas": {"3", "0"},
	} {
		if err := group(name, values[0]); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s=%s: %v", name, values[0], err)
		}
		if err := group(name, values[1]); err != nil {
			t.Error(err)
		}
	}
}
