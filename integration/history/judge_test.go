package history_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	h "wadi/integration/history"
	"wadi/integration/history/judge"
)

// story is a history under construction. Time goes on by a second with each fact.
type story struct {
	facts []h.Fact
}

func (s *story) add(f h.Fact) int64 {
	f.N = int64(len(s.facts) + 1)
	f.At = f.N * int64(time.Second)
	s.facts = append(s.facts, f)
	return f.N
}

func (s *story) send(who string, txn int64, topic string, value, source string) {
	s.add(h.Fact{Kind: h.Attempt, Who: who, Txn: txn, Topic: topic, Value: value, Source: source, Sum: 7})
}

func (s *story) ack(who, topic, value string, offset int64) int64 {
	return s.add(h.Fact{Kind: h.Ack, Who: who, Topic: topic, Value: value, Offset: offset})
}

func (s *story) read(who, topic, value string, offset int64, committed bool) {
	s.add(h.Fact{Kind: h.Read, Who: who, Topic: topic, Value: value, Offset: offset, Sum: 7, Committed: committed})
}

func (s *story) ask(kind, reply h.Kind, f h.Fact, offset int64, o h.Outcome) {
	f.Kind = kind
	f.Ref = s.add(f)
	f.Kind, f.Offset, f.Outcome = reply, offset, o
	s.add(f)
}

func (s *story) begin(who string, txn int64, epoch int16) {
	s.add(h.Fact{Kind: h.Begin, Who: who, Name: "id", Txn: txn, Producer: 5, Epoch: epoch, Generation: 2, Limit: int64(time.Hour)})
}

func (s *story) end(txn int64, commit bool, o h.Outcome) {
	s.add(h.Fact{Kind: h.EndAttempt, Txn: txn, Commit: commit})
	if o != "" {
		s.add(h.Fact{Kind: h.EndReply, Txn: txn, Commit: commit, Outcome: o})
	}
}

func (s *story) initialize(who string, epoch int16) {
	s.ask(h.InitAttempt, h.InitReply, h.Fact{Who: who, Name: "id", Producer: 5, Epoch: epoch}, 0, h.OK)
}

// offsets of a group; at is the offset of the attempt.
func (s *story) offsets(txn int64, at int64, generation int32, o h.Outcome) {
	f := h.Fact{Kind: h.CommitAttempt, Txn: txn, Name: "g", Topic: "in", Offset: at, Generation: generation}
	f.Ref = s.add(f)
	if o != "" {
		f.Kind, f.Outcome = h.CommitReply, o
		s.add(f)
	}
}

func (s *story) told(offset int64, stable bool) {
	s.ask(h.OffsetAsk, h.OffsetTold, h.Fact{Name: "g", Topic: "in", Committed: stable, Who: "asker"}, offset, h.OK)
}

