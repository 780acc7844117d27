package groups

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/integration/cluster"
)

// Jepsen's settings: a short session and many heartbeats.
const (
	sessionTimeout   = 6 * time.Second
	rebalanceTimeout = 20 * time.Second
	heartbeatEvery   = 300 * time.Millisecond
)

// Group is a group under test: its members, who find coordinators by themselves, and what they and the test saw.
type Group struct {
	t       testing.TB
	c       *cluster.Cluster
	topic   cluster.Topic
	name    string
	raw     clients // of the test itself
	members []*Member
	running sync.WaitGroup
	stop    context.CancelFunc
	ctx     context.Context

	mu struct {
		sync.Mutex
		coordinator string           // address
		owners      map[claim]string // member by generation and partition
		next        []int64          // the offset to commit next, per partition
		acked       []int64          // the highest one acknowledged
		seen        []int64          // the highest one read
		violations  []string
		notes       []string
		before      func(m *Member, step string) // called before a request of this kind; it may hold the member back
	}
}

// clients are one of each agent, by address. Each member has its own: answers on one connection come in order, so a join
// that waits for a rebalance would hold back the answers to another member.
type clients map[string]*cluster.Raw

func newClients(t testing.TB, c *cluster.Cluster) clients {
	list := clients{}
	for _, a := range c.Agents {
		list[a.Address] = cluster.NewRaw(t, a)
	}
	return list
}

// claim is a partition in a generation or epoch.
type claim struct {
	generation int32
	partition  int32
}

// NewGroup has no members yet. It ends with the test.
func NewGroup(t testing.TB, c *cluster.Cluster, topic cluster.Topic, name string) *Group {
	g := &Group{t: t, c: c, topic: topic, name: name, raw: newClients(t, c)}
	g.ctx, g.stop = context.WithCancel(context.Background())
	g.mu.owners = map[claim]string{}
	g.mu.next, g.mu.acked, g.mu.seen = make([]int64, topic.Partitions), make([]int64, topic.Partitions), make([]int64, topic.Partitions)
	t.Cleanup(g.End)
	g.running.Go(g.watch)
	return g
}

// End stops the members and the watch.
func (g *Group) End() {
	g.stop()
	g.running.Wait()
}

func (g *Group) violation(format string, args ...any) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.mu.violations) < 20 {
		g.mu.violations = append(g.mu.violations, fmt.Sprintf(format, args...))
	}
}

// Judge fails the test for every violation so far.
func (g *Group) Judge() {
	g.t.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, v := range g.mu.violations {
		g.t.Error(v)
	}
	g.mu.violations = nil
}

// owns notes what a member was given. Two owners of a partition in one generation are what must never be.
func (g *Group) owns(m *Member, generation int32, partitions []int32) {
	for _, p := range partitions {
		k := claim{generation, p}
		g.mu.Lock()
		other := g.mu.owners[k]
		if other == "" {
			g.mu.owners[k] = m.id
		}
		g.mu.Unlock()
		if other != "" && other != m.id {
			g.violation("partition %d has two owners in generation %d: %s and %s", p, generation, other, m.id)
		}
	}
}

// find asks any agent for the coordinator and returns its address.
func (g *Group) find(ctx context.Context) (string, error) {
	g.mu.Lock()
	known := g.mu.coordinator
	g.mu.Unlock()
	if known != "" {
		return known, nil
	}
	err := errors.New("no agents")
	for _, a := range g.c.Agents {
		req := kmsg.NewPtrFindCoordinatorRequest()
		req.CoordinatorKeys = []string{g.name}
		var resp kmsg.Response
		short, cancel := context.WithTimeout(ctx, time.Second)
		resp, err = g.raw[a.Address].Do(short, req)
		cancel()
		if err != nil {
			continue
		}
		k := resp.(*kmsg.FindCoordinatorResponse).Coordinators[0]
		if err = kerr.ErrorForCode(k.ErrorCode); err != nil {
			continue
		}
		address := fmt.Sprintf("%s:%d", k.Host, k.Port)
		g.mu.Lock()
		g.mu.coordinator = address
		g.mu.Unlock()
		return address, nil
	}
	return "", err
}

// lost forgets a coordinator that did not answer or is none.
func (g *Group) lost(address string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.mu.coordinator == address {
		g.mu.coordinator = ""
	}
}

// Coordinator is the agent that coordinates the group.
func (g *Group) Coordinator() *cluster.Agent {
	g.t.Helper()
	g.lost(func() string { g.mu.Lock(); defer g.mu.Unlock(); return g.mu.coordinator }())
	deadline := time.Now().Add(time.Minute)
	for time.Now().Before(deadline) {
		address, err := g.find(g.ctx)
		i := slices.IndexFunc(g.c.Agents, func(a *cluster.Agent) bool { return a.Address == address })
		if err == nil && i >= 0 {
			return g.c.Agents[i]
		}
		time.Sleep(50 * time.Millisecond)
	}
	g.t.Fatal("no coordinator")
	return nil
}

