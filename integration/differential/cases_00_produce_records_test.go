package differential

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/integration/rawbatch"
	"wadi/internal/batch"
)

// record is a batch of one record in which something is wrong.
func record(edit func(*kmsg.Record)) []byte {
	r := rawbatch.Values("v")[0]
	edit(&r)
	return batchOf(nil, r)
}

func produceRecordCases() []Case {
	keyless := func(at ...int) []byte {
		list := rawbatch.Values("1", "2", "3")
		for _, i := range at {
			list[i].Key = nil
		}
		return batchOf(nil, list...)
	}
	return []Case{
		each("records",
			one("null key and value", record(func(r *kmsg.Record) { r.Key, r.Value = nil, nil })),
			one("empty key and value", record(func(r *kmsg.Record) { r.Key, r.Value = []byte{}, []byte{} })),
			one("headers", record(func(r *kmsg.Record) {
				r.Headers = []kmsg.Header{{Key: "a", Value: []byte("1")}, {Key: "a"}, {Key: "", Value: []byte{}}}
			})),
			one("offset delta wrong", record(func(r *kmsg.Record) { r.OffsetDelta = 5 })),
			one("offset delta negative", record(func(r *kmsg.Record) { r.OffsetDelta = -1 })),
			one("record attributes", record(func(r *kmsg.Record) { r.Attributes = 7 })),
			one("record length too big", func() []byte {
				b := plain("v")
				b[recordsAt] += 20
				return rawbatch.Sealed(b)
			}()),
			one("record length too small", func() []byte {
				b := plain("v")
				b[recordsAt] -= 2
				return rawbatch.Sealed(b)
			}()),
			one("bytes behind the records", rawbatch.Sealed(append(plain("v"), 1, 2, 3))),
		),
		{Name: "compressed with wrong counts", Run: func(s *Script) {
			t := s.Topic("a", 1)
			for _, codec := range []batch.Codec{batch.Gzip, batch.Zstd} {
				b := compressed(s, codec, "1", "2", "3")
				for _, count := range []byte{0, 1, 4} {
					s.Ask(produce(-1, t, part{0, rawbatch.Sealed(patched(b, countAt, 0, 0, 0, count))}))
				}
				for _, delta := range []byte{0, 1, 5} {
					s.Ask(produce(-1, t, part{0, rawbatch.Sealed(patched(b, lastDeltaAt, 0, 0, 0, delta))}))
				}
				cut := append([]byte(nil), b[:len(b)-3]...)
				s.Ask(produce(-1, t, part{0, rawbatch.Sealed(cut)}))
				s.Ask(produce(-1, t, part{0, rawbatch.Sealed(patched(b, len(b)-6, 0x55))}))
				s.Ask(produce(-1, t, part{0, rawbatch.Sealed(append(append([]byte(nil), b...), 1, 2, 3))}))
			}
			s.readAll(t, 1)
		}},
		{Name: "keyless on a compacted topic", Run: func(s *Script) {
			for _, policy := range []string{"compact", "compact,delete"} {
				t := s.Topic(slug(policy), 2, "cleanup.policy", policy)
				s.Ask(produce(-1, t, part{0, keyless()}))
				s.Ask(produce(-1, t, part{0, keyless(0)}, part{1, keyless()}))
				s.Ask(produce(-1, t, part{0, keyless(0, 2)}))
				s.Ask(produce(-1, t, part{0, keyless(0, 1, 2)}))
				s.Ask(produce(-1, t, part{0, record(func(r *kmsg.Record) { r.Key = []byte{} })}))
				s.Ask(produce(-1, t, part{0, record(func(r *kmsg.Record) { r.Value = nil })}))
				s.readAll(t, 2)
			}
		}},
	}
}

func produceTimestampCases() []Case {
	const hour, day = int64(3600_000), int64(24 * 3600_000)
	all := []int64{0, -hour, -30 * day, 2 * hour, day, 400 * day}
	return []Case{
		{Name: "timestamps", Run: func(s *Script) {
			for _, configs := range [][]string{
				{},
				{"message.timestamp.before.max.ms", "60000000", "message.timestamp.after.max.ms", "60000000"},
				{"message.timestamp.type", "LogAppendTime"},
				{"message.timestamp.type", "LogAppendTime", "message.timestamp.before.max.ms", "1000", "message.timestamp.after.max.ms", "1000"},
			} {
				t := s.Topic(slug("t"+configsSlug(configs)), 1, configs...)
				for _, d := range all {
					s.Ask(produce(-1, t, part{0, at(d, "v")}))
				}
				s.readAll(t, 1)
			}
		}},
		{Name: "timestamps of single records", Run: func(s *Script) {
			t := s.Topic("a", 2, "message.timestamp.before.max.ms", "60000000", "message.timestamp.after.max.ms", "60000000")
			for _, d := range all {
				list := rawbatch.Values("1", "2", "3")
				list[1].TimestampDelta64 = d
				s.Ask(produce(-1, t, part{0, batchOf(nil, list...)}))
			}
			list := rawbatch.Values("1", "2", "3")
			list[0].TimestampDelta64, list[2].TimestampDelta64 = -30*day, 30*day
			s.Ask(produce(-1, t, part{1, batchOf(nil, list...)}))
			s.readAll(t, 2)
		}},
		each("timestamps in headers",
			one("max timestamp wrong", header(func(b *kmsg.RecordBatch) { b.MaxTimestamp += 5 })),
			one("max timestamp -1", header(func(b *kmsg.RecordBatch) { b.MaxTimestamp = -1 })),
			one("no timestamp", header(func(b *kmsg.RecordBatch) { b.FirstTimestamp, b.MaxTimestamp = -1, -1 })),
			one("timestamp 0", header(func(b *kmsg.RecordBatch) { b.FirstTimestamp, b.MaxTimestamp = 0, 0 })),
			one("timestamp negative", header(func(b *kmsg.RecordBatch) { b.FirstTimestamp, b.MaxTimestamp = -5, -5 })),
		),
		{Name: "append time of a compressed batch", Run: func(s *Script) {
			t := s.Topic("a", 1, "message.timestamp.type", "LogAppendTime")
			s.Ask(produce(-1, t, part{0, compressed(s, batch.Gzip, "1", "2")}))
			s.readAll(t, 1)
		}},
	}
}

func configsSlug(configs []string) string {
	out := ""
	for _, c := range configs {
		out += "-" + c[max(0, len(c)-8):]
	}
	return out
}
