package semantics

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/integration/rawbatch"
	"wadi/internal/batch"
)

// Semantics line 15: acks are -1, 0 or 1; anything else is refused with 21, for each partition.
func TestLine15Acks(t *testing.T) {
	c := dial(t, shared(t))
	to := create(c, "line15", 2)
	for _, acks := range []int16{2, -2, 100, -32768} {
		req := produceRequest(plain("v"), to)
		req.Acks = acks
		other := kmsg.NewProduceRequestTopicPartition()
		other.Partition, other.Records = 1, plain("v")
		req.Topics[0].Partitions = append(req.Topics[0].Partitions, other)
		resp := ask[*kmsg.ProduceResponse](c, 11, req)
		require.Len(t, resp.Topics[0].Partitions, 2)
		for _, p := range resp.Topics[0].Partitions {
			require.Equal(t, int16(21), p.ErrorCode, "acks %d", acks)
			require.Equal(t, int64(-1), p.BaseOffset)
		}
	}
	require.Zero(t, end(c, to))
}

// malformed are batches that are not what they say, with the error that each deserves.
func malformed() []struct {
	name  string
	batch []byte
	code  int16
} {
	header := func(edit func(*kmsg.RecordBatch)) []byte { return batchOf(edit, rawbatch.Values("a", "b", "c")...) }
	bytes := func(at int, v ...byte) []byte { b := plain("a", "b", "c"); copy(b[at:], v); return b }
	delta := func(d int32) []byte {
		r := rawbatch.Values("a", "b", "c")
		r[1].OffsetDelta = d
		return batchOf(nil, r...)
	}
	flipped := plain("a", "b", "c")
	flipped[len(flipped)-2] ^= 1
	long := plain("a", "b", "c")
	long[11]++
	short := plain("a", "b", "c")
	short[11]--
	oldMagic := plain("a", "b", "c")
	oldMagic[16] = 1
	return []struct {
		name  string
		batch []byte
		code  int16
	}{
		{"no batch", []byte{}, 87},
		{"null", nil, 87},
		{"two batches", append(plain("a"), plain("b")...), 87},
		{"magic 0", bytes(16, 0), 87},
		{"magic 1", oldMagic, 87},
		{"magic 3", bytes(16, 3), 2},
		{"flipped bit", flipped, 2},
		{"CRC 0", bytes(17, 0, 0, 0, 0), 2},
		{"one byte short", short, 2},
		{"one byte long", long, 87},
		{"length of nothing", bytes(8, 0, 0, 0, 0), 2},
		{"negative length", bytes(8, 0xff, 0xff, 0xff, 0xff), 2},
		{"base offset", header(func(b *kmsg.RecordBatch) { b.FirstOffset = 7 }), 87},
		{"too few records", header(func(b *kmsg.RecordBatch) { b.NumRecords = 2 }), 87},
		{"too many records", header(func(b *kmsg.RecordBatch) { b.NumRecords = 4 }), 87},
		{"both wrong", header(func(b *kmsg.RecordBatch) { b.NumRecords, b.LastOffsetDelta = 4, 3 }), 87},
		{"no records", header(func(b *kmsg.RecordBatch) { b.NumRecords, b.LastOffsetDelta, b.Records = 0, -1, nil }), 87},
		{"count of none", header(func(b *kmsg.RecordBatch) { b.NumRecords, b.LastOffsetDelta = -1, -2 }), 87},
		{"last delta", header(func(b *kmsg.RecordBatch) { b.LastOffsetDelta = 1 << 30 }), 87},
		{"last delta below 0", header(func(b *kmsg.RecordBatch) { b.LastOffsetDelta = -5 }), 87},
		{"delta twice", delta(0), 87},
		{"delta behind", delta(-1), 87},
		{"delta ahead", delta(100), 87},
		{"sequence below 0", header(func(b *kmsg.RecordBatch) { b.ProducerID, b.ProducerEpoch = 5, 0 }), 87},
		{"control batch of a transaction, without its id", header(func(b *kmsg.RecordBatch) { b.Attributes = 1<<5 | 1<<4; b.ProducerID = 5 }), 53},
		{"control batch", header(func(b *kmsg.RecordBatch) { b.Attributes = 1 << 5 }), 87},
		{"bytes behind the records", header(func(b *kmsg.RecordBatch) { b.Records = append(b.Records, 0) }), 87},
	}
}

