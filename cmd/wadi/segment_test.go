package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"wadi/internal/batch"
	"wadi/objstore/segment"
)

// writeSegment writes a flush segment of two partitions with one batch of two records each, and returns its path.
func writeSegment(t *testing.T) string {
	t.Helper()
	var sections []segment.Section
	for p := range int32(2) {
		var b batch.Builder
		b.Reset(batch.BuildOptions{Codec: batch.None, ProducerID: 7, ProducerEpoch: 1, BaseSequence: 10})
		for i := range int64(2) {
			require.NoError(t, b.Append(batch.Record{Timestamp: 1_000 + i, Key: []byte("k"), Value: []byte("value")}))
		}
		data, err := b.Build(nil)
		require.NoError(t, err)
		sections = append(sections, segment.Section{
			Topic: [16]byte{0xab, 15: 0x01}, Partition: p, BaseOffset: -1, Chunks: [][]byte{data},
			Batches: 1, Records: 2, MaxTimestamp: 1_001,
		})
	}
	body, _, err := segment.Build(segment.Meta{Kind: segment.Flush, CreatedMs: 1_700_000_000_000, ClusterID: "c-1"}, sections)
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "0000000000000007.seg")
	f, err := os.Create(path)
	require.NoError(t, err)
	for _, chunk := range body.Chunks {
		_, err := f.Write(chunk)
		require.NoError(t, err)
	}
	require.NoError(t, f.Close())
	return path
}

func TestSegmentInspect(t *testing.T) {
	path := writeSegment(t)
	text := requireOK(t, wadi(t.Context(), "", "segment", "inspect", "file://"+path))
	require.Contains(t, text, "0000000000000007.seg\n")
	require.Contains(t, text, "version 1, flush segment of cluster c-1, created 2023-11-14T22:13:20Z, not verified\n")
	require.Regexp(t, `(?m)^ab000000000000000000000000000001 +1 +-1 +\d+ +\d+ +1 +2 +1001 +[0-9a-f]{8}$`, text)
	require.NotContains(t, text, "CODEC")

	text = requireOK(t, wadi(t.Context(), "", "segment", "inspect", "--batches", "file://"+path))
	require.Contains(t, text, ", verified\n")
	require.Regexp(t, `(?m)^ab0+1 +0 +\d+ +2 +none +7 +1 +10 +1001$`, text)

	var r segmentReport
	require.NoError(t, json.Unmarshal([]byte(requireOK(t, wadi(t.Context(), "", "segment", "inspect", "--batches", "--output", "json", "file://"+path))), &r))
	require.True(t, r.Verified)
	require.Len(t, r.Sections, 2)
	require.Len(t, r.Sections[1].Content, 1)
	require.Equal(t, int64(7), r.Sections[1].Content[0].ProducerID)

	// Looking leaves the directory as it was.
	entries, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	require.Len(t, entries, 1)
}

func TestSegmentInspectDamaged(t *testing.T) {
	path := writeSegment(t)
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	data[60] ^= 1 // inside the first section
	require.NoError(t, os.WriteFile(path, data, 0o600))
	// The footer is right; what it describes is not.
	requireOK(t, wadi(t.Context(), "", "segment", "inspect", "file://"+path))
	r := wadi(t.Context(), "", "segment", "inspect", "--verify", "file://"+path)
	require.Equal(t, exitFailed, r.code)
	require.Contains(t, r.err, segment.ErrCorrupt.Error())
	require.Contains(t, r.out, "not verified")

	require.NoError(t, os.WriteFile(path, data[:len(data)-1], 0o600))
	r = wadi(t.Context(), "", "segment", "inspect", "file://"+path)
	require.Equal(t, exitFailed, r.code)
	require.Contains(t, r.err, segment.ErrCorrupt.Error())
	require.Empty(t, r.out)
}

func TestSegmentInspectUsage(t *testing.T) {
	for _, arg := range []string{"", "/tmp/x.seg", "file:///", "file://host/x", "file:///dir/", "s3://bucket", "s3:///key", "mem://x", "%"} {
		r := wadi(t.Context(), "", "segment", "inspect", arg)
		require.Equal(t, exitUsage, r.code, arg)
	}
	r := wadi(t.Context(), "", "segment", "inspect", "file://"+filepath.Join(t.TempDir(), "missing.seg"))
	require.Equal(t, exitFailed, r.code)
	require.Contains(t, r.err, "missing.seg")
	require.Equal(t, 1, strings.Count(r.err, "\n"))
}

func TestSplitObjectURL(t *testing.T) {
	for in, want := range map[string][2]string{
		"file:///data/objects/a.seg": {"file:///data/objects", "a.seg"},
		"file:///a.seg":              {"file:///", "a.seg"},
		"file:///a%20b/c.seg":        {"file:///a%20b", "c.seg"},
		"s3://bucket/p/q/a.seg?endpoint=http://127.0.0.1:9000&region=x": {"s3://bucket?endpoint=http://127.0.0.1:9000&region=x", "p/q/a.seg"},
	} {
		store, key, err := splitObjectURL(in)
		require.NoError(t, err, in)
		require.Equal(t, want, [2]string{store, key}, in)
	}
}
