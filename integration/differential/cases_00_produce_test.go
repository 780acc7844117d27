package differential

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/integration/rawbatch"
	"wadi/internal/batch"
)

// Offsets in a batch.
const (
	lengthAt     = 8
	epochAt      = 12
	magicAt      = 16
	crcAt        = 17
	attributesAt = 21
	lastDeltaAt  = 23
	countAt      = 57
	recordsAt    = 61
)

func produceCases() apiCases {
	sample := func() kmsg.Request {
		return produce(-1, topic{"not a name!", unknownID(1)}, part{0, plain("v")})
	}
	cases := []Case{
		{Name: "batches in order", Run: func(s *Script) {
			t := s.Topic("a", 2)
			s.Ask(produce(-1, t, part{0, plain("1", "2", "3")}))
			s.Ask(produce(-1, t, part{0, plain("4")}, part{1, plain("5")}))
			s.Ask(produce(1, t, part{1, plain("6", "7")}))
			s.readAll(t, 2)
		}},
		{Name: "unknown topics", Run: func(s *Script) {
			t := s.Topic("a", 1)
			unknown := topic{s.Unused("x"), unknownID(1)}
			s.Ask(produce(-1, unknown, part{0, plain("v")}))
			s.Ask(produce(-1, t, part{1, plain("v")}, part{-1, plain("v")}, part{0, plain("v")}, part{1 << 30, plain("v")}))
			req := produce(-1, unknown, part{0, plain("v")})
			req.Topics = append(req.Topics, produceTopic(t, part{0, plain("v")}))
			s.Ask(req)
			s.Ask(produce(-1, topic{"", [16]byte{}}, part{0, plain("v")}))
		}},
		{Name: "nothing", Run: func(s *Script) {
			t := s.Topic("a", 1)
			s.Ask(produce(-1, t))
			req := produce(-1, t)
			req.Topics = append(req.Topics, produceTopic(t))
			s.Ask(req)
			s.Ask(produce(-1, t, part{0, []byte{}}))
		}},
		{Name: "null for records", From: newest(0), Run: func(s *Script) {
			t := s.Topic("a", 1)
			s.Brief(produce(-1, t, part{0, nil}))
		}},
		{Name: "acks", Run: func(s *Script) {
			t := s.Topic("a", 1)
			for _, acks := range []int16{2, -2, 3, 32767, -32768} {
				s.Ask(produce(acks, t, part{0, plain("v")}))
				s.Ask(produce(acks, topic{s.Unused("x"), unknownID(1)}, part{0, plain("v")}))
			}
			req := produce(-1, t, part{0, plain("v")})
			for _, timeout := range []int32{0, -1, -2147483648, 2147483647} {
				req.TimeoutMillis = timeout
				s.AskFor(fmt.Sprintf("timeout %d", timeout), req)
			}
			s.Until(func() bool { return s.end(t) == 4 })
			s.readAll(t, 1)
		}},
		{Name: "acks 0", Run: func(s *Script) {
			t := s.Topic("a", 1)
			s.Silent(produce(0, t, part{0, plain("v")}))
			s.Silent(produce(0, t))
			s.Silent(produce(0, topic{s.Unused("x"), unknownID(1)}, part{0, plain("v")}))
			s.Silent(produce(0, t, part{7, plain("v")}))
			s.Silent(produce(0, t, part{0, patched(plain("v"), crcAt, 1, 2, 3, 4)}))
			s.Until(func() bool { return s.end(t) == 1 })
			s.readAll(t, 1)
		}},
		{Name: "twice the same partition", Run: func(s *Script) {
			t := s.Topic("a", 1)
			s.Ask(produce(-1, t, part{0, plain("1")}, part{0, plain("2")}))
			req := produce(-1, t, part{0, plain("3")})
			req.Topics = append(req.Topics, produceTopic(t, part{0, plain("4")}))
			s.Ask(req)
			s.readAll(t, 1)
		}},
	}
	cases = append(cases, produceCodecCases()...)
	cases = append(cases, produceBadBatchCases()...)
	cases = append(cases, produceRecordCases()...)
	cases = append(cases, produceTimestampCases()...)
	cases = append(cases, produceIdempotentCases()...)
	return apiCases{0, sample, append(cases, produceTransactionalCases()...)}
}

func produceCodecCases() []Case {
	return []Case{
		{Name: "codecs", Run: func(s *Script) {
			t := s.Topic("a", 1)
			for _, c := range []batch.Codec{batch.None, batch.Gzip, batch.Snappy, batch.LZ4, batch.Zstd} {
				s.Ask(produce(-1, t, part{0, compressed(s, c, "one", "two")}))
			}
			s.readAll(t, 1)
		}},
		{Name: "codecs unknown or broken", Run: func(s *Script) {
			t := s.Topic("a", 1)
			for codec := int16(5); codec < 8; codec++ {
				s.Ask(produce(-1, t, part{0, batchOf(func(b *kmsg.RecordBatch) { b.Attributes = codec }, rawbatch.Values("v")...)}))
			}
			for codec := int16(1); codec < 5; codec++ { // the records are no such stream
				s.Ask(produce(-1, t, part{0, batchOf(func(b *kmsg.RecordBatch) { b.Attributes = codec }, rawbatch.Values("v")...)}))
			}
			s.readAll(t, 1)
		}},
		{Name: "topic with a codec", Run: func(s *Script) {
			for _, codec := range []string{"gzip", "snappy", "lz4", "zstd", "uncompressed"} {
				t := s.Topic(codec, 1, "compression.type", codec)
				s.Ask(produce(-1, t, part{0, plain("one")}))
				s.Ask(produce(-1, t, part{0, compressed(s, batch.Gzip, "two", "three")}))
			}
		}},
	}
}
