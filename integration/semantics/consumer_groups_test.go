package semantics

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// modern is a member of the consumer protocol (KIP-848) on a connection of its own.
type modern struct {
	*client
	id, instance string
	epoch        int32
	rebalance    int32 // its timeout, in ms
	topics       []string
	owned        []kmsg.ConsumerGroupHeartbeatRequestTopic
}

func newModern(t *testing.T, n *node, id string, topics ...string) *modern {
	return &modern{client: dial(t, n), id: id, rebalance: 60_000, topics: topics}
}

func (m *modern) request() *kmsg.ConsumerGroupHeartbeatRequest {
	req := kmsg.NewPtrConsumerGroupHeartbeatRequest()
	req.Group, req.MemberID, req.MemberEpoch, req.Topics = "g", m.id, m.epoch, m.owned
	if m.instance != "" {
		req.InstanceID = &m.instance
	}
	if m.epoch == 0 {
		req.RebalanceTimeoutMillis, req.SubscribedTopicNames = m.rebalance, m.topics
		req.Topics = []kmsg.ConsumerGroupHeartbeatRequestTopic{}
	}
	if req.Topics == nil {
		req.Topics = []kmsg.ConsumerGroupHeartbeatRequestTopic{}
	}
	return req
}

func (m *modern) beat() *kmsg.ConsumerGroupHeartbeatResponse {
	m.t.Helper()
	resp := ask[*kmsg.ConsumerGroupHeartbeatResponse](m.client, 1, m.request())
	if resp.ErrorCode == 0 {
		m.epoch = resp.MemberEpoch
		if resp.Assignment != nil {
			m.owned = nil
			for _, t := range resp.Assignment.Topics {
				x := kmsg.NewConsumerGroupHeartbeatRequestTopic()
				x.TopicID, x.Partitions = t.TopicID, t.Partitions
				m.owned = append(m.owned, x)
			}
		}
	}
	return resp
}

func (m *modern) partitions() (n int) {
	for _, t := range m.owned {
		n += len(t.Partitions)
	}
	return n
}

var consumerSettings = settings{
	"kafka.group.consumer.session.timeout.ms": "15000", "kafka.group.consumer.heartbeat.interval.ms": "300",
}

// Semantics line 67: a join says that it owns nothing; -1 leaves for good, -2 for a while; who is fenced joins again
// with 0; a partition is never two members'; who does not give up in time is out; an assignment comes until it is
// confirmed.
func TestConsumerGroups(t *testing.T) {
	n := newCluster(t).start(t, consumerSettings)
	a, b := newModern(t, n, "a", "t"), newModern(t, n, "b", "t")
	b.rebalance = 2000 // it will not give up what it should
	create(a.client, "t", 4)

	bad := func(code int16, edit func(*kmsg.ConsumerGroupHeartbeatRequest)) {
		t.Helper()
		req := newModern(t, n, "x", "t").request()
		edit(req)
		require.Equal(t, code, ask[*kmsg.ConsumerGroupHeartbeatResponse](b.client, 1, req).ErrorCode)
	}
	owns := []kmsg.ConsumerGroupHeartbeatRequestTopic{{Partitions: []int32{0}}}
	bad(42, func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.Topics = nil })
	bad(42, func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.Topics = owns })
	bad(42, func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.SubscribedTopicNames = nil })
	bad(42, func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.RebalanceTimeoutMillis = -1 })
	bad(42, func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.MemberID = "" })
	bad(42, func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.MemberEpoch = -2 })
	bad(42, func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.MemberEpoch = -3 })
	bad(42, func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.Group = "" })
	bad(69, func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.MemberEpoch = 1 })
	bad(112, func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.ServerAssignor = kmsg.StringPtr("sticky") })
	bad(128, func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.SubscribedTopicRegex = kmsg.StringPtr("[") })

	require.Zero(t, a.beat().ErrorCode)
	require.Equal(t, 4, a.partitions())
	require.Zero(t, b.beat().ErrorCode)
	require.Zero(t, b.partitions(), "they are still a's")
	first := a.owned
	resp := a.beat()
	require.Equal(t, 2, a.partitions())
	require.EqualValues(t, 300, resp.HeartbeatIntervalMillis)
	told := a.owned
	a.owned = first
	require.Nil(t, a.beat().Assignment, "it still works on all of them")
	require.Zero(t, b.beat().ErrorCode)
	require.Zero(t, b.partitions())
	a.owned = told
	require.Zero(t, a.beat().ErrorCode)
	require.Zero(t, b.beat().ErrorCode)
	require.Equal(t, 2, b.partitions())

	// Who comes under another epoch is fenced, and may join again.
	a.epoch++
	require.EqualValues(t, 110, a.beat().ErrorCode)
	a.epoch = 0
	require.Zero(t, a.beat().ErrorCode)
	require.Equal(t, 2, a.partitions())

	require.EqualValues(t, 25, newModernAt(t, n, "nobody", 1).beat().ErrorCode)
	a.epoch = -1
	require.EqualValues(t, -1, a.beat().MemberEpoch)
	require.Zero(t, b.beat().ErrorCode)
	require.Equal(t, 4, b.partitions())

	// b keeps what it should give up: after its rebalance timeout it is out, although it is heard of.
	c := newModern(t, n, "c", "t")
	all := append([]kmsg.ConsumerGroupHeartbeatRequestTopic(nil), b.owned...)
	require.Zero(t, c.beat().ErrorCode)
	deadline := time.Now().Add(patience)
	for c.partitions() < 4 && time.Now().Before(deadline) {
		b.owned = all
		b.beat()
		require.Zero(t, c.beat().ErrorCode)
		time.Sleep(100 * time.Millisecond)
	}
	require.Equal(t, 4, c.partitions())
	require.EqualValues(t, 25, b.beat().ErrorCode)
}

