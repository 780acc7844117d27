package delay_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"wadi/integration/cluster"
	"wadi/integration/delay"
	"wadi/integration/rawbatch"
)

// versions are those of a client before KIP-890's second part (tv 1), or since (tv 2).
func versions(tv int) *kversion.Versions {
	v := kversion.Stable()
	if tv == 1 {
		v.SetMaxKeyVersion(int16(kmsg.Produce), 11)
		v.SetMaxKeyVersion(int16(kmsg.EndTxn), 4)
		v.SetMaxKeyVersion(int16(kmsg.TxnOffsetCommit), 4)
		v.SetMaxKeyVersion(int16(kmsg.AddOffsetsToTxn), 3)
	}
	v.SetMaxKeyVersion(int16(kmsg.AddPartitionsToTxn), 3) // above are brokers
	return v
}

// producer sends each request of a transactional producer once, where it is told to, and believes what it is answered.
type producer struct {
	t     *testing.T
	tv    int
	id    string
	group string
	topic cluster.Topic
	rules *delay.Rules
	// agents are the connections, coordinator the index of the one that coordinates the id.
	agents      []*kgo.Client
	coordinator int

	pid   int64
	epoch int16
	next  [2]int32 // sequences of the partitions
}

// newProducer has a topic of two partitions, a group and a transactional id of its own.
func newProducer(t *testing.T, c *cluster.Cluster, rules *delay.Rules, tv int, name string) *producer {
	t.Helper()
	topic, err := cluster.NewRaw(t, c.Agents[0]).Make(within(t), name, 2)
	require.NoError(t, err)
	p := &producer{t: t, tv: tv, id: name, group: name, topic: topic, rules: rules}
	for _, a := range c.Agents {
		client, err := kgo.NewClient(kgo.SeedBrokers(a.Address), kgo.RequestRetries(3), kgo.MaxVersions(versions(tv)),
			kgo.DialTimeout(10*time.Second), kgo.RequestTimeoutOverhead(patience))
		require.NoError(t, err)
		t.Cleanup(client.Close)
		p.agents = append(p.agents, client)
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		p.coordinator = p.find(c)
		code := p.initialize()
		if code == 0 {
			return p
		}
		require.Equal(t, kerr.NotCoordinator.Code, code)
		require.True(t, time.Now().Before(deadline), "nobody coordinates the id for long")
	}
}

// find asks for the coordinator until one of the agents is.
func (p *producer) find(c *cluster.Cluster) int {
	p.t.Helper()
	req := kmsg.NewPtrFindCoordinatorRequest()
	req.CoordinatorType, req.CoordinatorKeys = 1, []string{p.id}
	for ctx := within(p.t); ; time.Sleep(20 * time.Millisecond) {
		require.NoError(p.t, ctx.Err(), "nobody coordinates %s", p.id)
		for i := range p.agents {
			resp, err := p.ask(ctx, i, req)
			if err != nil {
				continue
			}
			got := resp.(*kmsg.FindCoordinatorResponse).Coordinators[0]
			for j, a := range c.Agents {
				if got.ErrorCode == 0 && a.Address == fmt.Sprintf("%s:%d", got.Host, got.Port) {
					return j
				}
			}
		}
	}
}

// ask sends a request, again if its connection turns out to be gone.
func (p *producer) ask(ctx context.Context, agent int, req kmsg.Request) (kmsg.Response, error) {
	return p.agents[agent].SeedBrokers()[0].RetriableRequest(ctx, req)
}

// once sends a request and does not send it again.
func (p *producer) once(ctx context.Context, s sent) error {
	_, err := p.agents[s.agent].SeedBrokers()[0].Request(ctx, s.req)
	return err
}

// start asks for a new epoch.
func (p *producer) start() sent {
	req := kmsg.NewPtrInitProducerIDRequest()
	req.TransactionalID, req.TransactionTimeoutMillis, req.ProducerID, req.ProducerEpoch = &p.id, 60_000, -1, -1
	return sent{agent: p.coordinator, req: req, done: func(r kmsg.Response) {
		got := r.(*kmsg.InitProducerIDResponse)
		p.became(got.ProducerID, got.ProducerEpoch)
	}}
}

