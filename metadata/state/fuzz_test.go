package state

import (
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"wadi/internal/layout"
)

// FuzzJournal draws journals from the fuzzer's bytes and compares State with its twin.
func FuzzJournal(f *testing.F) {
	f.Add([]byte{})
	f.Fuzz(rapid.MakeFuzz(checkAgainstTwin))
}

// FuzzApply takes bytes for entries. What decodes is applied: it never panics, keeps every invariant, and leaves a state
// that its base brings back.
func FuzzApply(f *testing.F) {
	for seed := range 12 {
		f.Add(packEntries(f, drawJournal.Example(seed)[:15]))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s := New()
		for len(data) > 0 {
			var e Entry
			var err error
			if e, data, err = unpackEntry(s, data); err != nil {
				if !errors.Is(err, ErrUndecodable) {
					t.Fatalf("an entry that does not decode: %v", err)
				}
				s.Void(s.Position() + 1)
				continue
			}
			for _, c := range e.Body.Commands {
				if k := c.GetCreateTopic(); k != nil {
					k.Partitions %= 300 // Check visits them all after every entry
				}
				if k := c.GetCreatePartitions(); k != nil {
					k.Count %= 300
				}
			}
			s.Apply(e)
			if err := s.Check(); err != nil {
				t.Fatalf("%v: %v", e.Body, err)
			}
		}
		if s.ClusterID() == "" {
			return
		}
		if again := reload(t, s); !slices.Equal(base(t, again), base(t, s)) || again.Digest() != s.Digest() {
			t.Fatal("another state came back from the base")
		}
	})
}

// packEntries writes entries the way unpackEntry reads them: a byte of session, sequence and position, the length, the
// value.
func packEntries(tb testing.TB, entries []Entry) []byte {
	var data []byte
	last := map[layout.Session]uint64{}
	for _, e := range entries {
		control := byte(e.Session - 1)
		switch {
		case e.Seq <= last[e.Session]:
			control |= 6 << 2
		case e.Seq > last[e.Session]+1:
			control |= 7 << 2
		}
		last[e.Session] = max(last[e.Session], e.Seq)
		value := marshal(tb, e.Body)
		data = binary.AppendUvarint(append(data, control), uint64(len(value)))
		data = append(data, value...)
	}
	return data
}

func unpackEntry(s *State, data []byte) (Entry, []byte, error) {
	control, data := data[0], data[1:]
	session := layout.Session(control&3 + 1)
	v, _ := s.Session(session)
	seq := v.LastSeq + 1
	switch control >> 2 & 7 {
	case 6:
		seq = max(1, v.LastSeq)
	case 7:
		seq = v.LastSeq + 2
	}
	n, width := binary.Uvarint(data)
	if width <= 0 {
		width = len(data)
	}
	data = data[width:]
	value := data[:min(n, uint64(len(data)))]
	e, err := Decode(s.Position()+1+int64(control>>5), session, seq, value)
	return e, data[len(value):], err
}

// FuzzLoad takes bytes for the records of a base. Whatever loads can be written again, and applies entries without a
// panic or a broken invariant.
func FuzzLoad(f *testing.F) {
	for seed := range 12 {
		s := New()
		for _, e := range drawJournal.Example(seed)[:20] {
			s.Apply(e)
		}
		var data []byte
		for _, r := range base(f, s) {
			data = append(binary.AppendUvarint(data, uint64(len(r))), r...)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		l := NewLoader()
		for len(data) > 0 {
			n, width := binary.Uvarint(data)
			if width <= 0 {
				break
			}
			data = data[width:]
			record := data[:min(n, uint64(len(data)))]
			data = data[len(record):]
			if err := l.Add(record); err != nil {
				if !errors.Is(err, ErrBase) {
					t.Fatalf("a bad record: %v", err)
				}
				return
			}
		}
		s, err := l.State()
		if err != nil {
			if !errors.Is(err, ErrBase) {
				t.Fatalf("a bad base: %v", err)
			}
			return
		}
		if !slices.Equal(base(t, reload(t, s)), base(t, s)) {
			t.Fatal("another state came back from the base")
		}
		exercise(t, s)
	})
}

// exercise applies one entry of each kind that touches all there is.
func exercise(t *testing.T, s *State) {
	if s.Position() > math.MaxInt64-100 || s.Partitions() > 1000 {
		return
	}
	session := layout.Session(0x7777)
	v, known := s.Session(session)
	if known {
		return
	}
	var batches []batch
	var numbers []uint64
	s.EachTopic(func(topic *Topic) {
		numbers = append(numbers, topic.Number)
		for p := range topic.Partitions() {
			batches = append(batches, plain(topic.Number, uint32(p), 1), idempotent(topic.Number, uint32(p), 1, 0, 1))
		}
	})
	apply := func(commands ...func() Entry) {
		for _, c := range commands {
			e := c()
			v.LastSeq++
			e.Position, e.Session, e.Seq = s.Position()+1, session, v.LastSeq
			s.Apply(e)
			if err := s.Check(); err != nil {
				t.Fatalf("%v: %v", e.Body, err)
			}
		}
	}
	apply(
		func() Entry { return Entry{Body: entryAt(1, openSession())} },
		func() Entry { return Entry{Body: entryAt(2, createTopic("new", 2, s.Position()), initProducer())} },
		func() Entry {
			return Entry{Body: entryAt(3, appendBatches(1, batches...), appendBatches(0, batches...))}
		},
		func() Entry {
			return Entry{Body: entryAt(4, alterConfigs(BrokerConfigs, 0, "", s.Position(), "a", "1"), alterConfigs(GroupConfigs, 0, "g", 0, "a", "1"))}
		},
		func() Entry {
			return Entry{Body: entryAt(4, updateGroup("fuzzed", 0, header(GroupStable, 1, "a"), &Member{Id: "a"}),
				commitOffset("fuzzed too", "", -1, s.Position(), 1, 0, 5), expireOffsets("fuzzed too", 10, 1, 0))}
		},
		func() Entry { return Entry{Body: entryAt(4, mark())} },
		func() Entry { return Entry{Body: entryAt(5, archived(s.ArchivedTo(), s.LastMark()))} },
	)
	var trims []trim
	for i, b := range batches {
		if i < MaxTrims {
			trims = append(trims, trim{b.topic, b.partition, s.TopicByNumber(b.topic).Partition(int32(b.partition)).Next})
		}
	}
	if len(trims) > 0 {
		apply(
			func() Entry { return Entry{Body: entryAt(6, trimPartitions(s.Position(), trims...))} },
			func() Entry { return Entry{Body: entryAt(7, sweep(3))} },
		)
	}
	for _, n := range numbers {
		apply(func() Entry {
			grown := uint32(s.TopicByNumber(n).Partitions() + 2)
			return Entry{Body: entryAt(6, createPartitions(n, grown, s.Position()), deleteTopic(n, s.Position()))}
		})
	}
	for range 20 {
		apply(func() Entry { return Entry{Body: entryAt(7, sweep(MaxSweep))} })
	}
}
