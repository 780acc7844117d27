package topicconfig

import (
	"errors"
	"sort"
	"testing"
)

func TestCatalogueIsSortedAndItsDefaultsAreValid(t *testing.T) {
	if !sort.SliceIsSorted(Catalogue, func(i, j int) bool { return Catalogue[i].Name < Catalogue[j].Name }) {
		t.Error("not sorted by name")
	}
	for _, k := range Catalogue {
		if got, err := Check(k.Name, k.Default); err != nil || got != k.Default {
			t.Errorf("%s: default %q: %q, %v", k.Name, k.Default, got, err)
		}
		if k.Doc == "" {
			t.Errorf("%s: no documentation", k.Name)
		}
	}
}

// Semantics line 88: an unknown name or a bad value is INVALID_CONFIG.
func TestCheck(t *testing.T) {
	for _, c := range []struct {
		name, value, want string
		ok                bool
	}{
		{RetentionMs, "-1", "-1", true},
		{RetentionMs, "-2", "", false},
		{RetentionMs, "1e3", "", false},
		{MaxMessageBytes, "0", "0", true},
		{MaxMessageBytes, "2147483648", "", false},
		{CleanupPolicy, "compact, delete", "compact,delete", true},
		{CleanupPolicy, "compact,compact", "", false},
		{CleanupPolicy, "", "", false},
		{CleanupPolicy, "shred", "", false},
		{Compression, "zstd", "zstd", true},
		{Compression, "brotli", "", false},
		{TimestampType, "LogAppendTime", "LogAppendTime", true},
		{TimestampType, "logappendtime", "", false},
		{"preallocate", "TRUE", "true", true},
		{"min.cleanable.dirty.ratio", "1.5", "", false},
		{"min.cleanable.dirty.ratio", "NaN", "", false},
		{"message.format.version", "3.0", "", false},
	} {
		got, err := Check(c.name, c.value)
		if got != c.want || (err == nil) != c.ok || (err != nil && !errors.Is(err, ErrInvalid)) {
			t.Errorf("%s=%q: %q, %v", c.name, c.value, got, err)
		}
	}
}

func TestEffective(t *testing.T) {
	if d := Of(0, nil); d != Defaults || d.MaxMessageBytes != 1048588 || d.RetentionMs != 604800000 || !d.Delete || d.Compact {
		t.Errorf("defaults: %+v", d)
	}
	set := [][2]string{{CleanupPolicy, "compact"}, {TimestampType, "LogAppendTime"}, {MaxMessageBytes, "100"}}
	e := Of(len(set), func(i int) (string, string) { return set[i][0], set[i][1] })
	if !e.Compact || e.Delete || !e.LogAppendTime || e.MaxMessageBytes != 100 || e.RetentionBytes != -1 {
		t.Errorf("%+v", e)
	}
	if Defaults.LogAppendTime {
		t.Error("the defaults were changed")
	}
}
