package retention

import (
	"errors"
	"log/slog"
	"strings"
	"testing"

	"wadi/internal/kafkaconfig"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/state"
	"wadi/objstore"
	"wadi/objstore/fault"
)

var errNoClock = errors.New("the clock differs from the store's")

// Without a clock nothing goes by time; with one it does, at once.
func TestClock(t *testing.T) {
	r := newRig(t, 1)
	r.append(1, 0, 1, 10, r.now-500, false)
	r.set(1, func(e *kafkaconfig.Effective) { e.RetentionMs = 100 })
	var log strings.Builder
	r.env.Log = slog.New(slog.NewTextHandler(&log, nil))
	r.clock = errNoClock
	for range 3 {
		r.settle()
	}
	r.startsAt(1, 0, 0)
	r.clock = nil
	r.settle()
	r.startsAt(1, 0, 1)
	for said, times := range map[string]int{"nothing is deleted by age": 1, errNoClock.Error(): 1, "deleted by age again": 1} {
		if n := strings.Count(log.String(), said); n != times {
			t.Errorf("%q is said %d times:\n%s", said, n, log.String())
		}
	}
}

// What was written by an open transaction, and what lies behind it, stays; DeleteRecords is not bound by that.
func TestOpenTransaction(t *testing.T) {
	r := newRig(t, 1)
	producer := r.apply(nil, &pb.Command{Base: 1 << 40, Kind: &pb.Command_InitProducer{InitProducer: &pb.InitProducer{TransactionalId: "t", TimeoutMs: 1}}})[0]
	r.append(1, 0, 2, 10, 0, false)
	r.transactional(1, 0, 1, 10, 0, producer.ID, producer.Epoch, 0)
	r.append(1, 0, 2, 10, 0, false)
	r.set(1, func(e *kafkaconfig.Effective) { e.RetentionMs, e.RetentionBytes = 100, 0 })
	r.settle()
	r.startsAt(1, 0, 2)
	r.now += 101
	r.apply(nil, &pb.Command{Base: 1 << 40, Kind: &pb.Command_EndTxn{EndTxn: &pb.EndTxn{ProducerId: producer.ID, ProducerEpoch: int32(producer.Epoch), Commit: true, Bump: true}}})
	r.set(1, func(e *kafkaconfig.Effective) { e.RetentionBytes = -1 })
	r.settle()
	r.startsAt(1, 0, 5) // the marker is young
	r.now += 101
	r.settle()
	r.startsAt(1, 0, 6)
}

// A change of the topic, or of what topics get from the brokers, that lands between the snapshot and the trim refuses it,
// whoever made it: records of a topic that is to keep them are never deleted once that was acknowledged.
func TestConfigChangeMeanwhile(t *testing.T) {
	for name, k := range map[string]*pb.AlterConfigs{
		"of the topic":   {Type: 2, Topic: 1, Set: []*pb.Config{{Name: kafkaconfig.RetentionMs, Value: "-1"}}},
		"of all brokers": {Type: 4, Set: []*pb.Config{{Name: "log.retention.ms", Value: "-1"}}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, 1)
			r.append(1, 0, 1, 10, r.now-500, false)
			r.set(1, func(e *kafkaconfig.Effective) { e.RetentionMs = 100 })
			r.before = func() {
				r.apply(nil, &pb.Command{Base: 1 << 40, Kind: &pb.Command_AlterConfigs{AlterConfigs: k}})
				r.set(1, func(e *kafkaconfig.Effective) { e.RetentionMs = -1 })
			}
			r.settle()
			r.startsAt(1, 0, 0)
			if len(r.commands) != 1 {
				t.Errorf("%d commands, want the one that was refused", len(r.commands))
			}
		})
	}
}

// Partitions of others are left alone, and 1,000 trims are one command.
func TestShardsAndCommands(t *testing.T) {
	r := newRig(t, 2500)
	for i := range uint32(2500) {
		r.append(1, i, 1, 1, 0, true)
	}
	r.mine = func(_ uint64, p uint32) bool { return p%5 != 0 }
	r.set(1, func(e *kafkaconfig.Effective) { e.RetentionMs = 1 })
	r.settle()
	for i := range uint32(2500) {
		want := int64(1)
		if i%5 == 0 {
			want = 0
		}
		r.startsAt(1, i, want)
	}
	if len(r.commands) != 2 {
		t.Errorf("%d commands", len(r.commands))
	}
}

