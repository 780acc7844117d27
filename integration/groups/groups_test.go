package groups

import (
	"context"
	"errors"
	"flag"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/integration/binary"
	"wadi/integration/cluster"
	"wadi/internal/busy"
)

var soak = flag.Bool("soak", false, "50 kills at each moment instead of 3")

func TestMain(m *testing.M) {
	flag.Parse()
	code := m.Run()
	binary.Cleanup()
	os.Exit(code)
}

func rounds() int {
	if *soak {
		return 50
	}
	return 3
}

const settings = "kafka.group.initial.rebalance.delay.ms: 0\n" +
	"kafka.group.consumer.session.timeout.ms: 6000\nkafka.group.consumer.heartbeat.interval.ms: 300\n"

// patience is for what is not measured.
const patience = 3 * time.Minute

// start runs a cluster of three agents under produce load.
func start(t *testing.T) (*cluster.Cluster, cluster.Topic, *cluster.Load) {
	t.Helper()
	c := cluster.Start(t, cluster.Options{Links: true, Settings: settings})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	raw := cluster.NewRaw(t, c.Agents[0])
	topic, err := raw.Make(ctx, "consumed", 6)
	if err != nil {
		t.Fatal(err)
	}
	loaded, err := raw.Make(ctx, "loaded", 6)
	if err != nil {
		t.Fatal(err)
	}
	return c, topic, cluster.StartLoad(c, loaded, cluster.LoadOptions{Every: 20 * time.Millisecond, NoAgentReaders: true})
}

// kill takes the coordinator away, lets what was held back go on, and wants the group stable again within a session
// timeout and what the machine kept everybody waiting for, in a generation of at least this one. Then the agent comes back.
func kill(t *testing.T, g *Group, held chan struct{}, atLeast int32) (generation int32, took time.Duration) {
	t.Helper()
	a := g.Coordinator()
	a.Kill()
	began, waited := time.Now(), busy.Since()
	if held != nil {
		close(held)
	}
	g.lost(a.Address)
	generation = g.Await(patience, atLeast)
	took = time.Since(began)
	if slack := waited(); took > sessionTimeout+slack {
		t.Errorf("killed at %v, stable again after %v, longer than a session timeout and %v without a processor:\n%s",
			began.Format("15:04:05.000"), took, slack, g.Notes())
	}
	a.Start()
	return generation, took
}

// hold makes the first of the group's present members that gets to a step stop before it, until release is closed.
// reached is closed when one is there.
func (g *Group) hold(step string) (reached, release chan struct{}) {
	reached, release = make(chan struct{}), make(chan struct{})
	once := make(chan struct{}, 1)
	once <- struct{}{}
	present := slices.Clone(g.members)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.mu.before = func(m *Member, at string) {
		if at != step || !slices.Contains(present, m) {
			return
		}
		select {
		case <-once:
			close(reached)
			select {
			case <-release:
			case <-g.ctx.Done():
			}
		default:
		}
	}
	return reached, release
}

func (g *Group) letGo() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.mu.before = nil
}

func await(t *testing.T, c chan struct{}, what string) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(patience):
		t.Fatalf("not reached: %s", what)
	}
}

// Semantics lines 55, 56, F21: the coordinator dies while members join, while they wait for the assignment, and when the
// group is stable.
func TestKillClassicCoordinator(t *testing.T) {
	t.Parallel()
	c, topic, load := start(t)
	g := NewGroup(t, c, topic, "classic")
	for range 3 {
		g.Classic()
	}
	generation := g.Await(patience, 1)
	for range rounds() {
		// Mid JoinGroup: one member has not come again yet, the others' joins are parked.
		reached, release := g.hold("join")
		extra := g.Classic()
		await(t, reached, "a join")
		g.AwaitState(patience, "PreparingRebalance")
		var took time.Duration
		generation, took = kill(t, g, release, generation+1)
		t.Logf("killed mid JoinGroup: generation %d after %v", generation, took.Round(time.Millisecond))

		// Mid SyncGroup: the leader has not assigned yet.
		reached, release = g.hold("lead")
		extra.Leave()
		await(t, reached, "the leader's sync")
		g.AwaitState(patience, "CompletingRebalance")
		generation, took = kill(t, g, release, generation+1)
		t.Logf("killed mid SyncGroup: generation %d after %v", generation, took.Round(time.Millisecond))
		g.letGo()

		// Stable: nobody notices but by asking for the coordinator.
		g.steady(t, func() { generation, took = kill(t, g, nil, generation) })
		g.Judge()
	}
	g.End()
	g.Judge()
	t.Log(load.Finish())
}

// steady wants no member to have been in another generation after f and a session timeout more, unless the machine kept
// everybody waiting for so long that a member was not heard of for a session timeout.
func (g *Group) steady(t *testing.T, f func()) {
	t.Helper()
	before := map[string]int{}
	for _, m := range g.members {
		_, _, before[m.id] = m.Now()
		m.Silence()
	}
	waited := busy.Since()
	f()
	time.Sleep(sessionTimeout + time.Second)
	slack, longest := waited(), time.Duration(0)
	for _, m := range g.members {
		longest = max(longest, m.Silence())
	}
	excused := longest > sessionTimeout && longest-slack < sessionTimeout
	for _, m := range g.members {
		_, _, joins := m.Now()
		switch {
		case joins == before[m.id]:
		case excused:
			t.Logf("%d rebalances after a silence of %v, of which the machine was busy for %v", joins-before[m.id], longest, slack)
		default:
			t.Errorf("%s went through %d rebalances of a stable group", m.id, joins-before[m.id])
		}
	}
	g.told(t)
}

