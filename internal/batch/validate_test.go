package batch

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// edit changes a batch and gives it a right CRC and length again, as a broken client would.
func edit(b Batch, change func(Batch) Batch) Batch {
	b = change(bytes.Clone(b))
	binary.BigEndian.PutUint32(b[8:], uint32(len(b)-12))
	b.updateCRC()
	return b
}

func put16(at int, v int16) func(Batch) Batch {
	return func(b Batch) Batch { binary.BigEndian.PutUint16(b[at:], uint16(v)); return b }
}

func put32(at int, v int32) func(Batch) Batch {
	return func(b Batch) Batch { binary.BigEndian.PutUint32(b[at:], uint32(v)); return b }
}

func put64(at int, v int64) func(Batch) Batch {
	return func(b Batch) Batch { binary.BigEndian.PutUint64(b[at:], uint64(v)); return b }
}

// idempotent makes the batch one of producer 9, epoch 0, sequence 0.
func idempotent(b Batch) Batch {
	put64(43, 9)(b)
	put16(51, 0)(b)
	return put32(53, 0)(b)
}

// Semantics lines 16, 18, 20 and Regression R5: nothing that is wrong gets past Validate, and each kind of wrong has
// its own error.
func TestValidateRefuses(t *testing.T) {
	plain := testBatch(t, None, 10)
	raw := func(change func(b Batch) Batch) Batch { return change(bytes.Clone(plain)) }
	attr := func(bits int16) func(Batch) Batch { return put16(21, bits) }
	for _, tc := range []struct {
		name  string
		b     Batch
		rules Rules
		want  error
	}{
		{"empty", nil, anyRules, ErrCorrupt},
		{"only a header's start", plain[:20], anyRules, ErrCorrupt},
		{"cut off", plain[:len(plain)-1], anyRules, ErrShort},
		{"trailing byte", append(bytes.Clone(plain), 0), anyRules, ErrCorrupt},
		{"two batches", append(bytes.Clone(plain), plain...), anyRules, ErrCorrupt},
		{"length below header", raw(put32(8, 48)), anyRules, ErrCorrupt},
		{"length negative", raw(put32(8, -1)), anyRules, ErrCorrupt},
		{"length 2 GiB", raw(put32(8, math.MaxInt32)), anyRules, ErrCorrupt},
		{"magic 1", edit(plain, func(b Batch) Batch { b[16] = 1; return b }), anyRules, ErrCorrupt},
		{"magic 3", edit(plain, func(b Batch) Batch { b[16] = 3; return b }), anyRules, ErrCorrupt},
		{"flipped payload byte", raw(func(b Batch) Batch { b[80] ^= 1; return b }), anyRules, ErrCorrupt},
		{"flipped CRC", raw(func(b Batch) Batch { b[17] ^= 1; return b }), anyRules, ErrCorrupt},

		{"above the limit", plain, Rules{MaxBytes: len(plain) - 1}, ErrTooLarge},
		{"codec 5", edit(plain, attr(5)), anyRules, ErrUnsupportedCodec},
		{"codec 7", edit(plain, attr(7)), anyRules, ErrUnsupportedCodec},
		{"zstd not allowed", testBatch(t, Zstd, 3), Rules{}, ErrUnsupportedCodec},

		{"count 0", edit(plain, put32(57, 0)), anyRules, ErrInvalidRecord},
		{"count negative", edit(plain, put32(57, -1)), anyRules, ErrInvalidRecord},
		{"count too low", edit(plain, put32(57, 9)), anyRules, ErrInvalidRecord},
		{"last delta negative", edit(plain, put32(23, -10)), anyRules, ErrInvalidRecord},
		{"last delta too high", edit(plain, put32(23, 10)), anyRules, ErrInvalidRecord},
		{"count and delta high", edit(plain, func(b Batch) Batch { put32(23, 10)(b); return put32(57, 11)(b) }), anyRules, ErrInvalidRecord},
		{"count and delta low", edit(plain, func(b Batch) Batch { put32(23, 8)(b); return put32(57, 9)(b) }), anyRules, ErrInvalidRecord},
		{"count and delta huge", edit(plain, func(b Batch) Batch {
			put32(23, math.MaxInt32-1)(b)
			return put32(57, math.MaxInt32)(b)
		}), anyRules, ErrInvalidRecord},
		{"base offset", edit(plain, put64(0, 5)), anyRules, ErrInvalidRecord},
		{"control", edit(plain, attr(0x20)), anyRules, ErrInvalidRecord},
		{"delete horizon", edit(plain, attr(0x40)), anyRules, ErrInvalidRecord},
		{"pid without sequence", edit(edit(plain, idempotent), put32(53, -1)), anyRules, ErrInvalidRecord},
		{"pid without epoch", edit(edit(plain, idempotent), put16(51, -1)), anyRules, ErrInvalidRecord},
		{"pid -2", edit(plain, put64(43, -2)), anyRules, ErrInvalidRecord},
		{"payload missing", edit(plain, func(b Batch) Batch { return b[:HeaderSize] }), anyRules, ErrInvalidRecord},
		{"payload cut", edit(plain, func(b Batch) Batch { return b[:len(b)-3] }), anyRules, ErrInvalidRecord},
		{"payload longer", edit(plain, func(b Batch) Batch { return append(b, 0, 0) }), anyRules, ErrInvalidRecord},
		{"base timestamp overflows", edit(plain, put64(27, math.MaxInt64)), anyRules, ErrInvalidRecord},
		{"gzip of nothing", edit(plain, attr(1)), anyRules, ErrInvalidRecord},
		{"snappy of nothing", edit(plain, attr(2)), anyRules, ErrInvalidRecord},
		{"lz4 of nothing", edit(plain, attr(3)), anyRules, ErrInvalidRecord},
		{"zstd of nothing", edit(plain, attr(4)), anyRules, ErrInvalidRecord},

		// Semantics line 19.
		{"too old", plain, Rules{MinTimestamp: 1_700_000_000_001}, ErrTimestamp},
		{"too new", plain, Rules{MaxTimestamp: 1_700_000_000_005}, ErrTimestamp},
		{"LogAppendTime from a client", edit(plain, attr(8)), anyRules, ErrTimestamp},
		// Semantics line 21.
		{"keyless", plain, Rules{RequireKeys: true}, ErrNoKey},
	} {
		t.Run(tc.name, func(t *testing.T) {
			before := bytes.Clone(tc.b)
			b, err := Validate(tc.b, tc.rules)
			require.ErrorIs(t, err, tc.want)
			require.Nil(t, b)
			require.Equal(t, before, []byte(tc.b), "a refused batch is not written to")
			// Exactly one class: the protocol edge must not have to guess.
			classes := 0
			for _, class := range []error{ErrCorrupt, ErrInvalidRecord, ErrTooLarge, ErrUnsupportedCodec, ErrTimestamp, ErrNoKey} {
				if errors.Is(err, class) {
					classes++
				}
			}
			require.Equal(t, 1, classes)
		})
	}
}

