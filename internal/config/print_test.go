package config

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

var rewrite = flag.Bool("rewrite", false, "rewrite golden files")

func TestPrintGolden(t *testing.T) {
	path := writeFile(t, "cluster: east\nlisteners: [PLAINTEXT://0.0.0.0:9092, 'PLAINTEXT://[::]:9093']\nflush: {bytes: 4MiB}\n")
	l, err := Load(Input{
		File:    path,
		Environ: []string{"WADI_ZONE=null", "WADI_FLUSH_INTERVAL=100ms"},
		Flags: []Given{
			{"advertised.listeners", "PLAINTEXT://agent-1:9092,PLAINTEXT://agent-1:9093", "--advertised.listeners"},
			{"store", "s3://bucket/prefix?endpoint=http://127.0.0.1:9000&region=us-east-1", "--store"},
		},
	})
	require.NoError(t, err)
	var out bytes.Buffer
	require.NoError(t, l.Print(&out))
	got := bytes.ReplaceAll(out.Bytes(), []byte(path), []byte("wadi.yaml"))
	golden := filepath.Join("testdata", "print.yaml")
	if *rewrite {
		require.NoError(t, os.WriteFile(golden, got, 0o644))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	require.Equal(t, string(want), string(got))

	again, err := Load(Input{File: writeFile(t, out.String())})
	require.NoError(t, err)
	require.Equal(t, l.Config, again.Config)
}

// What Print writes is a file that gives the same configuration, whatever the texts hold.
func TestPrintRoundTrip(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		pick := func(name string, from ...string) Given {
			return Given{name, rapid.SampledFrom(from).Draw(t, name), "--" + name}
		}
		l, err := Load(Input{Flags: []Given{
			pick("cluster", "a", "no", "true", "null", "0123", "1e3", "7", "x-y", "on"),
			pick("zone", "", "Y", "~"[:0], "1.5", "0x1F", "-", ".", "eu-west-1a", "2001-01-01", "NULL", "_"),
			pick("store", "mem://", "file:///a%20b", "s3://bkt/p?endpoint=http://[::1]:9000&region=x", "file:///a'b\"c"),
			pick("http", "", "[::1]:9644", "localhost:1", "127.0.0.1:0"),
			pick("listeners", "PLAINTEXT://[::1]:1", "PLAINTEXT://a:1,PLAINTEXT://b:2"),
			pick("roles", "broker", "compactor,broker"),
			pick("memory.cache", "16MiB", "16777217", "1GiB"),
			pick("session.ttl", "60s", "1m", "2s"),
		}})
		if err != nil {
			t.Fatal(err)
		}
		var out strings.Builder
		if err := l.Print(&out); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, "wadi.yaml")
		if err := os.WriteFile(path, []byte(out.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		again, err := Load(Input{File: path})
		if err != nil {
			t.Fatalf("%v in\n%s", err, out.String())
		}
		require.Equal(t, l.Config, again.Config)
	})
}

func TestSizeRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := Size(rapid.Int64Min(0).Draw(t, "n"))
		back, err := ParseSize(n.String())
		if err != nil || back != n {
			t.Fatalf("%d prints as %v, which reads as %d, %v", n, n, back, err)
		}
	})
}

func FuzzParseListener(f *testing.F) {
	for _, s := range []string{"PLAINTEXT://a:1", "PLAINTEXT://[::1]:9092", "PLAINTEXT://:0", "://", "PLAINTEXT://[fe80::1%eth0]:1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		l, err := ParseListener(s)
		if err != nil {
			return
		}
		if back, err := ParseListener(l.String()); err != nil || back != l {
			t.Fatalf("%q reads as %+v, which prints as %q: %+v, %v", s, l, l, back, err)
		}
	})
}

func FuzzFile(f *testing.F) {
	f.Add([]byte("flush: {bytes: 1MiB}\nflush.bytes: 2MiB\n? [a]\n: b\n"))
	f.Add([]byte("a: &x [1, *x]\n1: 2\n2001-01-01: x\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		values, problems := parseYAML(data, "file", func(s string) bool { return s == "flush.bytes" })
		seen := make(map[string]bool)
		for _, v := range values {
			if seen[v.key] {
				t.Fatalf("%s is given twice and not reported", v.key)
			}
			seen[v.key] = true
		}
		for _, p := range problems {
			if p.Text == "" {
				t.Fatal("a problem without a sentence")
			}
		}
	})
}
