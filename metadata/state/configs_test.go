package state

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	pb "wadi/metadata/metadatapb"
)

func alterConfigs(typ ResourceType, topic uint64, name string, base int64, set ...string) *pb.Command {
	k := &pb.AlterConfigs{Type: uint32(typ), Topic: topic, Name: name}
	for i := 0; i < len(set); i += 2 {
		k.Set = append(k.Set, &pb.Config{Name: set[i], Value: set[i+1]})
	}
	return &pb.Command{Base: base, Kind: &pb.Command_AlterConfigs{AlterConfigs: k}}
}

// A change that was worked out from values that another one has replaced since is refused, also by the same session:
// two appends to one list at the same time both count.
func TestConfigChangesConflict(t *testing.T) {
	j := newJournal(t)
	topic := uint64(j.must(alice, createTopic("t", 1, 0)))
	base := j.position
	got := j.codes(alice, alterConfigs(TopicConfigs, topic, "", base, "cleanup.policy", "compact"),
		alterConfigs(TopicConfigs, topic, "", base, "cleanup.policy", "delete"),
		alterConfigs(BrokerConfigs, 0, "", base, "a", "1"), alterConfigs(BrokerConfigs, 0, "", base, "a", "2"),
		alterConfigs(BrokerConfigs, 0, "1", base, "a", "3"))
	if !slices.Equal(got, []Code{OK, Conflict, OK, Conflict, OK}) {
		t.Fatalf("codes %v", got)
	}
	if v, _ := j.s.Topic("t").Config("cleanup.policy"); v != "compact" {
		t.Errorf("cleanup.policy is %q", v)
	}
	if v, _ := j.s.Configs(BrokerConfigs, "").Config("a"); v != "1" {
		t.Errorf("a is %q", v)
	}
	// What a resource had is forgotten with its last config, but not that it had some after base.
	base = j.position
	remove := alterConfigs(BrokerConfigs, 0, "1", base)
	remove.GetAlterConfigs().Remove = []string{"a"}
	j.must(bob, remove)
	if got := j.codes(alice, alterConfigs(BrokerConfigs, 0, "1", base, "a", "4")); got[0] != Conflict {
		t.Errorf("a late change of a resource that has none any more: %v", got)
	}
	loaded := reload(t, j.s)
	if loaded.forgottenConfigs != j.s.forgottenConfigs || loaded.Configs(BrokerConfigs, "1") != nil {
		t.Errorf("after a reload, configs are forgotten to %d, want %d", loaded.forgottenConfigs, j.s.forgottenConfigs)
	}
}

// Resources and their bytes are capped.
func TestConfigsAreBounded(t *testing.T) {
	j := newJournal(t)
	topic := uint64(j.must(alice, createTopic("t", 1, 0)))
	big := strings.Repeat("x", MaxConfigBytes)
	got := j.codes(alice, alterConfigs(GroupConfigs, 0, "g", j.position, "a", big), alterConfigs(TopicConfigs, topic, "", j.position, "a", big),
		alterConfigs(GroupConfigs, 0, "g", j.position, "a", big[1:]), alterConfigs(TopicConfigs, topic, "", j.position, "a", big[1:]))
	if !slices.Equal(got, []Code{TooMany, TooMany, OK, OK}) {
		t.Fatalf("codes %v", got)
	}
	j.unchecked = true
	for i := range MaxAllConfigBytes/MaxConfigBytes - 1 {
		j.must(alice, alterConfigs(GroupConfigs, 0, fmt.Sprint(i), j.position, "a", big[1:]))
	}
	if got := j.codes(alice, alterConfigs(GroupConfigs, 0, "h", j.position, "a", "1")); got[0] != TooMany {
		t.Errorf("above the bytes of all: %v", got)
	}
	for i := range MaxAllConfigBytes/MaxConfigBytes - 1 {
		j.must(alice, alterConfigs(GroupConfigs, 0, fmt.Sprint(i), j.position, "a", "1"))
	}
	var commands []*pb.Command
	for i := range MaxConfigResources {
		if commands = append(commands, alterConfigs(GroupConfigs, 0, fmt.Sprint(i), j.position, "b", "1")); len(commands) == 1000 {
			j.codes(alice, commands...)
			commands = nil
		}
	}
	if err := j.s.Check(); err != nil || len(j.s.configs) != MaxConfigResources {
		t.Fatalf("%d resources: %v", len(j.s.configs), err)
	}
	if got := j.codes(alice, alterConfigs(MetricsConfigs, 0, "m", j.position, "a", "1")); got[0] != TooMany {
		t.Errorf("above the number of resources: %v", got)
	}
	for i, r := range base(t, j.s) {
		if len(r) > 2<<20 {
			t.Errorf("record %d has %d bytes", i, len(r))
		}
	}
}

// A snapshot keeps the configs it was taken with.
func TestSnapshotsKeepConfigs(t *testing.T) {
	j := newJournal(t)
	topic := uint64(j.must(alice, createTopic("t", 1, 0)))
	j.must(alice, alterConfigs(TopicConfigs, topic, "", j.position, "a", "1"), alterConfigs(BrokerConfigs, 0, "", j.position, "a", "1"))
	frozen := j.s.Freeze()
	before := base(t, frozen)
	j.must(alice, alterConfigs(TopicConfigs, topic, "", j.position, "a", "2"), alterConfigs(BrokerConfigs, 0, "", j.position, "a", "2"),
		alterConfigs(BrokerConfigs, 0, "0", j.position, "a", "2"))
	if !slices.Equal(base(t, frozen), before) {
		t.Error("the snapshot has changed")
	}
	if v, _ := frozen.TopicByNumber(topic).Config("a"); v != "1" {
		t.Errorf("the snapshot's topic has %q", v)
	}
}

// Semantics line 23: a duplicate gets the time of its original, also where the brokers' default makes it the time of
// appending.
func TestDefaultTimestampTypeIsJudged(t *testing.T) {
	j := newJournal(t)
	own := uint64(j.must(alice, createTopic("own", 1, 0, &pb.Config{Name: topicTimestampType, Value: "CreateTime"})))
	none := uint64(j.must(alice, createTopic("none", 1, 0)))
	j.must(alice, alterConfigs(BrokerConfigs, 0, "", j.position, brokerTimestampType, logAppendTime))
	for topic, want := range map[uint64]bool{own: false, none: true} {
		if got := j.s.StampsAppendTime(j.s.TopicByNumber(topic)); got != want || reload(t, j.s).StampsAppendTime(j.s.TopicByNumber(topic)) != want {
			t.Errorf("topic %d: %v", topic, got)
		}
	}
	b := idempotent(none, 0, 1, 0, 1)
	b.delta = 77
	j.must(alice, appendBatches(1, b))
	sent := 1_700_000_000_000 + 10*j.position + 77
	j.apply(alice, nil, appendBatches(2, b))
	if r := j.s.results.Commands[0].Batches[0]; r.Code != Duplicate || r.Time != sent {
		t.Errorf("%+v, want a duplicate of %d", r, sent)
	}
}

// FuzzLoad and FuzzApply start from journals that alter configs.
func TestDrawnJournalsAlterConfigs(t *testing.T) {
	n := 0
	for seed := range 12 {
		for _, e := range drawJournal.Example(seed) {
			for _, c := range e.Body.Commands {
				if c.GetAlterConfigs() != nil {
					n++
				}
			}
		}
	}
	if n == 0 {
		t.Error("no command of 12 journals alters configs")
	}
}