// Semantics line 21: the index of the offending record goes into record_errors, compressed or not.
func TestKeylessIndex(t *testing.T) {
	for _, codec := range codecs {
		_, err := Validate(testBatch(t, codec, 10), Rules{AllowZstd: true, RequireKeys: true})
		var re *RecordError
		require.ErrorAs(t, err, &re)
		require.Equal(t, int32(1), re.Index)
		require.ErrorIs(t, err, ErrNoKey)
	}
}

// Semantics line 21 and KIP-467: all records that the topic does not take are named, each with its own cause, and the cause
// of a timestamp decides for the batch.
func TestEveryRefusedRecordIsNamed(t *testing.T) {
	var w Builder
	w.Reset(NoProducer(None))
	for i, key := range [][]byte{[]byte("k"), nil, []byte("k"), nil} {
		require.NoError(t, w.Append(Record{Timestamp: int64(1000 * (i + 1)), Key: key}))
	}
	b, err := w.Build(nil)
	require.NoError(t, err)
	_, err = Validate(b, Rules{RequireKeys: true, MinTimestamp: 1, MaxTimestamp: 2500})
	var list RecordErrors
	require.ErrorAs(t, err, &list)
	require.Len(t, list, 3)
	require.Equal(t, int32(1), list[0].Index)
	require.ErrorIs(t, list[0].Err, ErrNoKey)
	require.Equal(t, int32(2), list[1].Index)
	require.ErrorIs(t, list[1].Err, ErrTimestamp)
	require.Equal(t, int32(3), list[2].Index)
	require.ErrorIs(t, list[2].Err, ErrNoKey)
	require.ErrorIs(t, err, ErrTimestamp)
	require.NotErrorIs(t, err, ErrNoKey)
}