// good: a plain producer writes a1, a2 into "in"; transaction 1 makes b1 of a1 into "out" and commits, transaction 2
// makes b2 of a2 and aborts, transaction 3 makes c2 of it, and commits. Then everything is read. edit is called at the
// places that it knows by name.
func good(edit func(at string, s *story)) []h.Fact {
	s := &story{}
	if edit == nil {
		edit = func(string, *story) {}
	}
	for _, name := range []string{judge.OneStep, "F1", "I1", "I7", "I12", "I14", "I15", "L1", "L3"} {
		s.add(h.Fact{Kind: h.Plan, Name: name})
	}
	s.add(h.Fact{Kind: h.Seek, Who: "live", Topic: "in", Name: judge.Live})
	s.send("p", 0, "in", "a1", "")
	s.ack("p", "in", "a1", 0)
	s.send("p", 0, "in", "a2", "")
	s.ack("p", "in", "a2", 1)
	edit("inputs", s)
	s.read("live", "in", "a1", 0, true)
	s.read("live", "in", "a2", 1, true)
	s.initialize("t1", 0)
	s.begin("t1", 1, 0)
	s.send("t1", 1, "out", "b1", "a1")
	s.ack("t1", "out", "b1", 0)
	s.offsets(1, 1, -1, h.OK)
	edit("open", s)
	s.add(h.Fact{Kind: h.Start, Name: "F1", Who: "A"})
	s.end(1, true, h.OK)
	s.told(1, true)
	s.begin("t1", 2, 1)
	s.send("t1", 2, "out", "b2", "a2")
	s.ack("t1", "out", "b2", 2)
	s.offsets(2, 2, -1, h.OK)
	s.add(h.Fact{Kind: h.Stop, Name: "F1", Who: "A", Outcome: h.OK})
	s.read("early", "in", "a2", 1, false)
	s.end(2, false, h.OK)
	s.told(1, false)
	s.initialize("t2", 3)
	edit("replaced", s)
	s.begin("t2", 3, 3)
	s.send("t2", 3, "out", "c2", "a2")
	s.ack("t2", "out", "c2", 4)
	s.offsets(3, 2, -1, h.OK)
	s.end(3, true, h.OK)
	edit("done", s)
	s.add(h.Fact{Kind: h.Healed})
	s.add(h.Fact{Kind: h.Probe, Name: judge.Processed, Value: "L1", Outcome: h.OK})
	for _, topic := range []string{"in", "out"} {
		high := map[string]int64{"in": 2, "out": 6}[topic]
		s.add(h.Fact{Kind: h.Settled, Topic: topic, Broker: "A", Stable: high, High: high, Outcome: h.OK})
	}
	s.told(2, true)
	edit("drain", s)
	for _, v := range []struct {
		topic, value string
		offset       int64
		committed    bool
	}{{"in", "a1", 0, true}, {"in", "a2", 1, true}, {"out", "b1", 0, true}, {"out", "b2", 2, false}, {"out", "c2", 4, true}} {
		if v.committed {
			s.read("drain", v.topic, v.value, v.offset, true)
		}
		s.read("drain-all", v.topic, v.value, v.offset, false)
	}
	edit("drained", s)
	for _, topic := range []string{"in", "out"} {
		high := map[string]int64{"in": 2, "out": 6}[topic]
		s.add(h.Fact{Kind: h.Drained, Who: "drain", Topic: topic, Offset: high, Committed: true, Outcome: h.OK})
		s.add(h.Fact{Kind: h.Drained, Who: "drain-all", Topic: topic, Offset: high, Outcome: h.OK})
	}
	edit("end", s)
	return s.facts
}

func TestGoodHistory(t *testing.T) {
	if r := judge.Judge(good(nil)); r.Verdict != judge.True {
		t.Fatal(r)
	}
}

// without drops the facts that match.
func without(facts []h.Fact, drop func(f h.Fact) bool) []h.Fact {
	// N stays the place: a dropped fact becomes a note.
	out := slices.Clone(facts)
	for i := range out {
		if drop(out[i]) {
			out[i] = h.Fact{N: out[i].N, At: out[i].At, Kind: h.Note}
		}
	}
	return out
}

// change edits the facts that match.
func change(facts []h.Fact, match func(f h.Fact) bool, edit func(f *h.Fact)) []h.Fact {
	out := slices.Clone(facts)
	for i := range out {
		if match(out[i]) {
			edit(&out[i])
		}
	}
	return out
}

func at(name string, f func(s *story)) []h.Fact {
	return good(func(place string, s *story) {
		if place == name {
			f(s)
		}
	})
}

func drainRead(value string) func(h.Fact) bool {
	return func(f h.Fact) bool { return f.Kind == h.Read && f.Value == value && strings.HasPrefix(f.Who, "drain") }
}