// Semantics line 16: a partition of a Produce request holds one batch of magic 2, and that batch must be right. Magic 0
// and 1 and a number of batches that is not one are INVALID_RECORD, as in Apache Kafka.
// Regression R5: nothing of a malformed batch is stored, the log neither moves nor goes back, and what is acknowledged
// before and after stays.
func TestLine16OneRightBatchPerPartition(t *testing.T) {
	c := dial(t, shared(t))
	to := create(c, "line16", 1)
	var want []held
	for _, m := range malformed() {
		t.Run(m.name, func(t *testing.T) {
			c := dial(t, shared(t))
			next := end(c, to)
			p := produce(c, to, m.batch)
			require.Equal(t, m.code, p.ErrorCode, text(p.ErrorMessage))
			require.Equal(t, int64(-1), p.BaseOffset)
			require.Equal(t, next, end(c, to), "the log moved")
			stored(c, to, plain("after "+m.name), next)
			want = append(want, held{next, "after " + m.name})
		})
	}
	require.Equal(t, want, everything(c, to))
}

// Regression R5 and Semantics line 16, by chance: a batch with some bytes changed is refused, or is stored whole.
func TestR5DamagedBatches(t *testing.T) {
	c := dial(t, shared(t))
	to := create(c, "r5", 1)
	rng := rand.New(rand.NewPCG(5, 5))
	next := int64(0)
	for range 300 {
		b := plain("one", "two", "three")
		for range 1 + rng.IntN(3) {
			b[rng.IntN(len(b))] ^= 1 << rng.IntN(8)
		}
		if rng.IntN(2) == 0 {
			b = rawbatch.Sealed(b)
		}
		if p := produce(c, to, b); p.ErrorCode == 0 {
			require.Equal(t, next, p.BaseOffset)
			next += int64(binary.BigEndian.Uint32(b[57:]))
		} else {
			require.Equal(t, int64(-1), p.BaseOffset)
		}
		stored(c, to, plain("good"), next)
		next++
	}
	got := everything(c, to)
	require.Len(t, got, int(next))
}

// Semantics line 17: whatever a client writes into the leader epoch of a batch, readers see the real one.
func TestLine17LeaderEpochOfBatches(t *testing.T) {
	c := dial(t, shared(t))
	to := create(c, "line17", 1)
	for i, epoch := range []int32{-1, 0, 5, 1<<31 - 1} {
		stored(c, to, batchOf(func(b *kmsg.RecordBatch) { b.PartitionLeaderEpoch = epoch }, rawbatch.Values("v")...), int64(i))
	}
	require.Len(t, batches(t, fetch(c, to, 0).RecordBatches), 4) // it looks at the epoch of each
}

// Semantics line 18: max.message.bytes limits a batch as it is stored, compressed and with its header, and the topic's
// own value beats the default.
func TestLine18MaxMessageBytes(t *testing.T) {
	c := dial(t, shared(t))
	big := string(make([]byte, 20_000))
	small := create(c, "line18-small", 1, "max.message.bytes", "10000")
	p := produce(c, small, plain(big))
	require.Equal(t, int16(10), p.ErrorCode)
	require.Equal(t, int64(-1), p.BaseOffset)
	stored(c, small, compressed(t, batch.Gzip, big), 0)

	exact := plain("exact")
	exactly := create(c, "line18-exact", 1, "max.message.bytes", fmt.Sprint(len(exact)))
	stored(c, exactly, exact, 0)
	require.Equal(t, int16(10), produce(c, exactly, plain("exact+")).ErrorCode)

	huge := string(make([]byte, 1100<<10))
	require.Equal(t, int16(10), produce(c, create(c, "line18-default", 1), plain(huge)).ErrorCode)
	stored(c, create(c, "line18-large", 1, "max.message.bytes", "2000000"), plain(huge), 0)

	// A topic that stores everything uncompressed stores more bytes than came.
	grows := create(c, "line18-grows", 1, "max.message.bytes", "10000", "compression.type", "uncompressed")
	require.Equal(t, int16(10), produce(c, grows, compressed(t, batch.Gzip, big)).ErrorCode)
	require.Zero(t, end(c, grows))
}