// initialize starts the producer and returns the answer's code.
func (p *producer) initialize() int16 {
	p.t.Helper()
	code, err := p.try(p.start())
	require.NoError(p.t, err)
	return code
}

func (p *producer) became(pid int64, epoch int16) {
	if p.pid != pid || p.epoch != epoch {
		p.pid, p.epoch, p.next = pid, epoch, [2]int32{}
	}
}

// sent is one request of a producer, as it can be sent again.
type sent struct {
	agent int
	req   kmsg.Request
	done  func(kmsg.Response) // what the producer takes from a success
}

func (p *producer) register(partitions ...int32) sent {
	req := kmsg.NewPtrAddPartitionsToTxnRequest()
	req.TransactionalID, req.ProducerID, req.ProducerEpoch = p.id, p.pid, p.epoch
	in := kmsg.NewAddPartitionsToTxnRequestTopic()
	in.Topic, in.Partitions = p.topic.Name, partitions
	req.Topics = append(req.Topics, in)
	return sent{agent: p.coordinator, req: req}
}

func (p *producer) addGroup() sent {
	req := kmsg.NewPtrAddOffsetsToTxnRequest()
	req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Group = p.id, p.pid, p.epoch, p.group
	return sent{agent: p.coordinator, req: req}
}

// position commits the group's position in partition 0.
func (p *producer) position(offset int64) sent {
	req := kmsg.NewPtrTxnOffsetCommitRequest()
	req.TransactionalID, req.ProducerID, req.ProducerEpoch = p.id, p.pid, p.epoch
	req.Group, req.Generation = p.group, -1
	in := kmsg.NewTxnOffsetCommitRequestTopic()
	in.Topic = p.topic.Name
	one := kmsg.NewTxnOffsetCommitRequestTopicPartition()
	one.Offset = offset
	in.Partitions = append(in.Partitions, one)
	req.Topics = append(req.Topics, in)
	return sent{agent: p.groupCoordinator(), req: req}
}

// groupCoordinator is the agent that coordinates the producer's group.
func (p *producer) groupCoordinator() int {
	p.t.Helper()
	req := kmsg.NewPtrFindCoordinatorRequest()
	req.CoordinatorKeys = []string{p.group}
	resp, err := p.ask(within(p.t), p.coordinator, req)
	require.NoError(p.t, err)
	got := resp.(*kmsg.FindCoordinatorResponse).Coordinators[0]
	require.Zero(p.t, got.ErrorCode)
	for i, a := range p.agents {
		if a.OptValue(kgo.SeedBrokers).([]string)[0] == fmt.Sprintf("%s:%d", got.Host, got.Port) {
			return i
		}
	}
	p.t.Fatal("the group's coordinator is none of the agents")
	return 0
}

// write produces a value through the agent.
func (p *producer) write(agent int, partition int32, value string) sent {
	req := kmsg.NewPtrProduceRequest()
	req.TransactionID, req.Acks, req.TimeoutMillis = &p.id, -1, 60_000
	topic, part := kmsg.NewProduceRequestTopic(), kmsg.NewProduceRequestTopicPartition()
	topic.Topic, topic.TopicID = p.topic.Name, p.topic.ID
	part.Partition = partition
	part.Records = rawbatch.Of(time.Now().UnixMilli(), func(b *kmsg.RecordBatch) {
		b.ProducerID, b.ProducerEpoch, b.FirstSequence, b.Attributes = p.pid, p.epoch, p.next[partition], 0x10
	}, rawbatch.Values(value)...)
	topic.Partitions = append(topic.Partitions, part)
	req.Topics = append(req.Topics, topic)
	return sent{agent: agent, req: req, done: func(kmsg.Response) { p.next[partition]++ }}
}

func (p *producer) end(commit bool) sent {
	req := kmsg.NewPtrEndTxnRequest()
	req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Commit = p.id, p.pid, p.epoch, commit
	return sent{agent: p.coordinator, req: req, done: func(r kmsg.Response) {
		if got := r.(*kmsg.EndTxnResponse); p.tv == 2 {
			p.became(got.ProducerID, got.ProducerEpoch)
		}
	}}
}

