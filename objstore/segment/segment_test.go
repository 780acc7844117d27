package segment

import (
	"context"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"wadi/internal/batch"
	"wadi/objstore"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files anew")

// makeBatch builds one batch of n records.
func makeBatch(t require.TestingT, codec batch.Codec, base int64, n int) batch.Batch {
	var w batch.Builder
	opts := batch.NoProducer(codec)
	opts.BaseOffset = base
	w.Reset(opts)
	for i := range n {
		require.NoError(t, w.Append(batch.Record{Timestamp: 1_000 + base + int64(i), Key: []byte("k"), Value: []byte{byte(i), 1, 2, 3}}))
	}
	b, err := w.Build(nil)
	require.NoError(t, err)
	return b
}

// makeSection fills in what follows from the batches.
func makeSection(topic byte, partition int32, base int64, batches ...batch.Batch) Section {
	s := Section{Topic: [16]byte{topic}, Partition: partition, BaseOffset: base, Batches: len(batches), MaxTimestamp: batches[0].MaxTimestamp()}
	for _, b := range batches {
		s.Chunks = append(s.Chunks, b)
		s.Records += int(b.NumRecords())
		s.MaxTimestamp = max(s.MaxTimestamp, b.MaxTimestamp())
	}
	return s
}

// samples are the contents of the golden files. They must never change.
func samples(t require.TestingT) map[string]objstore.Body {
	flush, _, err := Build(Meta{Kind: Flush, CreatedMs: 1_700_000_000_000, ClusterID: "demo"}, []Section{
		makeSection(1, 0, -1, makeBatch(t, batch.None, 0, 3), makeBatch(t, batch.None, 0, 1)),
		makeSection(2, 7, -1, makeBatch(t, batch.None, 0, 2)),
	})
	require.NoError(t, err)
	merged, _, err := Build(Meta{Kind: Merged, CreatedMs: 1_700_000_001_000, ClusterID: "demo"}, []Section{
		makeSection(1, 0, 40, makeBatch(t, batch.None, 40, 3), makeBatch(t, batch.None, 43, 1)),
	})
	require.NoError(t, err)
	return map[string]objstore.Body{"v1-flush.seg": flush, "v1-merged.seg": merged}
}

func TestGolden(t *testing.T) {
	for name, body := range samples(t) {
		path := filepath.Join("testdata", name)
		if *rewrite {
			require.NoError(t, os.MkdirAll("testdata", 0o755))
			require.NoError(t, os.WriteFile(path, stored(body).data, 0o644))
		}
		want, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, want, stored(body).data, name)
		require.NoError(t, Verify(context.Background(), stored(body), name, body.Size(), nil))
	}
}

func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		meta := Meta{
			Kind:      rapid.SampledFrom([]Kind{Flush, Merged}).Draw(t, "kind"),
			CreatedMs: rapid.Int64().Draw(t, "created"),
			ClusterID: rapid.StringN(0, 40, -1).Draw(t, "cluster"),
		}
		var sections []Section
		var want []batch.Batch
		for i := range rapid.IntRange(1, 20).Draw(t, "sections") {
			base := int64(-1)
			if meta.Kind == Merged {
				base = rapid.Int64Range(0, 1<<40).Draw(t, "base")
			}
			var bs []batch.Batch
			for range rapid.IntRange(1, 4).Draw(t, "batches") {
				codec := batch.Codec(rapid.IntRange(0, 4).Draw(t, "codec"))
				bs = append(bs, makeBatch(t, codec, max(base, 0), rapid.IntRange(1, 20).Draw(t, "records")))
			}
			sections = append(sections, makeSection(byte(i), int32(i), base, bs...))
			want = append(want, bs...)
		}
		body, offsets, err := Build(meta, sections)
		require.NoError(t, err)
		// The body's checksum comes out of combined ones; the plain one must be the same.
		require.Equal(t, objstore.NewBody(body.Chunks...).CRC32C, body.CRC32C)

		store := stored(body)
		f, err := ReadFooter(context.Background(), store, "k", store.size())
		require.NoError(t, err)
		require.Equal(t, 1, store.gets)
		require.Equal(t, meta, f.Meta)
		require.Len(t, f.Sections, len(sections))
		for i, s := range f.Sections {
			in := sections[i]
			require.Equal(t, offsets[i], s.Offset)
			require.Equal(t, SectionInfo{Topic: in.Topic, Partition: in.Partition, BaseOffset: in.BaseOffset,
				Offset: s.Offset, Length: s.Length, Batches: in.Batches, Records: in.Records,
				MaxTimestamp: in.MaxTimestamp, CRC: s.CRC}, s)
			first, _, err := batch.Split(store.data[s.Offset : s.Offset+s.Length])
			require.NoError(t, err)
			require.Equal(t, in.Chunks[0], []byte(first))
		}
		var got []batch.Batch
		require.NoError(t, Verify(context.Background(), store, "k", store.size(), func(_ SectionInfo, b batch.Batch) error {
			got = append(got, append(batch.Batch(nil), b...))
			return nil
		}))
		require.Equal(t, want, got)
	})
}

// No byte of a segment is outside a checksum or a comparison.
func TestEveryFlippedByteIsFound(t *testing.T) {
	for name, body := range samples(t) {
		good := stored(body)
		for i := range good.data {
			for _, mask := range []byte{0x01, 0x80, 0xff} {
				bad := stored(body)
				bad.data[i] ^= mask
				err := Verify(context.Background(), bad, name, bad.size(), nil)
				if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrVersion) {
					t.Fatalf("%s: byte %d ^ %02x: %v", name, i, mask, err)
				}
			}
		}
	}
}
