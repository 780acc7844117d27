package batch

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// naiveParse is the plainest reading of the record format: a stream, copies, one error for everything. The slices it
// returns are never nil for records that parsed.
func naiveParse(p []byte) (r rawRecord, headers []Header, size int, err error) {
	all := bytes.NewReader(p)
	length, err := binary.ReadVarint(all)
	if err != nil || length < 0 || length > int64(all.Len()) {
		return r, nil, 0, errors.New("length")
	}
	body := make([]byte, length)
	if _, err := io.ReadFull(all, body); err != nil {
		return r, nil, 0, err
	}
	in := bytes.NewReader(body)
	var failed error
	number := func() int64 {
		v, err := binary.ReadVarint(in)
		failed = errors.Join(failed, err)
		return v
	}
	small := func() int32 {
		before := in.Len()
		v := number()
		if v < math.MinInt32 || v > math.MaxInt32 || before-in.Len() > 5 {
			failed = errors.Join(failed, errors.New("not 32 bits"))
		}
		return int32(v)
	}
	text := func() []byte {
		n := small()
		if failed != nil || n < -1 || int(n) > in.Len() {
			failed = errors.Join(failed, errors.New("string"))
			return nil
		}
		if n == -1 {
			return nil
		}
		s := make([]byte, n)
		_, err := io.ReadFull(in, s)
		failed = errors.Join(failed, err)
		return s
	}
	if _, err := in.ReadByte(); err != nil {
		return r, nil, 0, err
	}
	r.timestampDelta = number()
	r.offsetDelta = small()
	r.key, r.value = text(), text()
	count := small()
	if count < 0 {
		failed = errors.Join(failed, errors.New("header count"))
	}
	for i := int32(0); i < count && failed == nil; i++ {
		h := Header{Key: text(), Value: nil}
		if h.Key == nil {
			failed = errors.Join(failed, errors.New("null header key"))
		}
		h.Value = text()
		headers = append(headers, h)
	}
	if in.Len() != 0 {
		failed = errors.Join(failed, errors.New("bytes left"))
	}
	return r, headers, len(p) - all.Len(), failed
}

// The fast parser and the naive one agree on every input: on what is a record, and on what is in it.
func TestParserAgainstNaiveTwin(t *testing.T) {
	accepted := 0
	rapid.Check(t, func(t *rapid.T) {
		var w Builder
		w.Reset(BuildOptions{BaseTimestamp: 1})
		for _, r := range drawRecords(t)[:1] {
			require.NoError(t, w.Append(Record{Timestamp: r.Timestamp, Key: r.Key, Value: r.Value, Headers: NewHeaders(r.Headers...)}))
		}
		p := w.records
		for range rapid.IntRange(0, 3).Draw(t, "edits") {
			at := rapid.IntRange(0, len(p)-1).Draw(t, "at")
			p[at] = rapid.Byte().Draw(t, "byte")
		}
		if rapid.Bool().Draw(t, "cut") {
			p = p[:rapid.IntRange(0, len(p)).Draw(t, "length")]
		}
		if compareParsers(t, p) {
			accepted++
		}
	})
	require.Positive(t, accepted)
}

func compareParsers(t require.TestingT, p []byte) bool {
	var got rawRecord
	n := parseRecord(p, &got)
	want, headers, size, err := naiveParse(p)
	// The naive twin reads the record's own length as 64 bits; a length in more than 5 bytes is no record.
	if _, m := binary.Varint(p); m > 5 {
		err = errors.New("length varint")
	}
	require.Equal(t, err == nil, n >= 0, "naive: %v", err)
	if err != nil {
		return false
	}
	require.Equal(t, size, n)
	require.Equal(t, want.timestampDelta, got.timestampDelta)
	require.Equal(t, want.offsetDelta, got.offsetDelta)
	require.Equal(t, want.key, got.key)
	require.Equal(t, want.value, got.value)
	var hs []Header
	for h := range got.headers.All() {
		hs = append(hs, h)
	}
	require.Equal(t, headers, hs)
	return true
}

func TestVarints(t *testing.T) {
	for _, v := range []int64{0, 1, -1, 63, 64, -64, -65, math.MaxInt32, math.MinInt32, math.MaxInt64, math.MinInt64} {
		p := binary.AppendVarint(nil, v)
		require.Equal(t, len(p), varintLen(v))
		got, n := varint64(p)
		require.Equal(t, []int64{v, int64(len(p))}, []int64{got, int64(n)})
		small, n := varint32(p)
		if v >= math.MinInt32 && v <= math.MaxInt32 {
			require.Equal(t, []int64{v, int64(len(p))}, []int64{int64(small), int64(n)})
		} else {
			require.Negative(t, n)
		}
	}
	_, n := varint32([]byte{0x80, 0x80, 0x80, 0x80, 0x80, 0x00})
	require.Negative(t, n, "six bytes")
	_, n = varint32([]byte{0x80})
	require.Zero(t, n)
}