// TestEachAnomalyIsFound plants anomalies, each in one way, and wants its invariant named.
func TestEachAnomalyIsFound(t *testing.T) {
	for _, c := range []struct {
		name, invariant, text string
		facts                 []h.Fact
	}{
		{"lost below what was read", "I1", "a1 was acknowledged", without(good(nil), drainRead("a1"))},
		{"lost of a committed transaction", "I1", "b1 was acknowledged", without(good(nil), drainRead("b1"))},
		{"never read", "I2", "a2 was acknowledged", without(good(nil), drainRead("a2"))},
		{"drain stuck", "I2", "within its budget", change(good(nil), func(f h.Fact) bool { return f.Kind == h.Drained && f.Who == "drain" },
			func(f *h.Fact) { f.Outcome, f.Error = h.Refused, "no answer" })},
		{"two values at one offset", "I3", "offset 0 holds", at("drained", func(s *story) { s.read("other", "in", "a2", 0, true) })},
		{"acknowledged where another is", "I3", "offset 0 holds", at("inputs", func(s *story) {
			s.send("q", 0, "in", "x", "")
			s.ack("q", "in", "x", 0) // the spurious offset 0
		})},
		{"doubled", "I4", "a1 is at in/0 offset 0", at("drained", func(s *story) { s.read("drain", "in", "a1", 2, true) })},
		{"acknowledged without an offset", "I4", "at offset -1", at("done", func(s *story) {
			s.send("q", 0, "in", "x", "")
			s.ack("q", "in", "x", -1)
		})},
		{"aborted read", "I5", "b2 of aborted", at("drain", func(s *story) { s.read("other", "out", "b2", 2, true) })},
		{"refused and read", "I5", "x was refused", at("drained", func(s *story) {
			s.send("q", 0, "in", "x", "")
			s.add(h.Fact{Kind: h.Fail, Who: "q", Value: "x", Outcome: h.Refused})
			s.read("drain", "in", "x", 2, true)
		})},
		{"dirty read", "I6", "before anybody asked", at("open", func(s *story) { s.read("other", "out", "b1", 0, true) })},
		{"dirty read of what nobody ends", "I6", "before anybody asked", at("done", func(s *story) {
			s.begin("t2", 4, 4)
			s.send("t2", 4, "out", "d", "")
			s.read("other", "out", "d", 6, true)
		})},
		{"torn", "I7", "torn", at("done", func(s *story) {
			s.begin("t2", 4, 4)
			s.send("t2", 4, "out", "d1", "")
			s.ack("t2", "out", "d1", 6)
			s.send("t2", 4, "in", "d2", "")
			s.ack("t2", "in", "d2", 2)
			s.end(4, true, h.Unknown)
			s.read("drain", "out", "d1", 6, true)
			s.read("drain-all", "out", "d1", 6, false)
			s.read("drain-all", "in", "d2", 2, false)
		})},
		{"committed and not there", "I7", "is not visible", without(good(nil), func(f h.Fact) bool {
			return f.Kind == h.Read && f.Value == "c2" && f.Committed
		})},
		{"offsets torn off", "I7", "its offset 2", change(good(nil), func(f h.Fact) bool { return f.Kind == h.OffsetTold && f.Offset == 2 },
			func(f *h.Fact) { f.Offset = 1 })},
		{"sends reordered", "I8", "p sent a2 (offset 1) before a3 (offset 0)", at("inputs", func(s *story) {
			s.send("p", 0, "in", "a3", "")
			s.ack("p", "in", "a3", 0)
		})},
		{"reader goes back", "I8", "offset 0 after 1", at("drain", func(s *story) { s.read("live", "in", "a1", 0, true) })},
		{"reader leaves out", "I8", "left 2 out", at("drain", func(s *story) {
			s.read("other", "out", "b1", 0, false)
			s.read("other", "out", "c2", 4, false)
		})},
		{"cycle", "I9", "3, 4", at("done", func(s *story) {
			s.initialize("t4", 9)
			s.add(h.Fact{Kind: h.Begin, Who: "t4", Name: "other", Txn: 4})
			s.send("t4", 4, "out", "d", "")
			s.add(h.Fact{Kind: h.Read, Who: "t4", Txn: 4, Topic: "out", Value: "c2", Offset: 4, Sum: 7, Committed: true})
			s.end(4, true, h.OK)
			s.add(h.Fact{Kind: h.Read, Who: "t2", Txn: 3, Topic: "out", Value: "d", Offset: 6, Sum: 7, Committed: true})
		})},
		{"from nowhere", "I10", "nobody sent", at("drain", func(s *story) { s.read("other", "in", "zz", 2, true) })},
		{"changed", "I10", "changed", change(good(nil), drainRead("a1"), func(f *h.Fact) { f.Sum = 8 })},
		{"time changed", "I10", "timestamp", change(good(nil), func(f h.Fact) bool { return f.Kind == h.Attempt && f.Value == "a1" },
			func(f *h.Fact) { f.Timestamp = 3 })},
		{"in the wrong partition", "I10", "read from", at("drain", func(s *story) { s.read("other", "out", "a1", 7, true) })},
		{"watermark goes back", "I11", "and then", at("done", func(s *story) {
			s.add(h.Fact{Kind: h.Marks, Who: "m", Topic: "in", Stable: 2, High: 2})
			s.add(h.Fact{Kind: h.Marks, Who: "m", Topic: "in", Stable: 1, High: 2})
		})},
		{"stable above high", "I11", "stable 3, high 2", at("done", func(s *story) {
			s.add(h.Fact{Kind: h.Marks, Who: "m", Topic: "in", Stable: 3, High: 2})
		})},
		{"end below what is acknowledged", "I11", "told end 1", at("done", func(s *story) {
			s.ask(h.EndAsk, h.EndTold, h.Fact{Who: "m", Topic: "in"}, 1, h.OK)
		})},
		{"stable end goes back at another broker", "I11", "known to be 5", at("done", func(s *story) {
			s.ask(h.EndAsk, h.EndTold, h.Fact{Who: "m", Broker: "A", Topic: "out", Committed: true}, 5, h.OK)
			s.ask(h.EndAsk, h.EndTold, h.Fact{Who: "m", Broker: "B", Topic: "out", Committed: true}, 4, h.OK)
		})},
		{"out of range", "I11", "out of range", at("done", func(s *story) {
			s.add(h.Fact{Kind: h.OutOfRange, Who: "m", Topic: "in", Offset: 1})
		})},
		{"offset goes back", "I12", "offset 0", at("done", func(s *story) {
			s.offsets(0, 0, 1, h.OK)
			s.offsets(0, 3, 1, h.OK)
			s.told(0, false)
		})},
		{"offset of before the end of a transaction", "I12", "offset 1", at("done", func(s *story) { s.told(1, false) })},
		{"offset forgotten", "I12", "offset -1", at("done", func(s *story) { s.told(-1, false) })},
		{"offset of an aborted transaction", "I12", "offset 2", at("replaced", func(s *story) { s.told(2, false) })},
		{"answers disagree", "I12", "offset 1", at("done", func(s *story) {
			s.offsets(0, 9, 1, h.Unknown)
			s.told(9, false)
			s.told(1, false)
		})},
		{"stable while held", "I12", "as stable while", at("open", func(s *story) { s.told(-1, true) })},
		{"two owners", "I13", "two owners", at("done", func(s *story) {
			s.add(h.Fact{Kind: h.Own, Name: "g", Topic: "in", Generation: 1, Member: "a", Partitions: []int32{0, 1}})
			s.add(h.Fact{Kind: h.Own, Name: "g", Topic: "in", Generation: 1, Member: "b", Partitions: []int32{1}})
		})},
		{"generation goes back", "I13", "from generation 2 to 1", at("done", func(s *story) {
			s.add(h.Fact{Kind: h.Own, Name: "g", Topic: "in", Generation: 2, Member: "a"})
			s.add(h.Fact{Kind: h.Own, Name: "g", Topic: "in", Generation: 1, Member: "a"})
		})},
		{"commit of an old generation", "I13", "took a commit of generation 1", at("done", func(s *story) {
			s.add(h.Fact{Kind: h.Own, Name: "g", Topic: "in", Generation: 2, Member: "a"})
			s.offsets(0, 2, 1, h.OK)
		})},
		{"zombie writes", "I14", "was taken", at("replaced", func(s *story) {
			s.begin("t1", 4, 2)
			s.send("t1", 4, "in", "z", "")
			s.ack("t1", "in", "z", 2)
			s.read("drain-all", "in", "z", 2, false)
		})},
		{"zombie commits", "I14", "was committed after", good(func(place string, s *story) {
			switch place {
			case "inputs":
				s.initialize("t0", 0)
				s.add(h.Fact{Kind: h.Begin, Who: "t0", Name: "id", Txn: 4})
				s.send("t0", 4, "in", "z", "")
				s.ack("t0", "in", "z", 2)
			case "replaced":
				s.end(4, true, h.OK)
			case "drained":
				s.read("drain", "in", "z", 2, true)
				s.read("drain-all", "in", "z", 2, false)
			}
		})},
		{"epoch given twice", "I14", "both got", at("replaced", func(s *story) { s.initialize("t3", 3) })},
		{"epoch of two transactions", "I14", "both ran under", at("done", func(s *story) { s.begin("t2", 4, 3) })},
		{"processed twice", "I15", "processed twice", at("done", func(s *story) {
			s.begin("t2", 4, 4)
			s.send("t2", 4, "out", "d2", "a2")
			s.ack("t2", "out", "d2", 6)
			s.end(4, true, h.OK)
			s.read("drain", "out", "d2", 6, true)
			s.read("drain-all", "out", "d2", 6, false)
		})},
		{"never processed", "I15", "a3 is visible and was never", at("drained", func(s *story) {
			s.send("p", 0, "in", "a3", "")
			s.ack("p", "in", "a3", 2)
			s.read("drain", "in", "a3", 2, true)
			s.read("drain-all", "in", "a3", 2, false)
		})},
		{"no progress", "L1", "no answer", at("done", func(s *story) {
			s.add(h.Fact{Kind: h.Probe, Value: "L1", Name: "produce", Outcome: h.Refused, Error: "no answer"})
		})},
		{"stalled", "L2", "did not", at("done", func(s *story) {
			s.send("p", 0, "in", "a3", "")
			s.ack("p", "in", "a3", 2)
			s.read("other", "in", "a3", 2, true)
			for range 40 {
				s.add(h.Fact{Kind: h.Note})
			}
			s.add(h.Fact{Kind: h.Seek, Who: "live"})
		})},
		{"does not settle", "L3", "is 5 and", change(good(nil), func(f h.Fact) bool { return f.Kind == h.Settled && f.Topic == "out" },
			func(f *h.Fact) { f.Stable, f.Outcome = 5, h.Refused })},
		{"does not start", "L4", "gave up", at("done", func(s *story) {
			s.add(h.Fact{Kind: h.Probe, Value: "L4", Name: "start without etcd", Outcome: h.Refused, Error: "gave up"})
		})},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := judge.Judge(c.facts)
			if r.Verdict != judge.False {
				t.Fatal(r)
			}
			for _, v := range r.Violations {
				if v.Invariant == c.invariant && strings.Contains(v.What, c.text) {
					if len(judge.Excerpt(c.facts, v)) == 0 {
						t.Fatal("no excerpt")
					}
					return
				}
			}
			t.Fatalf("want %s %q: %s", c.invariant, c.text, r)
		})
	}
}

