package state

import (
	"bytes"
	"fmt"
	"testing"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"
)

// redecode sends an entry through its bytes, as the journal does.
func redecode(t fataler, e Entry) Entry {
	t.Helper()
	value, err := proto.MarshalOptions{Deterministic: true}.Marshal(e.Body)
	if err != nil {
		t.Fatalf("marshal: %v", err)
	}
	got, err := Decode(e.Position, e.Session, e.Seq, value)
	if err != nil {
		t.Fatalf("decode: %v", err)
	}
	if !bytes.Equal(got.Body.Inline, e.Body.Inline) || !proto.Equal(got.Body, e.Body) {
		t.Fatalf("entry %v is %v after its bytes", e.Body, got.Body)
	}
	return got
}

// State gives every entry the results that the twin gives it, and reads the same after each.
func TestStateAgainstTwin(t *testing.T) {
	rapid.Check(t, checkAgainstTwin)
}

func checkAgainstTwin(t *rapid.T) {
	s, w := New(), newTwin()
	for range rapid.IntRange(1, 40).Draw(t, "entries") {
		e := redecode(t, drawEntry(t, w))
		got, want := s.Apply(e), w.apply(e)
		if err := compareResults(got, want); err != nil {
			t.Fatalf("position %d, %v: %v", e.Position, e.Body, err)
		}
		if err := w.compare(s, true); err != nil {
			t.Fatalf("%v: %v", e.Body, err)
		}
	}
}

// drawJournal is a generator of journals: entries in order, each drawn by what those before it led to.
var drawJournal = rapid.Custom(func(t *rapid.T) []Entry {
	var entries []Entry
	for w := newTwin(); len(entries) < 60; {
		e := drawEntry(t, w)
		w.apply(e)
		entries = append(entries, e)
	}
	return entries
})

// The journals that the properties are checked on reach every verdict and every kind of step: otherwise they prove less
// than they seem to.
func TestDrawnJournalsReachEverything(t *testing.T) {
	commands, batches, steps := map[Code]int{}, map[Code]int{}, map[string]int{}
	for seed := range 600 {
		s := New()
		for _, e := range drawJournal.Example(seed) {
			r := s.Apply(e)
			if r.Repeat {
				steps["repeat"]++
			}
			steps[r.Refused.String()]++
			for i, c := range r.Commands {
				commands[c.Code]++
				if e.Body.Commands[i].GetSweep() != nil && c.Code == OK && c.ID > 0 {
					steps["sweep that leaves something"]++
				}
				if end := e.Body.Commands[i].GetEndTxn(); end != nil && len(c.Touched) > 0 {
					steps[fmt.Sprintf("transaction ends, commit %v", end.Commit)]++
				}
				if k := e.Body.Commands[i].GetCommitOffsets(); k != nil && c.Code == OK && c.ID > 0 && k.Member != "" {
					if g := s.Group(k.Group); g != nil && g.Type == ConsumerGroup && g.Member(k.Member) != nil && k.Generation < g.Member(k.Member).Epoch {
						steps["commit under an older epoch"]++
					}
				}
				if e.Body.Commands[i].GetReplaceRuns() != nil {
					for _, b := range c.Batches {
						steps[fmt.Sprint("replacement is ", b.Code)]++
					}
				}
				if e.Body.Commands[i].GetFoldRuns() != nil {
					steps["fold is "+c.Code.String()]++
				}
				if u := e.Body.Commands[i].GetUnfoldRuns(); u != nil {
					steps["unfold is "+c.Code.String()]++
					if c.Code == OK {
						steps[fmt.Sprint("unfold, something stays: ", u.N != 0)]++
						steps[fmt.Sprint("unfold, aborted: ", len(u.Markers) > 0)]++
					}
				}
				if e.Body.Commands[i].GetReleaseObjects() != nil {
					steps["release is "+c.Code.String()]++
				}
				if e.Body.Commands[i].GetForgetObjects() != nil {
					steps["object forgotten"] += int(c.ID)
				}
				if e.Body.Commands[i].GetForgetSessions() != nil {
					steps["session forgotten"] += int(c.ID)
				}
				if e.Body.Commands[i].GetInitProducer() != nil && len(c.Touched) > 0 {
					steps["transaction is fenced"]++
				}
				for _, b := range c.Batches {
					batches[b.Code]++
				}
			}
		}
		steps["transaction is open"] += s.OpenTxnCount()
		steps["pending positions"] += s.pendingOffsets
		steps["aborted"] += s.abortedCount
		if s.highestExpired >= 0 {
			steps["producers expired"]++
		}
		steps["archives"] += len(s.archives)
		steps["loose manifest"] += s.loose.len()
		steps["partition waits for a sweep"] += len(s.trimmed)
		s.EachObject(func(_ uint64, o Object) {
			if o.Lost != 0 {
				steps["object lost"]++
			}
		})
	}
	for code := OK; code <= Stale; code++ {
		if code == Duplicate || code == OutOfOrderSequence || code == InvalidProducerEpoch {
			continue // of batches
		}
		if commands[code] == 0 && code != TooMany && code != UnknownTopic {
			t.Errorf("no command is %v", code)
		}
	}
	for _, code := range []Code{OK, Duplicate, Invalid, UnknownTopic, OutOfOrderSequence, InvalidProducerEpoch, OffsetOutOfRange, Conflict} {
		if batches[code] < 20 {
			t.Errorf("%d batches are %v", batches[code], code)
		}
	}
	if commands[NotMore] < 10 {
		t.Errorf("%d commands are %v", commands[NotMore], NotMore)
	}
	for code := UnknownGroup; code <= InvalidTxnState; code++ {
		if commands[code] < 3 {
			t.Errorf("%d commands are %v", commands[code], code)
		}
	}
	for _, step := range []string{"repeat", SessionNotOpen.String(), "sweep that leaves something", "archives", "object lost",
		"partition waits for a sweep", "transaction ends, commit true", "transaction ends, commit false", "transaction is fenced",
		"replacement is ok", "replacement is conflict", "object forgotten", "session forgotten",
		"fold is ok", "fold is conflict", "fold is invalid", "unfold is ok", "unfold is conflict", "unfold is invalid",
		"unfold, something stays: false", "unfold, aborted: true", "release is ok", "release is conflict", "release is invalid", "loose manifest",
		"transaction is open", "pending positions", "aborted", "producers expired"} {
		if steps[step] < 10 {
			t.Errorf("%d times %s", steps[step], step)
		}
	}
	if n := steps["commit under an older epoch"]; n < 3 {
		t.Errorf("%d commits under an older epoch", n)
	}
	t.Logf("commands %v, batches %v, steps %v", commands, batches, steps)
}