// told wants an agent that tells the committed offsets.
func (g *Group) told(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(patience); !g.Committed(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Errorf("nobody tells the offsets:\n%s", g.Notes())
			return
		}
	}
}

// Semantics line 67, F21: the coordinator dies between a revocation and its confirmation, and when the group is stable.
func TestKillConsumerCoordinator(t *testing.T) {
	t.Parallel()
	c, topic, load := start(t)
	g := NewGroup(t, c, topic, "consumer")
	for range 3 {
		g.Modern()
	}
	epoch := g.Await(patience, 1)
	for range rounds() {
		reached, release := g.hold("confirm")
		extra := g.Modern()
		await(t, reached, "a revocation")
		var took time.Duration
		epoch, took = kill(t, g, release, epoch+1)
		t.Logf("killed before the confirmation: epoch %d after %v", epoch, took.Round(time.Millisecond))
		g.letGo()
		extra.Leave()
		epoch = g.Await(patience, epoch+1)
		g.steady(t, func() { epoch, took = kill(t, g, nil, epoch) })
		g.Judge()
	}
	g.End()
	g.Judge()
	t.Log(load.Finish())
}

// F2, F21: a coordinator that sleeps past its lease finds that another took over: what was sent to it before is refused.
func TestFreezeCoordinator(t *testing.T) {
	t.Parallel()
	c, topic, load := start(t)
	g := NewGroup(t, c, topic, "frozen")
	g.Classic()
	g.Classic()
	generation := g.Await(patience, 1)
	for range rounds() {
		a := g.Coordinator()
		m := g.members[0]
		late := g.lateCommit(m, generation)
		a.Pause()
		answer := make(chan error, 1)
		go func() {
			ctx, cancel := context.WithTimeout(g.ctx, 30*time.Second)
			defer cancel()
			resp, err := g.raw[a.Address].Do(ctx, late)
			if err == nil {
				err = kerr.ErrorForCode(resp.(*kmsg.OffsetCommitResponse).Topics[0].Partitions[0].ErrorCode)
			}
			answer <- err
		}()
		time.Sleep(2 * c.TTL)
		for deadline := time.Now().Add(patience); g.Coordinator() == a; time.Sleep(20 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("nobody took over")
			}
		}
		g.told(t)
		a.Resume()
		if err := <-answer; err == nil {
			t.Error("a commit of before was taken")
		}
		generation = g.Await(patience, generation)
		time.Sleep(time.Second)
		g.Judge()
	}
	g.End()
	g.Judge()
	t.Log(load.Finish())
}

// lateCommit would take an offset back.
func (g *Group) lateCommit(m *Member, generation int32) *kmsg.OffsetCommitRequest {
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Group, req.MemberID, req.Generation = g.name, m.id, generation
	topic := kmsg.NewOffsetCommitRequestTopic()
	topic.Topic, topic.TopicID = g.topic.Name, g.topic.ID
	for p := range g.topic.Partitions {
		x := kmsg.NewOffsetCommitRequestTopicPartition()
		x.Partition, x.Offset, x.LeaderEpoch = p, 0, -1
		topic.Partitions = append(topic.Partitions, x)
	}
	req.Topics = append(req.Topics, topic)
	return req
}

// F6: a coordinator that alone is cut off from etcd stops answering within its session's time to live.
func TestCutCoordinator(t *testing.T) {
	t.Parallel()
	c, topic, load := start(t)
	g := NewGroup(t, c, topic, "cut")
	g.Classic()
	g.Classic()
	generation := g.Await(patience, 1)
	for range rounds() {
		a := g.Coordinator()
		beat := func() error {
			req := kmsg.NewPtrHeartbeatRequest()
			req.Group, req.MemberID, req.Generation = g.name, g.members[0].id, generation
			ctx, cancel := context.WithTimeout(g.ctx, time.Second)
			defer cancel()
			resp, err := g.raw[a.Address].Do(ctx, req)
			if err == nil {
				err = kerr.ErrorForCode(resp.(*kmsg.HeartbeatResponse).ErrorCode)
			}
			return err
		}
		for deadline := time.Now().Add(patience); beat() != nil; a = g.Coordinator() {
			if time.Now().After(deadline) {
				t.Fatal("nobody answers a heartbeat")
			}
			time.Sleep(20 * time.Millisecond)
		}
		a.ToEtcd.Cut()
		began, waited := time.Now(), busy.Since()
		for {
			sent := time.Since(began)
			err := beat()
			if errors.Is(err, kerr.NotCoordinator) {
				break
			}
			// An answer that comes late is one to what was sent in time.
			if slack := waited(); err == nil && sent > c.TTL+time.Second+slack {
				t.Fatalf("it takes a heartbeat %v after the cut, of which the machine was busy for %v", sent, slack)
			}
			if sent > patience {
				t.Fatalf("it still answers %v after %v", err, sent)
			}
			time.Sleep(20 * time.Millisecond)
		}
		t.Logf("it stopped answering after %v", time.Since(began).Round(time.Millisecond))
		g.lost(a.Address)
		time.Sleep(sessionTimeout / 2)
		generation = g.Await(patience, generation)
		a.ToEtcd.Heal()
		time.Sleep(time.Second)
		g.Judge()
	}
	g.End()
	g.Judge()
	t.Log(load.Finish())
}