// folded is a partition of n runs of size bytes and one record in a manifest, of timestamps from first on, and some behind
// it that are of now.
func folded(t *testing.T, n int, first int64) *rig {
	r := newRig(t, 1)
	for i := range n + 2 {
		ts := first + int64(i)
		if i >= n {
			ts = r.now
		}
		r.append(1, 0, 1, 10, ts, false)
	}
	for i := range n {
		r.merged(1, 0, i, i+1)
	}
	r.fold(1, 0, n)
	return r
}

// The manifest is read once to find out when its oldest run is due; after that State and what is known decide, and when
// a run is due it is read again. Freed objects become garbage one after the other, the manifest with the last of them.
func TestManifestByTime(t *testing.T) {
	r := folded(t, 5, 500_000)
	r.set(1, func(e *kafkaconfig.Effective) { e.RetentionMs = 100 })
	r.now = 500_000
	r.settle()
	r.startsAt(1, 0, 0)
	reads := r.gets.Load()
	if reads == 0 {
		t.Fatal("nobody looked into the manifest")
	}
	for range 3 {
		r.settle()
	}
	if r.gets.Load() != reads {
		t.Errorf("%d reads when nothing is due", r.gets.Load()-reads)
	}
	r.now = 500_101 + 1 // the first two are more than 100 ms old
	r.settle()
	r.startsAt(1, 0, 2)
	if m := r.part(1, 0).Manifest; m == nil || m.Released != 2 || m.First != 2 {
		t.Errorf("manifest %+v", m)
	}
	before := r.gets.Load()
	r.settle()
	if r.gets.Load() != before {
		t.Errorf("%d reads when nothing is due", r.gets.Load()-before)
	}
	objects, _ := r.s.Garbage()
	r.now += 100
	r.settle()
	r.startsAt(1, 0, 5)
	if m := r.part(1, 0).Manifest; m != nil {
		t.Errorf("manifest %+v", m)
	}
	if after, _ := r.s.Garbage(); after != objects+4 {
		t.Errorf("%d objects of garbage, %d before: want three objects and the manifest more", after, objects)
	}
	r.now += 1 << 40
	r.settle()
	r.startsAt(1, 0, 7)
}

// When all of the manifest is due, and what follows it too, nobody has to read it to move the log start.
func TestManifestWhollyDue(t *testing.T) {
	r := folded(t, 5, 500_000)
	r.set(1, func(e *kafkaconfig.Effective) { e.RetentionMs = 100 })
	r.now += 101
	w := plan(r.view(), &r.task.notes, part{}, 10)
	if len(w.looks) != 0 || len(w.trims) != 1 || w.trims[0].start != 7 {
		t.Errorf("%+v", w)
	}
}

// By size a manifest is not read as long as State knows that there is not enough.
func TestManifestBySize(t *testing.T) {
	r := folded(t, 5, 500_000) // 70 bytes
	r.set(1, func(e *kafkaconfig.Effective) { e.RetentionBytes = 71 })
	r.settle()
	if r.gets.Load() != 0 {
		t.Errorf("%d reads", r.gets.Load())
	}
	r.set(1, func(e *kafkaconfig.Effective) { e.RetentionBytes = 41 })
	r.settle()
	r.startsAt(1, 0, 2)
	reads := r.gets.Load()
	r.settle()
	if r.gets.Load() != reads {
		t.Errorf("%d reads when nothing is due", r.gets.Load()-reads)
	}
	r.append(1, 0, 1, 1, r.now, false)
	r.settle()
	r.startsAt(1, 0, 3)
	r.set(1, func(e *kafkaconfig.Effective) { e.RetentionBytes = 0 })
	r.settle()
	r.startsAt(1, 0, 8)
}

// The manifest of a deleted topic is released in steps, and goes with the last of its objects.
func TestDeletedTopic(t *testing.T) {
	r := folded(t, 5, 500_000)
	r.apply(nil, &pb.Command{Base: 1 << 40, Kind: &pb.Command_DeleteTopic{DeleteTopic: &pb.DeleteTopic{Topic: 1}}})
	r.settle()
	before, _ := r.s.Garbage()
	r.sweep()
	r.mine = func(topic uint64, _ uint32) bool { return topic == 0 } // nobody's
	r.settle()
	loose := 0
	r.s.EachLoose(func(m state.Manifest) { loose++ })
	if loose != 1 {
		t.Fatalf("%d manifests", loose)
	}
	r.mine = func(uint64, uint32) bool { return true }
	r.settle()
	r.s.EachLoose(func(m state.Manifest) { t.Errorf("manifest %+v", m) })
	if after, _ := r.s.Garbage(); after < before+6 {
		t.Errorf("%d objects of garbage, %d before", after, before)
	}
}

