package clients

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"
)

// Written is a record with the place that the client was told. Partition -1: this client tells no place.
type Written struct {
	Record
	Partition int32
	Offset    int64
}

// Read is a record as a client gave it back.
type Read struct {
	Record
	Topic     string
	Partition int32
	Offset    int64
}

// span is the time in which a workload was written, for records that took the client's clock.
type span struct{ from, to time.Time }

// maxProblems keeps a broken run readable.
const maxProblems = 10

// compare holds what was read of one topic against what was written to it by one producer, in the order of writing:
// every record is back, byte for byte, at the place that the producer was told; offsets of each partition start at 0
// and have no gap; the order of writing is kept within each partition; equal keys lie on one partition (the empty key excepted).
func compare(t *testing.T, written []Written, read []Read, when span) {
	t.Helper()
	problems := differences(written, read, when)
	for _, p := range problems[:min(len(problems), maxProblems)] {
		t.Error(p)
	}
	if len(problems) > maxProblems {
		t.Errorf("and %d more", len(problems)-maxProblems)
	}
}

func differences(written []Written, read []Read, when span) []string {
	var problems []string
	complain := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }

	log := map[int32][]Read{}
	for _, r := range read {
		if want := int64(len(log[r.Partition])); r.Offset != want {
			complain("partition %d: read offset %d, want %d", r.Partition, r.Offset, want)
		}
		log[r.Partition] = append(log[r.Partition], r)
	}
	if len(read) != len(written) {
		complain("%d records read, %d written", len(read), len(written))
	}

	last := map[int32]int64{}          // partition -> offset of the record written last so far
	keyPartition := map[string]int32{} // key -> its partition
	for i, w := range written {
		got, ok := find(log, w)
		if !ok {
			complain("record %d (partition %d, offset %d) is missing", i, w.Partition, w.Offset)
			continue
		}
		if d := difference(w.Record, got.Record, when); d != "" {
			complain("record %d at partition %d, offset %d: %s", i, got.Partition, got.Offset, d)
		}
		if before, any := last[got.Partition]; any && got.Offset <= before {
			complain("record %d: offset %d of partition %d comes after %d", i, got.Offset, got.Partition, before)
		}
		last[got.Partition] = got.Offset
		if len(w.Key) > 0 { // librdkafka spreads records with an empty key like those without one
			p, known := keyPartition[string(w.Key)]
			if known && p != got.Partition {
				complain("key %q lies on partitions %d and %d", w.Key, p, got.Partition)
			}
			keyPartition[string(w.Key)] = got.Partition
		}
	}
	return problems
}

// find looks a record up by its place, or by its value when no place is known; such values are unique.
func find(log map[int32][]Read, w Written) (Read, bool) {
	if w.Partition >= 0 {
		part := log[w.Partition]
		if w.Offset < 0 || w.Offset >= int64(len(part)) {
			return Read{}, false
		}
		return part[w.Offset], true
	}
	for _, part := range log {
		if i := slices.IndexFunc(part, func(r Read) bool { return bytes.Equal(r.Value, w.Value) }); i >= 0 {
			return part[i], true
		}
	}
	return Read{}, false
}

func difference(want, got Record, when span) string {
	switch {
	case !same(want.Key, got.Key):
		return fmt.Sprintf("key is %s, want %s", show(got.Key), show(want.Key))
	case !same(want.Value, got.Value):
		return fmt.Sprintf("value is %s, want %s", show(got.Value), show(want.Value))
	case want.Timestamp != 0 && got.Timestamp != want.Timestamp:
		return fmt.Sprintf("timestamp is %d, want %d", got.Timestamp, want.Timestamp)
	case want.Timestamp == 0 && (got.Timestamp < when.from.UnixMilli() || got.Timestamp > when.to.UnixMilli()):
		return fmt.Sprintf("timestamp %d is outside of the run, %v to %v", got.Timestamp, when.from, when.to)
	case !slices.EqualFunc(want.Headers, got.Headers, func(a, b Header) bool { return a.Name == b.Name && same(a.Value, b.Value) }):
		return fmt.Sprintf("headers are %q, want %q", got.Headers, want.Headers)
	}
	return ""
}

// same tells null from empty.
func same(a, b []byte) bool { return (a == nil) == (b == nil) && bytes.Equal(a, b) }

func show(b []byte) string {
	switch {
	case b == nil:
		return "null"
	case len(b) > 40:
		return fmt.Sprintf("%q... (%d bytes)", b[:40], len(b))
	}
	return fmt.Sprintf("%q", b)
}

// TestCompareFires checks the checker: a run that it lets pass must be clean.
func TestCompareFires(t *testing.T) {
	now := time.UnixMilli(5000)
	when := span{now, now}
	var written []Written
	var read []Read
	for i, key := range []string{"a", "b", "a", "b"} {
		r := Record{Timestamp: int64(1000 + i), Key: []byte(key), Value: fmt.Appendf(nil, "v%d", i), Headers: []Header{{"h", nil}}}
		written = append(written, Written{Record: r, Partition: int32(i % 2), Offset: int64(i / 2)})
		read = append(read, Read{Record: r, Partition: int32(i % 2), Offset: int64(i / 2)})
	}
	if p := differences(written, read, when); len(p) > 0 {
		t.Fatalf("a clean run is refused: %q", p)
	}
	for name, spoil := range map[string]func(w []Written, r []Read) []Read{
		"lost": func(_ []Written, r []Read) []Read { return r[:3] },
		"doubled": func(_ []Written, r []Read) []Read {
			return append(r, Read{Record: r[3].Record, Partition: 1, Offset: 2})
		},
		"value":             func(_ []Written, r []Read) []Read { r[1].Value = []byte("x"); return r },
		"null became empty": func(_ []Written, r []Read) []Read { r[1].Headers = []Header{{"h", []byte{}}}; return r },
		"timestamp":         func(_ []Written, r []Read) []Read { r[2].Timestamp++; return r },
		"own clock":         func(w []Written, r []Read) []Read { w[2].Timestamp = 0; return r },
		"gap":               func(_ []Written, r []Read) []Read { r[2].Offset++; return r },
		"swapped":           func(_ []Written, r []Read) []Read { r[0].Record, r[2].Record = r[2].Record, r[0].Record; return r },
		"order":             func(w []Written, r []Read) []Read { w[0], w[2] = w[2], w[0]; return r },
		"key on two":        func(w []Written, r []Read) []Read { w[2].Key = []byte("b"); r[2].Key = []byte("b"); return r },
	} {
		t.Run(name, func(t *testing.T) {
			w := slices.Clone(written)
			if p := differences(w, spoil(w, slices.Clone(read)), when); len(p) == 0 {
				t.Error("not noticed")
			}
		})
	}
}