// TestAllowed is what clients of any Kafka may see.
func TestAllowed(t *testing.T) {
	for name, facts := range map[string][]h.Fact{
		"a failed send appears": at("drained", func(s *story) {
			s.send("q", 0, "out", "x", "")
			s.add(h.Fact{Kind: h.Fail, Who: "q", Value: "x", Outcome: h.Unknown})
			s.read("drain", "out", "x", 6, true)
			s.read("drain-all", "out", "x", 6, false)
		}),
		"a commit without an answer happened": change(good(nil), func(f h.Fact) bool { return f.Kind == h.EndReply && f.Commit },
			func(f *h.Fact) { f.Outcome = h.Unknown }),
		"a jump after a seek": at("drain", func(s *story) {
			s.add(h.Fact{Kind: h.Seek, Who: "live"})
			s.read("live", "in", "a1", 0, true)
		}),
		"out of range below the log start": at("done", func(s *story) {
			s.add(h.Fact{Kind: h.OutOfRange, Who: "m", Topic: "in", Offset: 0, LogStart: 1})
		}),
		"an offset goes back where somebody may have set it": at("open", func(s *story) {
			s.offsets(0, 0, 1, h.Unknown)
			s.told(0, false)
		}),
		"an offset is there after the end of its transaction, where that takes two steps": without(at("done", func(s *story) {
			s.told(1, false)
		}), func(f h.Fact) bool { return f.Name == judge.OneStep }),
		"a late commit is refused": at("done", func(s *story) {
			s.add(h.Fact{Kind: h.Own, Name: "g", Topic: "in", Generation: 2, Member: "a"})
			s.offsets(0, 9, 1, h.Refused)
		}),
		"a zombie is refused": at("replaced", func(s *story) {
			s.begin("t1", 4, 2)
			s.send("t1", 4, "in", "z", "")
			s.add(h.Fact{Kind: h.Fail, Who: "t1", Value: "z", Outcome: h.Unknown})
			s.end(4, true, h.Unknown)
		}),
	} {
		if r := judge.Judge(facts); r.Verdict != judge.True {
			t.Errorf("%s: %s", name, r)
		}
	}
}

