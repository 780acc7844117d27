package clients

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/integration/binary"
)

// classicMembers take part in groups by the classic protocol.
var classicMembers = []grouper{
	pythonMember{protocol: "classic"}, javaMember{protocol: "classic"}, goClient{name: "franz"}, kafkaJS{},
	sarama, sarama.speaking("3.6.0"), kafkaGo{goClient{name: "kafka-go"}}, spring{},
}

// consumerMembers take part in groups by the consumer protocol (KIP-848).
var consumerMembers = []grouper{pythonMember{protocol: "consumer"}, javaMember{protocol: "consumer"}}

// TestClassicGroups: with each client, members come, go and die, partitions grow, offsets are kept.
func TestClassicGroups(t *testing.T) {
	t.Parallel() // with the other tests of groups, which wait for timeouts most of the time
	b := oneBroker(t)
	ctx := b.context(t, patience)
	b.waitFor(ctx, t, kmsg.JoinGroup, kmsg.SyncGroup, kmsg.Heartbeat, kmsg.LeaveGroup, kmsg.OffsetCommit, kmsg.OffsetFetch)
	for _, g := range classicMembers {
		t.Run(g.Name(), func(t *testing.T) {
			t.Parallel()
			binary.Need(t, g.Check())
			lifeOfAGroup(ctx, t, b, g)
		})
	}
}

// TestConsumerGroups: the same by the consumer protocol, where the broker decides on timeouts.
func TestConsumerGroups(t *testing.T) {
	t.Parallel()
	b := oneBroker(t, "WADI_KAFKA_GROUP_CONSUMER_SESSION_TIMEOUT_MS=6000", "WADI_KAFKA_GROUP_CONSUMER_HEARTBEAT_INTERVAL_MS=500")
	ctx := b.context(t, patience)
	b.waitFor(ctx, t, kmsg.ConsumerGroupHeartbeat, kmsg.OffsetCommit, kmsg.OffsetFetch)
	for _, g := range consumerMembers {
		t.Run(g.Name(), func(t *testing.T) {
			t.Parallel()
			binary.Need(t, g.Check())
			lifeOfAGroup(ctx, t, b, g)
		})
	}
}

// TestGroupsSurviveKill: members outlive an agent that dies and comes back. They go on where they had committed to, with
// what was written before and after.
//
// Not KafkaJS: an agent that comes back is another node, and while a fetcher of KafkaJS looks for the node that is gone
// it neither rejoins nor leaves.
func TestGroupsSurviveKill(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	dir, port := t.TempDir(), binary.FreePort(t)
	l := &life{t: t, ctx: ctx, b: startDev(t, dir, port), topic: "survivor"}
	l.b.waitFor(ctx, t, kmsg.JoinGroup, kmsg.OffsetCommit)
	if err := createTopic(ctx, l.b.bootstrap, l.topic, 3); err != nil {
		t.Fatal(err)
	}
	l.produce(0, 1, 2)
	for _, g := range classicMembers {
		if _, rigid := g.(kafkaJS); rigid || g == sarama.speaking("3.6.0") {
			continue
		}
		binary.Need(t, g.Check())
		l.members = append(l.members, startMember(t, g, l.b.bootstrap, "group of "+g.Name(), l.topic))
	}
	eachProcessed := func() {
		t.Helper()
		for _, m := range l.members {
			l.processed([]*member{m}, l.values)
			l.committed(m)
		}
	}
	eachProcessed()
	before := slices.Clone(l.values)
	l.b.process.Kill()
	l.b = startDev(t, dir, port)
	l.produce(0, 1, 2)
	eachProcessed()
	for _, m := range l.members {
		// What it could not commit while the agent was away it may have read twice, what it had committed not.
		for value, times := range m.values(0) {
			if times > 1 && slices.Contains(before, value) {
				t.Errorf("%q was processed %d times, although its offset was committed before the agent died", value, times)
			}
		}
		m.leave(ctx, t)
	}
}

// lifeOfAGroup: 1, 2, 3 and 4 consumers of 3 partitions (the fourth idles), one leaves, one is killed, one remains; the
// topic grows; it seeks back and reads all again; its successor begins where it ended; another group reads everything.
func lifeOfAGroup(ctx context.Context, t *testing.T, b broker, g grouper) {
	run := rand.Uint32()
	l := &life{t: t, ctx: ctx, b: b, topic: fmt.Sprintf("group-topic-%08x", run)}
	group, other := fmt.Sprintf("group-%08x", run), fmt.Sprintf("other-group-%08x", run)
	if err := createTopic(ctx, b.bootstrap, l.topic, 3); err != nil {
		t.Fatal(err)
	}
	join := func() *member {
		m := startMember(t, g, b.bootstrap, group, l.topic)
		l.members = append(l.members, m)
		return m
	}

	l.produce(0, 1, 2)
	join()
	l.balanced(3, 3)
	l.processed(l.members, l.values)
	join()
	l.balanced(3, 1, 2)
	join()
	l.balanced(3, 1, 1, 1)
	join()
	l.balanced(3, 0, 1, 1, 1)

	fresh := l.produce(0, 1, 2)
	l.processed(l.members, fresh)
	l.remove(1).leave(ctx, t)
	l.balanced(3, 1, 1, 1)
	l.remove(1).kill()
	l.balanced(3, 1, 2)
	fresh = l.produce(0, 1, 2)
	l.processed(l.members, fresh)
	l.remove(1).leave(ctx, t)
	l.balanced(3, 3)

	l.grow(4)
	l.balanced(4, 4)
	fresh = l.produce(0, 1, 2, 3)
	l.processed(l.members, fresh)

	last := l.members[0]
	before := last.records()
	last.order(t, "replay")
	l.waitFor("every record again, after the order to replay", func() (bool, string) {
		return covers(last.values(before), l.values)
	})
	l.committed(last)
	l.remove(0).leave(ctx, t)

	fresh = l.produce(0, 1, 2, 3)
	successor := join()
	l.processed(l.members, fresh)
	l.committed(successor) // whatever happens to it, it reads nothing twice
	if got := slices.Sorted(maps.Keys(successor.values(0))); !slices.Equal(got, fresh) {
		t.Errorf("after a restart %d values were processed, want the %d new ones: %q", len(got), len(fresh), got)
	}

	stranger := startMember(t, g, b.bootstrap, other, l.topic)
	l.processed([]*member{stranger}, l.values)
	if twice := successor.records(); twice != len(fresh) {
		t.Errorf("the first group processed %d records while another one read, want still %d", twice, len(fresh))
	}
	stranger.leave(ctx, t)
	successor.leave(ctx, t)
}