// Semantics line 19: message.timestamp.type belongs to the topic. LogAppendTime sets the attribute, the maximum and
// log_append_time_ms; CreateTime answers -1 there and refuses times out of bounds with 32.
func TestLine19Timestamps(t *testing.T) {
	c := dial(t, shared(t))
	at := func(ms int64) []byte {
		return batchOf(func(b *kmsg.RecordBatch) { b.FirstTimestamp, b.MaxTimestamp = ms, ms }, rawbatch.Values("v")...)
	}
	const old = 1_000_000_000_000
	created := create(c, "line19-create", 1, "message.timestamp.before.max.ms", "60000", "message.timestamp.after.max.ms", "60000")
	now := time.Now().UnixMilli()
	p := produce(c, created, at(now-30_000))
	require.Zero(t, p.ErrorCode)
	require.Equal(t, int64(-1), p.LogAppendTime)
	for _, ms := range []int64{now - 120_000, now + 120_000, old} {
		p := produce(c, created, at(ms))
		require.Equal(t, int16(32), p.ErrorCode, "%d ms from now", ms-now)
		require.Equal(t, int64(-1), p.BaseOffset)
	}
	b := batches(t, fetch(c, created, 0).RecordBatches)
	require.Len(t, b, 1)
	require.Equal(t, []int64{0, now - 30_000}, []int64{int64(b[0].Attributes & 8), b[0].MaxTimestamp})
	// By default only the future is bounded, by an hour.
	byDefault := create(c, "line19-default", 1)
	stored(c, byDefault, at(old), 0)
	require.Equal(t, int16(32), produce(c, byDefault, at(now+2*3600_000)).ErrorCode)

	appended := create(c, "line19-append", 1, "message.timestamp.type", "LogAppendTime")
	for offset, sent := range [][]byte{at(old), at(now + 1000*3600_000), compressed(t, batch.LZ4, "v")} {
		before := time.Now().UnixMilli()
		p := produce(c, appended, sent)
		require.Zero(t, p.ErrorCode)
		require.GreaterOrEqual(t, p.LogAppendTime, before)
		require.LessOrEqual(t, p.LogAppendTime, time.Now().UnixMilli())
		b := batches(t, fetch(c, appended, int64(offset)).RecordBatches)
		require.Len(t, b, 1)
		require.NotZero(t, b[0].Attributes&8)
		require.Equal(t, p.LogAppendTime, b[0].MaxTimestamp)
	}
}

