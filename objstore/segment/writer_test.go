package segment

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"wadi/internal/batch"
	"wadi/objstore"
	"wadi/objstore/mem"
	"wadi/objstore/parts"
)

// The streaming writer's bytes are those of Build.
func TestWriterIsBuild(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		meta := Meta{
			Kind:      rapid.SampledFrom([]Kind{Flush, Merged}).Draw(t, "kind"),
			CreatedMs: rapid.Int64().Draw(t, "created"),
			ClusterID: rapid.StringN(0, 40, -1).Draw(t, "cluster"),
		}
		var out bytes.Buffer
		w, err := NewWriter(&out, meta)
		require.NoError(t, err)
		var sections []Section
		var positions []uint64
		for i := range rapid.IntRange(1, 8).Draw(t, "sections") {
			base := int64(-1)
			if meta.Kind == Merged {
				base = rapid.Int64Range(0, 1<<40).Draw(t, "base")
			}
			var bs []batch.Batch
			for range rapid.IntRange(1, 4).Draw(t, "batches") {
				bs = append(bs, makeBatch(t, batch.None, max(base, 0), rapid.IntRange(1, 9).Draw(t, "records")))
			}
			s := makeSection(byte(i), int32(i), base, bs...)
			sections = append(sections, s)
			at, err := w.Begin(s.Topic, s.Partition, s.BaseOffset)
			require.NoError(t, err)
			positions = append(positions, at)
			if rapid.Bool().Draw(t, "whole") {
				require.NoError(t, w.Append(bytes.Join(s.Chunks, nil), s.Batches, s.Records, s.MaxTimestamp))
				continue
			}
			for _, b := range bs {
				require.NoError(t, w.AppendBatch(b))
			}
		}
		footer, err := w.Close()
		require.NoError(t, err)

		body, offsets, err := Build(meta, sections)
		require.NoError(t, err)
		require.Equal(t, body.Bytes(), out.Bytes())
		require.Equal(t, offsets, positions)
		require.Equal(t, body.Size(), w.Size())
		read, err := ReadFooter(context.Background(), stored(body), "k", body.Size())
		require.NoError(t, err)
		require.Equal(t, read, footer)
	})
}

func TestWriterRefuses(t *testing.T) {
	merged := Meta{Kind: Merged}
	for name, meta := range map[string]Meta{"kind": {}, "cluster": {Kind: Flush, ClusterID: string(make([]byte, 1<<16))}} {
		_, err := NewWriter(&bytes.Buffer{}, meta)
		require.ErrorIs(t, err, ErrInvalid, name)
	}
	for name, tc := range map[string]struct {
		write func(*Writer) error
		want  error
	}{
		"no sections":           {func(*Writer) error { return nil }, ErrInvalid},
		"batches first":         {func(w *Writer) error { return w.Append([]byte("x"), 1, 1, 0) }, ErrOrder},
		"an empty section":      {func(w *Writer) error { _, err := w.Begin([16]byte{1}, 0, 5); return err }, ErrInvalid},
		"too short for a batch": {func(w *Writer) error { return errors.Join(begin(w, 0, 5), w.Append([]byte("x"), 1, 1, 0)) }, ErrInvalid},
		"no base offset": {func(w *Writer) error {
			return errors.Join(begin(w, 0, -1), w.AppendBatch(makeBatch(t, batch.None, 0, 1)))
		}, ErrInvalid},
		"negative counts": {func(w *Writer) error { return errors.Join(begin(w, 0, 5), w.Append([]byte("x"), -1, 1, 0)) }, ErrInvalid},
	} {
		w, err := NewWriter(&bytes.Buffer{}, merged)
		require.NoError(t, err)
		err = tc.write(w)
		_, closeErr := w.Close()
		require.ErrorIs(t, errors.Join(err, closeErr), tc.want, name)
		// It has ended.
		require.ErrorIs(t, begin(w, 1, 9), tc.want, name)
		require.ErrorIs(t, w.Append(nil, 0, 0, 0), tc.want, name)
	}
	w, err := NewWriter(&bytes.Buffer{}, merged)
	require.NoError(t, err)
	require.NoError(t, begin(w, 0, 5))
	require.NoError(t, w.AppendBatch(makeBatch(t, batch.None, 5, 1)))
	_, err = w.Close()
	require.NoError(t, err)
	_, err = w.Close()
	require.ErrorIs(t, err, ErrOrder)
}

func begin(w *Writer, partition int32, base int64) error {
	_, err := w.Begin([16]byte{1}, partition, base)
	return err
}

// full takes so many bytes and then fails.
type full struct{ left int }

var errFull = errors.New("full")

func (f *full) Write(p []byte) (int, error) {
	n := min(len(p), f.left)
	if f.left -= n; n < len(p) {
		return n, errFull
	}
	return n, nil
}

// Wherever the output fails, the error comes out and stays.
func TestWriterOutputFails(t *testing.T) {
	b := makeBatch(t, batch.None, 0, 3)
	size := headerSize + len(b) + footerFixed + sectionSize + trailerSize
	for left := range size + 1 {
		w, err := NewWriter(&full{left}, Meta{Kind: Merged})
		if left < headerSize {
			require.ErrorIs(t, err, errFull)
			continue
		}
		require.NoError(t, err)
		require.NoError(t, begin(w, 0, 0))
		err = w.AppendBatch(b)
		_, closeErr := w.Close()
		if left == size {
			require.NoError(t, errors.Join(err, closeErr))
			continue
		}
		require.ErrorIs(t, closeErr, errFull)
		require.Equal(t, left < headerSize+len(b), err != nil)
	}
}

// A segment of several parts, streamed into a store.
func TestWriterIntoParts(t *testing.T) {
	ctx := context.Background()
	store := mem.New()
	out, err := parts.New(ctx, store, "big.seg", parts.Config{PartSize: objstore.MinPart})
	require.NoError(t, err)
	w, err := NewWriter(out, Meta{Kind: Merged, ClusterID: "demo"})
	require.NoError(t, err)
	value := make([]byte, 700_000)
	random := rand.NewChaCha8([32]byte{1})
	records := 0
	for p := range int32(3) {
		require.NoError(t, begin(w, p, 10))
		for i := range int64(7) {
			_, _ = random.Read(value) // it never fails
			var build batch.Builder
			opts := batch.NoProducer(batch.None)
			opts.BaseOffset = 10 + i
			build.Reset(opts)
			require.NoError(t, build.Append(batch.Record{Timestamp: i, Value: value}))
			b, err := build.Build(nil)
			require.NoError(t, err)
			require.NoError(t, w.AppendBatch(b))
			records++
		}
	}
	footer, err := w.Close()
	require.NoError(t, err)
	require.Greater(t, w.Size(), int64(2*objstore.MinPart))
	require.Equal(t, w.Size(), out.Size())
	require.NoError(t, out.Close())
	read, err := ReadFooter(ctx, store, "big.seg", w.Size())
	require.NoError(t, err)
	require.Equal(t, footer, read)
	seen := 0
	require.NoError(t, Verify(ctx, store, "big.seg", w.Size(), func(SectionInfo, batch.Batch) error { seen++; return nil }))
	require.Equal(t, records, seen)
}