// ask sends a request to the coordinator. Errors that mean another one make the next call look for it.
func (g *Group) ask(ctx context.Context, by clients, timeout time.Duration, req kmsg.Request, code func(kmsg.Response) int16) (kmsg.Response, error) {
	address, err := g.find(ctx)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	began := time.Now()
	resp, err := by[address].Do(ctx, req)
	if err == nil {
		err = kerr.ErrorForCode(code(resp))
	}
	if took := time.Since(began); err != nil || took > time.Second {
		g.note("%s to %s: %v after %v", kmsg.NameForKey(req.Key()), address, err, took.Round(time.Millisecond))
	}
	if err != nil && (errors.Is(err, kerr.NotCoordinator) || errors.Is(err, kerr.CoordinatorNotAvailable) || !isKafka(err)) {
		g.lost(address)
	}
	return resp, err
}

// note keeps what a failure is explained by: the last errors and waits, with their times.
func (g *Group) note(format string, args ...any) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.mu.notes = append(g.mu.notes, time.Now().Format("15:04:05.000 ")+fmt.Sprintf(format, args...))
	g.mu.notes = g.mu.notes[max(0, len(g.mu.notes)-60):]
}

// Notes are those of the last requests.
func (g *Group) Notes() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return strings.Join(g.mu.notes, "\n")
}

func isKafka(err error) bool {
	var k *kerr.Error
	return errors.As(err, &k)
}

// watch reads the committed offsets again and again: whatever answers, they do not go back.
func (g *Group) watch() {
	for g.ctx.Err() == nil {
		g.Committed()
		select {
		case <-time.After(100 * time.Millisecond):
		case <-g.ctx.Done():
		}
	}
}

// Committed reads the offsets and holds them against what was acknowledged and read before. False when nobody answered.
func (g *Group) Committed() bool {
	g.mu.Lock()
	floor := slices.Clone(g.mu.acked)
	for p, o := range g.mu.seen {
		floor[p] = max(floor[p], o)
	}
	g.mu.Unlock()
	req := kmsg.NewPtrOffsetFetchRequest()
	one := kmsg.NewOffsetFetchRequestGroup()
	one.Group, one.MemberEpoch = g.name, -1
	topic := kmsg.NewOffsetFetchRequestGroupTopic()
	topic.Topic, topic.TopicID = g.topic.Name, g.topic.ID
	for p := range g.topic.Partitions {
		topic.Partitions = append(topic.Partitions, p)
	}
	one.Topics = append(one.Topics, topic)
	req.Groups = append(req.Groups, one)
	resp, err := g.ask(g.ctx, g.raw, 2*time.Second, req, func(r kmsg.Response) int16 { return r.(*kmsg.OffsetFetchResponse).Groups[0].ErrorCode })
	if err != nil {
		return false
	}
	for _, p := range resp.(*kmsg.OffsetFetchResponse).Groups[0].Topics[0].Partitions {
		if p.ErrorCode != 0 {
			g.violation("offset of partition %d: %v", p.Partition, kerr.ErrorForCode(p.ErrorCode))
			continue
		}
		committed := max(p.Offset, 0)
		if committed < floor[p.Partition] {
			g.violation("the offset of partition %d went back from %d to %d", p.Partition, floor[p.Partition], p.Offset)
		}
		g.mu.Lock()
		g.mu.seen[p.Partition] = max(g.mu.seen[p.Partition], committed)
		g.mu.Unlock()
	}
	return true
}

// commit makes the next offsets of a member's partitions the group's, under its generation or epoch.
func (g *Group) commit(ctx context.Context, m *Member, generation int32, partitions []int32) error {
	if len(partitions) == 0 {
		return nil
	}
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Group, req.MemberID, req.Generation = g.name, m.id, generation
	topic := kmsg.NewOffsetCommitRequestTopic()
	topic.Topic, topic.TopicID = g.topic.Name, g.topic.ID
	sent := map[int32]int64{}
	for _, p := range partitions {
		g.mu.Lock()
		g.mu.next[p]++
		sent[p] = g.mu.next[p]
		g.mu.Unlock()
		x := kmsg.NewOffsetCommitRequestTopicPartition()
		x.Partition, x.Offset, x.LeaderEpoch = p, sent[p], -1
		topic.Partitions = append(topic.Partitions, x)
	}
	req.Topics = append(req.Topics, topic)
	_, err := g.ask(ctx, m.raw, 5*time.Second, req, func(r kmsg.Response) int16 {
		for _, p := range r.(*kmsg.OffsetCommitResponse).Topics[0].Partitions {
			if p.ErrorCode != 0 {
				return p.ErrorCode
			}
		}
		return 0
	})
	if err == nil {
		g.mu.Lock()
		for p, o := range sent {
			g.mu.acked[p] = max(g.mu.acked[p], o)
		}
		g.mu.Unlock()
	}
	return err
}