// codeOf is the first code of an answer that is none of success.
func codeOf(resp kmsg.Response) int16 {
	var codes []int16
	switch resp := resp.(type) {
	case *kmsg.EndTxnResponse:
		codes = append(codes, resp.ErrorCode)
	case *kmsg.InitProducerIDResponse:
		codes = append(codes, resp.ErrorCode)
	case *kmsg.AddOffsetsToTxnResponse:
		codes = append(codes, resp.ErrorCode)
	case *kmsg.AddPartitionsToTxnResponse:
		for _, t := range resp.Topics {
			for _, p := range t.Partitions {
				codes = append(codes, p.ErrorCode)
			}
		}
	case *kmsg.TxnOffsetCommitResponse:
		for _, t := range resp.Topics {
			for _, p := range t.Partitions {
				codes = append(codes, p.ErrorCode)
			}
		}
	case *kmsg.ProduceResponse:
		for _, t := range resp.Topics {
			for _, p := range t.Partitions {
				codes = append(codes, p.ErrorCode)
			}
		}
	}
	for _, c := range codes {
		if c != 0 {
			return c
		}
	}
	return 0
}

// try sends it and returns the answer's code; an error when there was no answer.
func (p *producer) try(s sent) (int16, error) {
	resp, err := p.ask(within(p.t), s.agent, s.req)
	if err != nil {
		return 0, err
	}
	if codeOf(resp) == 0 && s.done != nil {
		s.done(resp)
	}
	return codeOf(resp), nil
}

// do must succeed, at once or when it is asked again after what clients ask again after.
func (p *producer) do(list ...sent) {
	p.t.Helper()
	for _, s := range list {
		code := p.settled(s)
		require.Zero(p.t, code, "%T: %v", s.req, kerr.ErrorForCode(code))
	}
}

// again are what coordinators say that do not know yet what another agent has just answered, and what agents say for a
// while after one of them came or went.
var again = []int16{kerr.CoordinatorNotAvailable.Code, kerr.NotCoordinator.Code, kerr.NotLeaderForPartition.Code}

// fails must be answered with the code, at once or as do is.
func (p *producer) fails(code int16, s sent) {
	p.t.Helper()
	got := p.settled(s)
	require.Equal(p.t, code, got, "%T: %v", s.req, kerr.ErrorForCode(got))
}

// settled is the code of an answer that clients do not ask again after, or of the last one after a long time.
func (p *producer) settled(s sent) int16 {
	p.t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		code, err := p.try(s)
		require.NoError(p.t, err)
		if !slices.Contains(again, code) || time.Now().After(deadline) {
			return code
		}
	}
}

// hold sends it, has the proxy keep it, and takes the connection from the producer. What is kept is the agent's to see
// when the catch is released.
func (p *producer) hold(s sent) *delay.Catch {
	p.t.Helper()
	return p.lose(s, p.rules.Hold(delay.Transactional(p.id, kmsg.Key(s.req.Key()))))
}

// unheard sends it and has the proxy keep the answer from the producer.
func (p *producer) unheard(s sent) *delay.Catch {
	p.t.Helper()
	return p.lose(s, p.rules.HoldReply(delay.Transactional(p.id, kmsg.Key(s.req.Key()))))
}

func (p *producer) lose(s sent, c *delay.Catch) *delay.Catch {
	p.t.Helper()
	answered := make(chan error, 1)
	go func() { answered <- p.once(within(p.t), s) }()
	_, err := c.Wait(within(p.t))
	require.NoError(p.t, err)
	c.Cut()
	require.Error(p.t, <-answered, "it was answered although its connection is gone")
	return c
}

// arrives lets what is held through and returns the code that it is answered with.
func (p *producer) arrives(c *delay.Catch) int16 {
	p.t.Helper()
	resp, err := c.Release(within(p.t))
	require.NoError(p.t, err)
	return codeOf(resp)
}