// life is a topic, what was written to it, and the members of a group that reads it.
type life struct {
	t       *testing.T
	ctx     context.Context
	b       broker
	topic   string
	values  []string // sorted
	ends    map[int32]int64
	members []*member
}

// recordsPerRound go to each partition.
const recordsPerRound = 10

// produce writes to some partitions and returns the values.
func (l *life) produce(partitions ...int32) []string {
	l.t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(l.b.bootstrap), kgo.DefaultProduceTopic(l.topic),
		kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		l.t.Fatal(err)
	}
	defer cl.Close()
	var records []*kgo.Record
	var fresh []string
	for _, p := range partitions {
		for range recordsPerRound {
			value := fmt.Sprintf("v%05d", len(l.values)+len(fresh))
			fresh = append(fresh, value)
			records = append(records, &kgo.Record{Partition: p, Value: []byte(value)})
		}
	}
	if err := cl.ProduceSync(l.ctx, records...).FirstErr(); err != nil {
		l.t.Fatal(err)
	}
	if l.ends == nil {
		l.ends = map[int32]int64{}
	}
	for _, r := range records {
		l.ends[r.Partition] = r.Offset + 1
	}
	l.values = append(l.values, fresh...)
	return fresh
}

// grow gives the topic more partitions.
func (l *life) grow(partitions int) {
	l.t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(l.b.bootstrap))
	if err != nil {
		l.t.Fatal(err)
	}
	defer cl.Close()
	answer, err := kadm.NewClient(cl).UpdatePartitions(l.ctx, partitions, l.topic)
	if err == nil {
		err = answer.Error()
	}
	if err != nil {
		l.t.Fatal(err)
	}
}

// remove takes a member that owns something from the list, the ith of those. In a rebalance there may be none for a moment.
func (l *life) remove(i int) *member {
	l.t.Helper()
	var owners []*member
	l.waitFor(fmt.Sprintf("an owner to remove, number %d", i), func() (bool, string) {
		owners = slices.DeleteFunc(slices.Clone(l.members), func(m *member) bool { return len(m.partitions()) == 0 })
		return len(owners) > i, fmt.Sprint(len(owners))
	})
	l.members = slices.DeleteFunc(l.members, func(m *member) bool { return m == owners[i] })
	return owners[i]
}

func (l *life) waitFor(what string, done func() (bool, string)) {
	l.t.Helper()
	eventually(l.ctx, l.t, what, done)
}

// balanced waits until the members own so many partitions each, in ascending order: every partition has one owner.
func (l *life) balanced(partitions int, each ...int) {
	l.t.Helper()
	l.waitFor(fmt.Sprintf("%d partitions, %v to each", partitions, each), func() (bool, string) {
		var sizes []int
		var owned []int32
		for _, m := range l.members {
			sizes = append(sizes, len(m.partitions()))
			owned = append(owned, m.partitions()...)
		}
		slices.Sort(sizes)
		slices.Sort(owned)
		seen := fmt.Sprintf("%v, in all %v", sizes, owned)
		return len(owned) == partitions && len(slices.Compact(owned)) == partitions && slices.Equal(sizes, each), seen
	})
}

// processed waits until the members have processed all values between them.
func (l *life) processed(members []*member, values []string) {
	l.t.Helper()
	l.waitFor(fmt.Sprintf("%d values processed", len(values)), func() (bool, string) {
		all := map[string]int{}
		for _, m := range members {
			for value, n := range m.values(0) {
				all[value] += n
			}
		}
		return covers(all, values)
	})
}

// committed waits until a member that owns everything has committed everything.
func (l *life) committed(m *member) {
	l.t.Helper()
	l.waitFor("all offsets committed", func() (bool, string) {
		return maps.Equal(m.commits(), l.ends), fmt.Sprintf("%v of %v", m.commits(), l.ends)
	})
}

func covers(got map[string]int, want []string) (bool, string) {
	var missing []string
	for _, value := range want {
		if got[value] == 0 {
			missing = append(missing, value)
		}
	}
	return len(missing) == 0, fmt.Sprintf("missing %q", missing[:min(len(missing), 5)])
}
