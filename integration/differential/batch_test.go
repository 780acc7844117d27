package differential

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/integration/rawbatch"
	"wadi/internal/batch"
)

// batchOf builds a batch that may be wrong in every way: edit (or nil) changes the header before length and CRC are
// computed. Records get the chosen timestamp.
func batchOf(edit func(*kmsg.RecordBatch), records ...kmsg.Record) []byte {
	return rawbatch.Of(chosen, edit, records...)
}

// plain is a batch of an ordinary producer.
func plain(list ...string) []byte { return batchOf(nil, rawbatch.Values(list...)...) }

// at is a batch of one record with a timestamp, as a distance from the chosen one.
func at(distance int64, value string) []byte {
	return batchOf(func(b *kmsg.RecordBatch) {
		b.FirstTimestamp, b.MaxTimestamp = chosen+distance, chosen+distance
	}, rawbatch.Values(value)...)
}

// idempotent is a batch of an idempotent producer.
func idempotent(pid int64, epoch int16, seq int32, list ...string) []byte {
	return batchOf(func(b *kmsg.RecordBatch) {
		b.ProducerID, b.ProducerEpoch, b.FirstSequence = pid, epoch, seq
	}, rawbatch.Values(list...)...)
}

// patched is a copy of a batch with bytes replaced and nothing else put right.
func patched(b []byte, at int, to ...byte) []byte {
	b = append([]byte(nil), b...)
	copy(b[at:], to)
	return b
}

// compressed is a batch of the values in a codec.
func compressed(s *Script, codec batch.Codec, list ...string) []byte {
	var w batch.Builder
	w.Reset(batch.NoProducer(codec))
	for _, v := range list {
		if err := w.Append(batch.Record{Timestamp: chosen, Key: []byte("k"), Value: []byte(v)}); err != nil {
			s.fail("build a batch: %w", err)
		}
	}
	b, err := w.Build(nil)
	if err != nil {
		s.fail("build a batch: %w", err)
	}
	return b
}

func together(batches ...[]byte) []byte {
	var all []byte
	for _, b := range batches {
		all = append(all, b...)
	}
	return all
}