// DeleteRecords frees objects of manifests, too, whatever the topic's policy.
func TestDeleteRecordsFreesObjects(t *testing.T) {
	r := folded(t, 5, 500_000)
	r.set(1, func(e *kafkaconfig.Effective) { e.Delete, e.Compact = false, true })
	r.trim(1, 0, 3)
	r.settle()
	if m := r.part(1, 0).Manifest; m == nil || m.Released != 3 {
		t.Errorf("manifest %+v", m)
	}
	r.startsAt(1, 0, 3)
}

// A lost manifest is left alone for a while and holds up nothing else; when the store does not answer, the pass says so
// after it proposed what it knew.
func TestManifestCannotBeRead(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		ends bool
	}{"lost": {objstore.ErrNotFound, false}, "store down": {objstore.ErrThrottled, true}} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, 3)
			for p := range uint32(3) {
				for range 3 {
					r.append(1, p, 1, 10, 500_000, false)
				}
				if p < 2 {
					r.merged(1, p, 0, 3)
					r.fold(1, p, 1)
				}
				r.append(1, p, 1, 10, r.now, false)
			}
			r.set(1, func(e *kafkaconfig.Effective) { e.RetentionMs = 499_999 })
			bad := r.store.Script(fault.Fault{Op: fault.Get, Nth: 1, Times: 1, Do: fault.FailBefore(c.err)})
			more, err := r.task.Pass(t.Context(), r.view())
			if c.ends != (err != nil) || c.ends && !errors.Is(err, c.err) {
				t.Fatalf("more %v, %v", more, err)
			}
			r.startsAt(1, 0, 0)
			r.startsAt(1, 1, 3)
			r.startsAt(1, 2, 3)
			if bad.Fired() != 1 {
				t.Fatalf("fired %d times", bad.Fired())
			}
			if !c.ends {
				r.settle()
				r.startsAt(1, 0, 0)
				r.now += damagePause
			}
			r.settle()
			if got := r.part(1, 0).LogStart; got < 3 {
				t.Errorf("the log starts at %d", got)
			}
		})
	}
}

// No more manifests are read in a pass than its bound says, and every one gets its turn although the first cannot be read.
func TestLooksTakeTurns(t *testing.T) {
	r := newRig(t, 5)
	for p := range uint32(5) {
		for range 2 {
			r.append(1, p, 1, 10, 500_000, false)
		}
		r.append(1, p, 1, 10, r.now, false)
		r.merged(1, p, 0, 1)
		r.fold(1, p, 1)
	}
	r.set(1, func(e *kafkaconfig.Effective) { e.RetentionMs = 400_000 })
	r.task = New(r.env, Config{Looks: 2, Parallel: 2})
	bad := r.store.Script(fault.Fault{Op: fault.Get, Key: "manifest", Nth: 1, Times: 1, Do: fault.FailBefore(objstore.ErrThrottled)})
	failed := 0
	for range 5 {
		if _, err := r.task.Pass(t.Context(), r.view()); err != nil {
			failed++
		}
	}
	for p := range uint32(5) {
		r.startsAt(1, p, 2)
	}
	if failed != 1 || bad.Fired() != 1 {
		t.Errorf("%d passes failed, %d reads", failed, bad.Fired())
	}
}

// What was found out of a manifest does not hold any more when DeleteRecords moves the log start in it.
func TestNoteEndsWithItsStart(t *testing.T) {
	r := newRig(t, 1)
	for _, ts := range []int64{r.now, r.now - 500, r.now} {
		r.append(1, 0, 1, 10, ts, false)
	}
	for i := range 3 {
		r.merged(1, 0, i, i+1)
	}
	r.fold(1, 0, 3)
	r.set(1, func(e *kafkaconfig.Effective) { e.RetentionMs = 100 })
	r.settle()
	r.startsAt(1, 0, 0)
	r.trim(1, 0, 1)
	r.settle()
	r.startsAt(1, 0, 2)
}

// A manifest that another one replaced is forgotten.
func TestNotesAreForgotten(t *testing.T) {
	r := folded(t, 3, 500_000)
	r.set(1, func(e *kafkaconfig.Effective) { e.RetentionMs = 500_001 })
	r.settle()
	r.merged(1, 0, 0, 1)
	r.fold(1, 0, 1)
	r.settle()
	r.settle()
	if n := len(r.task.notes.of); n != 1 {
		t.Errorf("%d notes", n)
	}
}
