package main

import (
	"encoding/json"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"wadi/metadata/fsck"
)

func storageRun(t *testing.T, args ...string) (code int, out, errs string) {
	t.Helper()
	var o, e syncBuffer
	a := &app{stdio: stdio{in: strings.NewReader(""), out: &o, err: &e}}
	code = a.run(t.Context(), append([]string{"storage"}, args...))
	return code, o.String(), e.String()
}

func TestStorage(t *testing.T) {
	dir := devData(t)
	files := 0
	require.NoError(t, filepath.WalkDir(filepath.Join(dir, "objects", "dev"), func(_ string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files++
		}
		return err
	}))
	code, out, errs := storageRun(t, "--data-dir", dir, "--output", "json")
	require.Equal(t, exitOK, code, out+errs)
	var u fsck.Usage
	require.NoError(t, json.Unmarshal([]byte(out), &u))
	require.Equal(t, "dev", u.Cluster)
	require.Equal(t, files, u.Total.Objects)
	require.Equal(t, 1, u.MergeDebt.Objects)
	require.Equal(t, fsck.RunUsage{State: 1, Max: 1, Median: 1, Bytes: u.Runs.Bytes}, u.Runs)
	require.Greater(t, u.WriteAmplification, 1.0)
	require.Positive(t, u.Etcd.Bytes)
	var raw map[string]any
	require.NoError(t, json.Unmarshal([]byte(out), &raw))
	for _, key := range []string{"runs", "state_bytes", "state_total_bytes", "etcd", "merge_debt", "garbage", "write_amplification"} {
		require.Contains(t, raw, key)
	}
	require.Contains(t, raw["runs"], "max_per_partition")
	require.Contains(t, raw["etcd"], "db_bytes")

	code, out, errs = storageRun(t, "--data-dir", dir)
	require.Equal(t, exitOK, code, out+errs)
	require.Regexp(t, `(?m)^flush +1 +\d+ B +1 +\d+ B +0 +0 B +0 +0 B$`, out)
	require.Regexp(t, `(?m)^runs +1 in State, 0 in manifests, \d+ B; at most 1 of a partition in State, median 1$`, out)
	require.Regexp(t, `(?m)^merge debt +1 flush object, \d+ B$`, out)
	require.Regexp(t, `(?m)^garbage waiting +0 objects, 0 B$`, out)
	require.Regexp(t, `(?m)^State +.*runs 48 B`, out)

	code, out, errs = storageRun(t, "--data-dir", dir, "--topic", "t")
	require.Equal(t, exitOK, code, out+errs)
	require.Regexp(t, `(?m)^0 +0 +2 +\d+ B +1 +0 +0 +0$`, out)
	code, out, errs = storageRun(t, "--data-dir", dir, "--topic", "t", "--output", "json")
	require.Equal(t, exitOK, code, out+errs)
	var p fsck.TopicUsage
	require.NoError(t, json.Unmarshal([]byte(out), &p))
	require.Equal(t, int64(2), p.Partitions[0].End)
	code, _, errs = storageRun(t, "--data-dir", dir, "--topic", "none")
	require.Equal(t, exitFailed, code)
	require.Contains(t, errs, "no such topic: none")
	code, _, errs = storageRun(t)
	require.Equal(t, exitUsage, code)
	require.Contains(t, errs, "store (default): must be set")
}

func TestBytesText(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0 B", 9999: "9999 B", 10_000: "9.8 KiB", 1 << 20: "1.0 MiB", 1000 << 20: "1.0 GiB", 5 << 50: "5120.0 TiB",
	} {
		require.Equal(t, want, bytesText(n))
	}
}
