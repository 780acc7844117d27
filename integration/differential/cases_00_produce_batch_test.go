package differential

import (
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/integration/rawbatch"
)

// header is a batch whose header was changed before its CRC was computed.
func header(edit func(*kmsg.RecordBatch)) []byte { return batchOf(edit, rawbatch.Values("1", "2")...) }

func produceBadBatchCases() []Case {
	good := plain("1", "2")
	return []Case{
		each("bad batches",
			one("bad crc", patched(good, crcAt, 1, 2, 3, 4)),
			one("bad record bytes under the old crc", patched(good, recordsAt+3, 0x55)),
			one("magic 0", patched(good, magicAt, 0)),
			one("magic 1", patched(good, magicAt, 1)),
			one("magic 3", patched(good, magicAt, 3)),
			one("magic -1", patched(good, magicAt, 0xff)),
			one("leader epoch set", patched(good, epochAt, 0, 0, 0, 9)),
			one("base offset set", patched(good, 0, 0, 0, 0, 0, 0, 0, 0, 7)),
			one("two batches", together(good, good)),
			one("two batches, the second bad", together(good, patched(good, crcAt, 1, 2, 3, 4))),
			one("cut short", good[:len(good)-1]),
			one("half a header", good[:20]),
			one("a byte", []byte{0}),
			one("twelve zeros", make([]byte, 12)),
			one("garbage", []byte(strings.Repeat("\xff", 100))),
			one("bytes over", together(good, []byte{1, 2, 3})),
			one("length too small", patched(good, lengthAt, 0, 0, 0, 9)),
			one("length negative", patched(good, lengthAt, 0xff, 0xff, 0xff, 0xff)),
			one("length huge", patched(good, lengthAt, 0x7f, 0xff, 0xff, 0xff)),
			one("count too small", header(func(b *kmsg.RecordBatch) { b.NumRecords = 1 })),
			one("count too big", header(func(b *kmsg.RecordBatch) { b.NumRecords = 3 })),
			one("count 0", header(func(b *kmsg.RecordBatch) { b.NumRecords = 0 })),
			one("count -1", header(func(b *kmsg.RecordBatch) { b.NumRecords = -1 })),
			one("last delta too small", header(func(b *kmsg.RecordBatch) { b.LastOffsetDelta = 0 })),
			one("last delta too big", header(func(b *kmsg.RecordBatch) { b.LastOffsetDelta = 5 })),
			one("last delta negative", header(func(b *kmsg.RecordBatch) { b.LastOffsetDelta = -1 })),
			one("count and delta beyond the records", header(func(b *kmsg.RecordBatch) { b.NumRecords, b.LastOffsetDelta = 9, 8 })),
			one("no records", batchOf(func(b *kmsg.RecordBatch) { b.LastOffsetDelta = 0 })),
			one("no records, delta -1", batchOf(nil)),
			one("no records, count 1", batchOf(func(b *kmsg.RecordBatch) { b.NumRecords, b.LastOffsetDelta = 1, 0 })),
			one("control batch", header(func(b *kmsg.RecordBatch) { b.Attributes = 1 << 5 })),
			one("control batch of a producer", header(func(b *kmsg.RecordBatch) {
				b.Attributes, b.ProducerID, b.ProducerEpoch, b.FirstSequence = 1<<5, 4000000, 0, 0
			})),
			one("transactional without an id", header(func(b *kmsg.RecordBatch) {
				b.Attributes, b.ProducerID, b.ProducerEpoch, b.FirstSequence = 1<<4, 4000000, 0, 0
			})),
			one("transactional without a producer", header(func(b *kmsg.RecordBatch) { b.Attributes = 1 << 4 })),
			one("attribute bits that nobody has", header(func(b *kmsg.RecordBatch) { b.Attributes = 1 << 9 })),
			one("delete horizon", header(func(b *kmsg.RecordBatch) { b.Attributes = 1 << 6 })),
			one("log append time set by the client", header(func(b *kmsg.RecordBatch) { b.Attributes = 1 << 3 })),
		),
		{Name: "oversize", Run: func(s *Script) {
			t := s.Topic("a", 1, "max.message.bytes", "1000")
			for _, n := range []int{900, 920, 921, 922, 923, 924, 925, 930, 1000, 100000} {
				s.Ask(produce(-1, t, part{0, plain(strings.Repeat("x", n))}))
			}
			s.readAll(t, 1)
			s.Ask(produce(-1, s.Topic("b", 1), part{0, plain(strings.Repeat("x", 1<<20+100))}))
		}},
		{Name: "a good and a bad partition", Run: func(s *Script) {
			t := s.Topic("a", 3)
			s.Ask(produce(-1, t, part{0, good}, part{1, patched(good, crcAt, 0, 0, 0, 0)}, part{2, good}))
			s.readAll(t, 3)
		}},
	}
}

// trial is a batch with a name.
type trial struct {
	name    string
	records []byte
}

func one(name string, records []byte) trial { return trial{name, records} }

// each is a case that produces each batch to a partition of its own and reads them back.
func each(name string, trials ...trial) Case {
	return Case{Name: name, Run: func(s *Script) {
		t := s.Topic("a", int32(len(trials)))
		var places []place
		for i, b := range trials {
			s.AskFor(b.name, produce(-1, t, part{int32(i), b.records}))
			places = append(places, place{int32(i), 0})
		}
		resp := s.exchange(12, fetch(t, places...))
		if got, ok := resp.(*kmsg.FetchResponse); ok {
			for i := range got.Topics[0].Partitions {
				p := &got.Topics[0].Partitions[i]
				s.noteAny("read back: "+trials[p.Partition].name, p)
			}
		}
	}}
}

// readAll records what the partitions of a topic hold.
func (s *Script) readAll(t topic, partitions int32) {
	for p := range partitions {
		resp := s.exchange(12, fetch(t, place{p, 0}))
		s.note("read back", resp)
	}
}

// end is the offset behind the last record of partition 0.
func (s *Script) end(t topic) int64 {
	return s.Do(7, listOffsets(t.name, -1, 1)).(*kmsg.ListOffsetsResponse).Topics[0].Partitions[0].Offset
}