// Semantics line 20: zstd needs Produce version 7 and Fetch version 10, else 76; compression.type=producer keeps every
// codec, another value stores that one.
func TestLine20Codecs(t *testing.T) {
	c := dial(t, shared(t))
	kept := create(c, "line20-producer", 1)
	codecs := []batch.Codec{batch.None, batch.Gzip, batch.Snappy, batch.LZ4, batch.Zstd}
	for i, codec := range codecs {
		stored(c, kept, compressed(t, codec, "one", "two"), int64(2*i))
	}
	for i, b := range batches(t, fetch(c, kept, 0).RecordBatches) {
		require.Equal(t, int16(codecs[i]), b.Attributes&7)
	}
	for version := int16(3); version <= 13; version++ {
		p := produceAt(c, version, kept, compressed(t, batch.Zstd, "v"))
		want := int16(76)
		if version >= 7 {
			want = 0
		}
		require.Equal(t, want, p.ErrorCode, "Produce %d", version)
		require.Equal(t, want == 0, p.BaseOffset >= 0)
	}
	for version := int16(4); version <= 17; version++ {
		// What comes before the zstd batch can be read by everyone.
		first := only(c, ask[*kmsg.FetchResponse](c, version, fetchRequest(0, kept)))
		require.Zero(t, first.ErrorCode)
		p := only(c, ask[*kmsg.FetchResponse](c, version, fetchRequest(8, kept)))
		if version >= 10 {
			require.Zero(t, p.ErrorCode)
			require.NotEmpty(t, p.RecordBatches)
			continue
		}
		require.Equal(t, int16(76), p.ErrorCode, "Fetch %d", version)
		require.Empty(t, p.RecordBatches)
		for _, b := range batches(t, first.RecordBatches) {
			require.NotEqual(t, int16(4), b.Attributes&7, "Fetch %d", version)
		}
	}
	always := create(c, "line20-gzip", 1, "compression.type", "gzip")
	for i, codec := range codecs {
		stored(c, always, compressed(t, codec, "one", "two"), int64(2*i))
	}
	p := fetch(c, always, 0)
	for _, b := range batches(t, p.RecordBatches) {
		require.Equal(t, int16(batch.Gzip), b.Attributes&7)
	}
	require.Len(t, records(t, p.RecordBatches), 10)
}

// Semantics line 22: an error never comes with an offset; -1 says that none was assigned or that it is unknown.
func TestLine22NoOffsetWithAnError(t *testing.T) {
	t.Parallel()
	c := dial(t, shared(t))
	to := create(c, "line22", 1, "max.message.bytes", "100")
	damaged := plain("v")
	damaged[17]++
	for version := int16(3); version <= 12; version++ {
		for name, p := range map[string]produced{
			"unknown topic": produceAt(c, version, topic{name: "line22-not-there"}, plain("v")),
			"damaged":       produceAt(c, version, to, damaged),
			"too large":     produceAt(c, version, to, plain(string(make([]byte, 200)))),
			"acks":          produceWithAcks(c, version, to, 9),
		} {
			require.NotZero(t, p.ErrorCode, "%s, version %d", name, version)
			require.Equal(t, int64(-1), p.BaseOffset, "%s, version %d", name, version)
			require.Equal(t, int64(-1), p.LogAppendTime, "%s, version %d", name, version)
		}
	}
	gap := produce(c, to, idempotent(producerID(c), 0, 9, "v"))
	require.Equal(t, []int64{45, -1, -1}, []int64{int64(gap.ErrorCode), gap.BaseOffset, gap.LogAppendTime})
	require.Zero(t, end(c, to))
}

func produceWithAcks(c *client, version int16, to topic, acks int16) produced {
	c.t.Helper()
	req := produceRequest(plain("v"), to)
	req.Acks = acks
	return ask[*kmsg.ProduceResponse](c, version, req).Topics[0].Partitions[0]
}

// Semantics line 30: from version 13 on a topic is named by its id. One that is gone is answered with 100, and nothing is
// written into the topic that has its name now.
func TestLine30ProduceByTopicID(t *testing.T) {
	c := dial(t, shared(t))
	first := create(c, "line30", 1)
	require.Zero(t, produceAt(c, 13, first, plain("first")).ErrorCode)
	remove(c, "line30")
	gone := produceAt(c, 13, first, plain("deleted"))
	require.Equal(t, int16(100), gone.ErrorCode)
	second := create(c, "line30", 1)
	stale := produceAt(c, 13, first, plain("stale"))
	require.Equal(t, []int64{100, -1}, []int64{int64(stale.ErrorCode), stale.BaseOffset})
	require.Equal(t, int16(100), produceAt(c, 13, topic{}, plain("no id")).ErrorCode)
	p := produceAt(c, 13, second, plain("second"))
	require.Equal(t, []int64{0, 0}, []int64{int64(p.ErrorCode), p.BaseOffset})
	require.Equal(t, []held{{0, "second"}}, everything(c, second))
}