// A batch of nothing but refused records gets an answer of bounded size.
func TestRefusedRecordsAreBounded(t *testing.T) {
	var w Builder
	w.Reset(NoProducer(None))
	for range maxRecordErrors + 5 {
		require.NoError(t, w.Append(Record{Timestamp: 1}))
	}
	b, err := w.Build(nil)
	require.NoError(t, err)
	_, err = Validate(b, Rules{RequireKeys: true})
	var list RecordErrors
	require.ErrorAs(t, err, &list)
	require.Len(t, list, maxRecordErrors)
}

// Semantics line 16 and Regression R5, record by record: each delta must be the record's index, in every codec.
func TestOffsetDeltas(t *testing.T) {
	for _, codec := range codecs {
		opts := NoProducer(codec)
		for _, offsets := range [][]int64{{0, 2}, {1, 2}, {0, 1, 5}} {
			var w Builder
			w.Reset(opts)
			for _, o := range offsets {
				require.NoError(t, w.AppendAt(Record{Offset: o, Timestamp: 5, Key: []byte("k")}))
			}
			raw, err := w.Build(nil)
			require.NoError(t, err)
			_, err = Validate(edit(raw, put32(23, int32(len(offsets)-1))), anyRules)
			require.ErrorIs(t, err, ErrInvalidRecord)
			_, err = Validate(raw, anyRules)
			require.ErrorIs(t, err, ErrInvalidRecord)
			// What compaction leaves is fine once stored.
			b, err := Validate(raw, Rules{AllowZstd: true, Stored: true})
			require.NoError(t, err)
			_, got := iterate(t, b)
			require.Equal(t, offsets, got)
		}
	}
}

// Semantics line 17: whatever the client put into the leader epoch is fine and overwritten without a new CRC.
func TestLeaderEpochIsIgnored(t *testing.T) {
	for _, epoch := range []int32{-1, 0, 77} {
		b := testBatch(t, None, 3)
		b.SetPartitionLeaderEpoch(epoch)
		got, err := Validate(b, anyRules)
		require.NoError(t, err)
		require.Equal(t, epoch, got.PartitionLeaderEpoch())
		got.SetPartitionLeaderEpoch(0)
		got.SetBaseOffset(1 << 40)
		require.Equal(t, got.CRC(), got.ComputeCRC())
		require.Equal(t, int64(1<<40)+2, got.LastOffset())
	}
}

// KIP-32: the append time is in every record that a client reads.
func TestSetLogAppendTime(t *testing.T) {
	for _, codec := range codecs {
		b, err := Validate(testBatch(t, codec, 5), anyRules)
		require.NoError(t, err)
		b.SetLogAppendTime(123_456)
		require.True(t, b.LogAppendTime())
		require.Equal(t, codec, b.Codec())
		require.Equal(t, int64(123_456), b.MaxTimestamp())
		for _, r := range refRead(t, b, 0) {
			require.Equal(t, int64(123_456), r.Timestamp.UnixMilli())
		}
		records, _ := iterate(t, b)
		require.Len(t, records, 5)
		for _, r := range records {
			require.Equal(t, int64(123_456), r.Timestamp)
		}
		_, err = Validate(b, Rules{AllowZstd: true, Stored: true})
		require.NoError(t, err)
	}
}

