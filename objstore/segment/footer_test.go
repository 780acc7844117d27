package segment

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"wadi/internal/batch"
	"wadi/objstore"
)

// reseal gives a footer and trailer the right checksum again, as a broken writer would.
func reseal(object []byte) []byte {
	trailer := object[len(object)-trailerSize:]
	length := int(binary.BigEndian.Uint32(trailer))
	start := len(object) - trailerSize - length
	if length >= 0 && start >= 0 {
		crc := crc32.Checksum(object[start:len(object)-8], castagnoli)
		binary.BigEndian.PutUint32(trailer[16:], crc)
	}
	return object
}

func TestParseFooterAsksForMore(t *testing.T) {
	object := stored(samples(t)["v1-flush.seg"]).data
	size := int64(len(object))
	footer := int64(binary.BigEndian.Uint32(object[size-trailerSize:]))
	for n := int64(0); n <= size; n++ {
		f, err := ParseFooter(object[size-n:], size)
		if n >= footer+trailerSize {
			require.NoError(t, err)
			require.Len(t, f.Sections, 2)
			continue
		}
		require.ErrorIs(t, err, ErrShortTail)
		var short *ShortTailError
		require.ErrorAs(t, err, &short)
		if n < trailerSize {
			require.Equal(t, int64(trailerSize), short.Need)
		} else {
			require.Equal(t, footer+trailerSize, short.Need)
		}
	}
}

// A footer above TailSize costs one more read, not a failure; a short one costs one read.
func TestReadFooterInTwoReads(t *testing.T) {
	b := makeBatch(t, batch.None, 0, 1)
	var sections []Section
	for i := range 2000 {
		sections = append(sections, makeSection(1, int32(i), -1, b))
	}
	body, offsets, err := Build(Meta{Kind: Flush, ClusterID: "c"}, sections)
	require.NoError(t, err)
	store := stored(body)
	f, err := ReadFooter(context.Background(), store, "k", store.size())
	require.NoError(t, err)
	require.Equal(t, 2, store.gets)
	require.Len(t, f.Sections, 2000)
	require.Equal(t, offsets[1999], f.Sections[1999].Offset)
	require.Equal(t, f.Sections[1999].Offset+uint64(len(b)), f.DataEnd())
}

func TestUnknownVersionsAreRefused(t *testing.T) {
	for _, version := range []uint16{0, 2, math.MaxUint16} {
		store := stored(samples(t)["v1-flush.seg"])
		binary.BigEndian.PutUint16(store.data[len(store.data)-trailerSize+4:], version)
		reseal(store.data)
		_, err := ReadFooter(context.Background(), store, "k", store.size())
		require.ErrorIs(t, err, ErrVersion)

		store = stored(samples(t)["v1-flush.seg"])
		binary.BigEndian.PutUint16(store.data[8:], version)
		binary.BigEndian.PutUint32(store.data[12:], crc32.Checksum(store.data[:12], castagnoli))
		require.ErrorIs(t, Verify(context.Background(), store, "k", store.size(), nil), ErrVersion)
	}
}

// Footers whose checksum is right and whose content is not.
func TestWrongFootersAreCorrupt(t *testing.T) {
	good := stored(samples(t)["v1-flush.seg"]).data
	trailer := len(good) - trailerSize
	footer := trailer - int(binary.BigEndian.Uint32(good[trailer:]))
	section := footer + footerFixed + len("demo")
	for _, tc := range []struct {
		name string
		at   int
		to   []byte
	}{
		{"kind", footer + 8, []byte{3}},
		{"other kind", footer + 8, []byte{2}},
		{"reserved", footer + 9, []byte{1}},
		{"cluster id length", footer + 11, []byte{5}},
		{"section count", footer + 15, []byte{3}},
		{"section count 0", footer + 15, []byte{0}},
		{"section count huge", footer + 12, []byte{0xff, 0xff, 0xff, 0xff}},
		{"partition negative", section + 16, []byte{0x80}},
		{"base offset in a flush segment", section + 24, make([]byte, 8)},
		{"section position", section + 39, []byte{17}},
		{"section length", section + 47, []byte{1}},
		{"section length huge", section + 40, bytes.Repeat([]byte{0xff}, 8)},
		{"no batches", section + 48, make([]byte, 4)},
		{"more batches than fit", section + 48, []byte{0x7f}},
		{"object size", trailer + 8, []byte{1}},
		{"trailer reserved", trailer + 7, []byte{1}},
		{"footer length 0", trailer, make([]byte, 4)},
		{"footer length huge", trailer, []byte{0xff, 0xff, 0xff, 0xff}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bad := bytes.Clone(good)
			copy(bad[tc.at:], tc.to)
			_, err := ParseFooter(reseal(bad), int64(len(bad)))
			require.ErrorIs(t, err, ErrCorrupt)
		})
	}
	for n := range int64(len(good)) {
		_, err := ParseFooter(good[:n], n)
		require.ErrorIs(t, err, ErrCorrupt, "object cut at %d", n)
		_, err = ReadFooter(context.Background(), &oneObject{data: good[:n]}, "k", n)
		require.ErrorIs(t, err, ErrCorrupt, "object cut at %d", n)
	}
}

