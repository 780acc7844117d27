package server

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"wadi/agent/server/wire"
)

func newFrame(pooled bool) *Frame {
	f := &Frame{pooled: pooled}
	f.refs.Store(1)
	return f
}

// A frame holds what was sent, however the bytes arrive, and grows with them.
func TestReadBody(t *testing.T) {
	for _, size := range []int{8, 100, firstStep, firstStep + 1, 1 << 20, 17<<20 + 3} {
		for _, pooled := range []bool{false, true} {
			want := bytes.Repeat([]byte("0123456789abcdef!"), size/17+1)[:size]
			f := newFrame(pooled)
			if size%2 == 0 {
				f.budget = NewMemoryBudget(1 << 30)
			}
			require.NoError(t, f.readBody(iotest.HalfReader(bytes.NewReader(want)), size))
			require.True(t, bytes.Equal(want, f.buf))
			require.Equal(t, size, f.Len())
			f.Release()
		}
	}
	f := newFrame(true)
	err := f.readBody(bytes.NewReader(make([]byte, 100)), 100<<20)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.LessOrEqual(t, cap(f.buf), firstStep, "memory follows the bytes that came, not the ones announced")
	f.Release()
}

// Regression R16: a buffer is reused only when nobody holds it, and a slip in counting is loud.
func TestFrameReferences(t *testing.T) {
	b := NewMemoryBudget(1000)
	require.NoError(t, b.Acquire(t.Context(), 300))
	f := newFrame(true)
	f.budget, f.taken = b, 300
	require.NoError(t, f.readBody(bytes.NewReader(make([]byte, 300)), 300))
	f.Retain()
	f.Release()
	require.Equal(t, int64(300), b.Used())
	require.Len(t, f.buf, 300)
	f.Release()
	require.Zero(t, b.Used())
	require.Panics(t, f.Release)
	require.Panics(t, f.Retain)
}

// A buffer is at most a quarter larger than what it holds, and the classes do not mix.
func TestBufferSizes(t *testing.T) {
	seen := map[int]int{}
	for n := 1; n <= maxBuffer; n += 1 + n/50 {
		size := bufferSize(n)
		require.GreaterOrEqual(t, size, n)
		require.LessOrEqual(t, size, max(minBuffer, n+n/4+1))
		require.Equal(t, size, bufferSize(size))
		class := bufferClass(size)
		if was, ok := seen[class]; ok {
			require.Equal(t, was, size)
		}
		seen[class] = size
		b := getBuffer(n)
		require.Len(t, b, n)
		require.GreaterOrEqual(t, cap(b), size)
		putBuffer(b)
	}
	require.Less(t, bufferClass(maxBuffer), len(pools))
}

func flexible(key, version int16) bool { return key == 3 && version >= 9 }

func TestParseHeader(t *testing.T) {
	plain := []byte{0, 3, 0, 8, 0, 0, 0, 7, 0, 2, 'm', 'e', 'x'}
	h, rest, err := parseHeader(plain, flexible)
	require.NoError(t, err)
	require.Equal(t, []any{int16(3), int16(8), int32(7), "me", "x"}, []any{h.key, h.version, h.correlationID, string(h.clientID), string(rest)})
	// Semantics line 7: the client id stays classic in a flexible header, and tagged fields follow it.
	flex := []byte{0, 3, 0, 9, 0, 0, 0, 7, 0, 2, 'm', 'e', 1, 5, 1, 'z', 'x'}
	h, rest, err = parseHeader(flex, flexible)
	require.NoError(t, err)
	require.Equal(t, "me", string(h.clientID))
	require.Equal(t, "x", string(rest))
	null := []byte{0, 3, 0, 0, 0, 0, 0, 7, 0xff, 0xff}
	h, rest, err = parseHeader(null, flexible)
	require.NoError(t, err)
	require.Empty(t, h.clientID)
	require.Empty(t, rest)
	for _, bad := range [][]byte{nil, plain[:9], {0, 3, 0, 8, 0, 0, 0, 7, 0, 9, 'm'}, {0, 3, 0, 8, 0, 0, 0, 7, 0xff, 0xfe}, flex[:14], flex[:12]} {
		_, _, err := parseHeader(bad, flexible)
		require.ErrorIs(t, err, ErrHeader, "%x", bad)
	}
}

// Any bytes: an error or a header, never a panic.
func FuzzFrame(f *testing.F) {
	f.Add([]byte{0, 0, 0, 13, 0, 3, 0, 8, 0, 0, 0, 7, 0, 2, 'm', 'e', 'x'})
	f.Add([]byte{0x7f, 0xff, 0xff, 0xff, 0, 3, 0, 9})
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < 4 {
			return
		}
		size := int(min(binary.BigEndian.Uint32(b), 1<<20))
		fr := newFrame(size%2 == 0)
		defer fr.Release()
		if err := fr.readBody(bytes.NewReader(b[4:]), size); err != nil {
			require.ErrorIs(t, err, io.ErrUnexpectedEOF)
			require.LessOrEqual(t, cap(fr.buf), max(firstStep, 4*len(b)))
			return
		}
		_, rest, err := parseHeader(fr.buf, flexible)
		if err != nil {
			require.True(t, errors.Is(err, ErrHeader))
			return
		}
		require.LessOrEqual(t, len(rest), size-10)
		if rest, err := wire.SkipTags(rest); err == nil {
			require.Less(t, len(rest), size)
		}
	})
}