func newModernAt(t *testing.T, n *node, id string, epoch int32) *modern {
	m := newModern(t, n, id, "t")
	m.epoch = epoch
	return m
}

// Semantics line 67: static members leave for a while (-2) and their successors go on; two at once are refused (111), and
// the one before is fenced (82).
func TestStaticConsumers(t *testing.T) {
	n := newCluster(t).start(t, consumerSettings)
	a, b := newModern(t, n, "a", "t"), newModern(t, n, "b", "t")
	a.instance, b.instance = "i", "i"
	create(a.client, "t", 2)
	require.Zero(t, a.beat().ErrorCode)
	require.EqualValues(t, 111, b.beat().ErrorCode)
	a.epoch = -2
	require.EqualValues(t, -2, a.beat().MemberEpoch)
	require.Zero(t, b.beat().ErrorCode)
	require.Equal(t, 2, b.partitions())
	a.epoch = b.epoch
	require.EqualValues(t, 82, a.beat().ErrorCode)
}

// Semantics line 68: a group with members keeps its protocol; DescribeGroups and ConsumerGroupDescribe know their own.
func TestProtocolsOfGroups(t *testing.T) {
	n := newCluster(t).start(t, groupSettings)
	a := newModern(t, n, "a", "t")
	create(a.client, "t", 2)
	m := newMember(t, n, "g")
	require.Zero(t, m.enter()().ErrorCode)
	require.EqualValues(t, 69, a.beat().ErrorCode)
	describe := kmsg.NewPtrConsumerGroupDescribeRequest()
	describe.Groups = []string{"g", "none"}
	for _, g := range ask[*kmsg.ConsumerGroupDescribeResponse](a.client, 1, describe).Groups {
		require.EqualValues(t, 69, g.ErrorCode, g.Group)
	}
	leave := kmsg.NewPtrLeaveGroupRequest()
	leave.Group = "g"
	leaver := kmsg.NewLeaveGroupRequestMember()
	leaver.MemberID = m.id
	leave.Members = append(leave.Members, leaver)
	require.Zero(t, ask[*kmsg.LeaveGroupResponse](m.client, 5, leave).ErrorCode)

	require.Zero(t, a.beat().ErrorCode)
	require.EqualValues(t, 23, newMember(t, n, "g").enter()().ErrorCode)
	g := ask[*kmsg.ConsumerGroupDescribeResponse](a.client, 1, describe).Groups[0]
	require.Zero(t, g.ErrorCode)
	require.Equal(t, "Stable", g.State)
	require.Equal(t, "uniform", g.AssignorName)
	require.Len(t, g.Members, 1)
	require.Equal(t, a.epoch, g.Members[0].MemberEpoch)
	require.Equal(t, []string{"t"}, g.Members[0].SubscribedTopics)
	require.Equal(t, []int32{0, 1}, g.Members[0].Assignment.TopicPartitions[0].Partitions)
	require.Equal(t, g.Members[0].Assignment, g.Members[0].TargetAssignment)
}