// TestUnknown: what a run cannot tell it does not call true; what is broken is false all the same.
func TestUnknown(t *testing.T) {
	for name, c := range map[string]struct {
		facts []h.Fact
		text  string
	}{
		"a planned fault never started": {at("inputs", func(s *story) { s.add(h.Fact{Kind: h.Plan, Name: "F2"}) }), "F2 never fired"},
		"a fault was not seen to happen": {change(good(nil), func(f h.Fact) bool { return f.Kind == h.Stop },
			func(f *h.Fact) { f.Outcome = h.Unknown }), "F1 never fired"},
		"nothing went well meanwhile": {change(good(nil), func(f h.Fact) bool { return f.Kind == h.Ack },
			func(f *h.Fact) { f.At = 0 }), "no acknowledgement"},
		"an invariant has nothing to judge": {at("inputs", func(s *story) { s.add(h.Fact{Kind: h.Plan, Name: "I13"}) }), "I13"},
		"the drain ran out of budget with etcd down": {change(good(nil), func(f h.Fact) bool { return f.Kind == h.Drained },
			func(f *h.Fact) { f.Outcome, f.Error = h.Unknown, "etcd is down" }), "etcd is down"},
		"nobody drains":             {without(good(nil), func(f h.Fact) bool { return f.Kind == h.Drained }), "nobody read"},
		"a probe could not be made": {at("done", func(s *story) { s.add(h.Fact{Kind: h.Probe, Value: "L1", Name: "x", Outcome: h.Unknown}) }), "x"},
		"nothing at all happened":   {nil, "nobody read"},
	} {
		r := judge.Judge(c.facts)
		if r.Verdict != judge.Unknown || !slices.ContainsFunc(r.Reasons, func(s string) bool { return strings.Contains(s, c.text) }) {
			t.Errorf("%s: %s", name, r)
		}
		broken := change(c.facts, drainRead("a1"), func(f *h.Fact) { f.Sum = 8 })
		if r := judge.Judge(broken); c.facts != nil && r.Verdict != judge.False {
			t.Errorf("%s, and broken: %s", name, r)
		}
	}
}
