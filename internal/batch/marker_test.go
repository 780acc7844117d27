package batch

import (
	"encoding/hex"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// Two markers as Apache Kafka 4.3.1 wrote them, the first with coordinator epoch 0 (Semantics line 45). integration/kafka
// has the broker write others.
func TestMarkerIsKafkas(t *testing.T) {
	for _, e := range []struct {
		commit bool
		pid    int64
		time   int64
		bytes  string
	}{
		{true, 8, 0x1a20328f62e, "0000000000000002000000420000000002087b4014003000000000000001a20328f62e000001a20328f62e" +
			"00000000000000080001ffffffff000000012000000008000000010c00000000000000"},
		{false, 9, 0x1a20328f888, "00000000000000020000004200000000024e274865003000000000000001a20328f888000001a20328f888" +
			"00000000000000090001ffffffff000000012000000008000000000c00000000000000"},
	} {
		got := Marker{Base: 2, ProducerID: e.pid, Epoch: 1, Ms: e.time, Commit: e.commit}.AppendTo(nil)
		require.Equal(t, e.bytes, hex.EncodeToString(got))
	}
}

// A marker is a whole batch, and the one that a Builder makes of the same record.
func TestMarkerIsABatch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		base := rapid.Int64Range(0, math.MaxInt64).Draw(t, "base")
		pid, epoch := rapid.Int64Min(0).Draw(t, "pid"), rapid.Int16Min(0).Draw(t, "epoch")
		ms, commit := rapid.Int64Min(1).Draw(t, "ms"), rapid.Bool().Draw(t, "commit")
		before := rapid.SliceOfN(rapid.Byte(), 0, 10).Draw(t, "before")
		stamped := rapid.Bool().Draw(t, "LogAppendTime")
		m := Marker{Base: base, ProducerID: pid, Epoch: epoch, Ms: ms, Commit: commit, AppendTime: stamped}
		out := m.AppendTo(append([]byte(nil), before...))
		require.Equal(t, before, out[:len(before):len(before)])
		got := out[len(before):]
		require.Len(t, got, MarkerBytes)

		key := []byte{0, 0, 0, 0}
		if commit {
			key[3] = 1
		}
		var w Builder
		w.Reset(BuildOptions{
			BaseOffset: base, ProducerID: pid, ProducerEpoch: epoch, BaseSequence: -1, Transactional: true, Control: true,
		})
		require.NoError(t, w.Append(Record{Timestamp: ms, Key: key, Value: make([]byte, 6)}))
		want, err := w.Build(nil)
		require.NoError(t, err)
		if stamped {
			Batch(want).SetLogAppendTime(ms)
		}
		require.Equal(t, want, got)

		_, err = Validate(got, Rules{Stored: true, AllowControl: true})
		require.NoError(t, err)
	})
}

func TestMarkerAllocatesNothing(t *testing.T) {
	dst, m := make([]byte, 0, MarkerBytes), Marker{Base: 5, ProducerID: 6, Epoch: 7, Ms: 8, Commit: true, AppendTime: true}
	require.Zero(t, testing.AllocsPerRun(100, func() { dst = m.AppendTo(dst[:0]) }))
}