// Brokers correct a wrong max timestamp; retention and searches would go wrong otherwise.
func TestMaxTimestampIsCorrected(t *testing.T) {
	for _, codec := range codecs {
		want := testBatch(t, codec, 9).MaxTimestamp()
		for _, wrong := range []int64{-1, 0, want - 1, want + 1, math.MaxInt64} {
			b, err := Validate(edit(testBatch(t, codec, 9), put64(35, wrong)), anyRules)
			require.NoError(t, err)
			require.Equal(t, want, b.MaxTimestamp())
			require.Equal(t, b.ComputeCRC(), b.CRC())
		}
		_, err := Validate(edit(testBatch(t, codec, 9), put64(35, want-1)), Rules{AllowZstd: true, Stored: true})
		require.ErrorIs(t, err, ErrInvalidRecord)
	}
}

func TestTransactionalBatches(t *testing.T) {
	plain := testBatch(t, None, 3)
	for name, change := range map[string]func(Batch) Batch{
		"of a producer": idempotent, "of none, which Apache Kafka takes too": func(b Batch) Batch { return b },
	} {
		b := put16(21, 0x10)(change(bytes.Clone(plain)))
		b.updateCRC()
		got, err := Validate(b, anyRules)
		require.NoError(t, err, name)
		require.True(t, got.Transactional(), name)
	}
}

func TestControlBatch(t *testing.T) {
	build := func(key []byte) Batch {
		var w Builder
		w.Reset(BuildOptions{BaseOffset: 8, ProducerID: 4, ProducerEpoch: 1, BaseSequence: -1, Transactional: true, Control: true})
		require.NoError(t, w.Append(Record{Timestamp: 9, Key: key, Value: []byte{0, 0, 0, 0, 0, 0}}))
		b, err := w.Build(nil)
		require.NoError(t, err)
		return b
	}
	rules := Rules{Stored: true, AllowControl: true}
	b, err := Validate(build([]byte{0, 0, 0, 1}), rules)
	require.NoError(t, err)
	require.True(t, b.Control() && b.Transactional())
	_, err = Validate(build([]byte{0}), rules)
	require.ErrorIs(t, err, ErrInvalidRecord)
}

// Semantics line 47: the first record at or after the time, looked for inside the batch, timestamps in any order.
func TestFirstOffsetAtOrAfter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		records := drawRecords(t)
		for i := range records {
			records[i].Timestamp %= 50
		}
		b := Batch(refBuild(t, rapid.SampledFrom(codecs).Draw(t, "codec"), records))
		b.SetBaseOffset(100)
		ts := rapid.Int64Range(0, 60).Draw(t, "ts")
		wantOffset, wantTs, wantOK := int64(-1), int64(-1), false
		for i, r := range records {
			if r.Timestamp >= ts {
				wantOffset, wantTs, wantOK = 100+int64(i), r.Timestamp, true
				break
			}
		}
		o, rts, ok, err := FirstOffsetAtOrAfter(b, ts)
		require.NoError(t, err)
		require.Equal(t, []any{wantOffset, wantTs, wantOK}, []any{o, rts, ok})
	})
}

func TestSplit(t *testing.T) {
	a, b := testBatch(t, None, 3), testBatch(t, Gzip, 4)
	buf := append(bytes.Clone(a), b...)
	first, rest, err := Split(buf)
	require.NoError(t, err)
	require.Equal(t, a, first)
	second, rest, err := Split(rest)
	require.NoError(t, err)
	require.Equal(t, b, second)
	require.Empty(t, rest)
	for n := range len(a) {
		_, _, err := Split(a[:n])
		require.ErrorIs(t, err, ErrShort)
	}
}