func TestBuildRefuses(t *testing.T) {
	b := makeBatch(t, batch.None, 0, 2)
	meta := Meta{Kind: Flush}
	ok := makeSection(1, 0, -1, b)
	with := func(change func(*Section)) []Section { s := ok; change(&s); return []Section{ok, s} }
	for name, tc := range map[string]struct {
		meta     Meta
		sections []Section
	}{
		"kind":                  {Meta{}, []Section{ok}},
		"cluster id":            {Meta{Kind: Flush, ClusterID: strings.Repeat("x", 1<<16)}, []Section{ok}},
		"nothing":               {meta, nil},
		"no bytes":              {meta, with(func(s *Section) { s.Chunks = nil })},
		"no batches":            {meta, with(func(s *Section) { s.Batches = 0 })},
		"too many batches":      {meta, with(func(s *Section) { s.Batches = 3 })},
		"records":               {meta, with(func(s *Section) { s.Records = -1 })},
		"partition":             {meta, with(func(s *Section) { s.Partition = -1 })},
		"offset in flush":       {meta, with(func(s *Section) { s.BaseOffset = 0 })},
		"no offset in a merged": {Meta{Kind: Merged}, []Section{ok}},
	} {
		_, _, err := Build(tc.meta, tc.sections)
		require.ErrorIs(t, err, ErrInvalid, name)
	}
}

// The body's chunks are the caller's own bytes.
func TestBuildCopiesNoBatch(t *testing.T) {
	s := makeSection(1, 0, -1, makeBatch(t, batch.None, 0, 50), makeBatch(t, batch.Zstd, 0, 50))
	body, _, err := Build(Meta{Kind: Flush}, []Section{s})
	require.NoError(t, err)
	require.Len(t, body.Chunks, 4)
	require.Same(t, &s.Chunks[0][0], &body.Chunks[1][0])
	require.Same(t, &s.Chunks[1][0], &body.Chunks[2][0])
}

// FuzzParseFooter: no panic, no allocation beyond the input's size, and what is accepted tiles the object.
func FuzzParseFooter(f *testing.F) {
	for _, body := range samples(f) {
		object := stored(body).data
		f.Add(object, int64(len(object)))
		f.Add(object[len(object)-100:], int64(len(object)))
		f.Add(object[len(object)-trailerSize:], int64(math.MaxInt64))
	}
	f.Fuzz(func(t *testing.T, tail []byte, size int64) {
		for _, seal := range []bool{false, true} {
			p := bytes.Clone(tail)
			if seal && len(p) >= trailerSize {
				binary.BigEndian.PutUint64(p[len(p)-16:], uint64(size))
				reseal(p)
			}
			footer, err := ParseFooter(p, size)
			var short *ShortTailError
			switch {
			case err == nil:
				at := uint64(headerSize)
				for _, s := range footer.Sections {
					require.Equal(t, at, s.Offset)
					require.Positive(t, s.Length)
					at += s.Length
				}
				require.Equal(t, at, footer.DataEnd())
				require.Less(t, at, uint64(size))
				require.LessOrEqual(t, len(footer.Sections)*sectionSize, len(p))
			case errors.As(err, &short):
				require.Greater(t, short.Need, int64(len(p)))
				require.LessOrEqual(t, short.Need, min(size, maxFooter+trailerSize))
			default:
				require.Nil(t, footer)
			}
		}
	})
}

func BenchmarkBuild(b *testing.B) {
	chunk := makeBatch(b, batch.None, 0, 300)
	var sections []Section
	for i := range 100 {
		s := makeSection(1, int32(i), -1, chunk)
		for len(s.Chunks) < 20 {
			s.Chunks = append(s.Chunks, chunk)
			s.Batches++
		}
		sections = append(sections, s)
	}
	body, _, err := Build(Meta{Kind: Flush}, sections)
	require.NoError(b, err)
	b.SetBytes(body.Size())
	b.ReportAllocs()
	var out objstore.Body
	for b.Loop() {
		out, _, _ = Build(Meta{Kind: Flush}, sections)
	}
	require.Equal(b, body.CRC32C, out.CRC32C)
}
