package semantics

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// groupSettings let a test see timeouts pass.
var groupSettings = settings{
	"kafka.group.initial.rebalance.delay.ms": "0",
	"kafka.group.min.session.timeout.ms":     "200",
	"kafka.group.max.size":                   "3",
}

// member is a group member of the classic protocol on a connection of its own.
type member struct {
	*client
	group, id, instance string
	generation          int32
	leader              bool
	protocols           []kmsg.JoinGroupRequestProtocol
	session, rebalance  time.Duration
	version             int16
	members             []kmsg.JoinGroupResponseMember // what a leader was told
}

func newMember(t *testing.T, n *node, group string) *member {
	return &member{
		client: dial(t, n), group: group, session: 30 * time.Second, rebalance: 30 * time.Second, version: 9, generation: -1,
		protocols: protocols("range", "mine"),
	}
}

// protocols are given as name, metadata, name, metadata.
func protocols(pairs ...string) (list []kmsg.JoinGroupRequestProtocol) {
	for i := 0; i < len(pairs); i += 2 {
		p := kmsg.NewJoinGroupRequestProtocol()
		p.Name, p.Metadata = pairs[i], []byte(pairs[i+1])
		list = append(list, p)
	}
	return list
}

func (m *member) joinRequest() *kmsg.JoinGroupRequest {
	req := kmsg.NewPtrJoinGroupRequest()
	req.SetVersion(m.version)
	req.Group, req.MemberID, req.ProtocolType, req.Protocols = m.group, m.id, "consumer", m.protocols
	req.SessionTimeoutMillis, req.RebalanceTimeoutMillis = int32(m.session.Milliseconds()), int32(m.rebalance.Milliseconds())
	if m.instance != "" {
		req.InstanceID = &m.instance
	}
	return req
}

// join sends a JoinGroup; joined waits for its answer.
func (m *member) join() (joined func() *kmsg.JoinGroupResponse) {
	req := m.joinRequest()
	id := m.send(req)
	return func() *kmsg.JoinGroupResponse {
		m.t.Helper()
		resp := receive[*kmsg.JoinGroupResponse](m.client, id, req)
		if resp.ErrorCode == 0 || resp.ErrorCode == 79 {
			m.id, m.generation = resp.MemberID, resp.Generation
			m.leader, m.members = resp.LeaderID == resp.MemberID, resp.Members
		}
		return resp
	}
}

// enter gets an id first (KIP-394).
func (m *member) enter() (joined func() *kmsg.JoinGroupResponse) {
	m.t.Helper()
	require.EqualValues(m.t, 79, m.join()().ErrorCode)
	return m.join()
}

func (m *member) syncRequest() *kmsg.SyncGroupRequest {
	req := kmsg.NewPtrSyncGroupRequest()
	req.SetVersion(4)
	req.Group, req.MemberID, req.Generation = m.group, m.id, m.generation
	if m.instance != "" {
		req.InstanceID = &m.instance
	}
	for _, x := range m.members {
		a := kmsg.NewSyncGroupRequestGroupAssignment()
		a.MemberID, a.MemberAssignment = x.MemberID, []byte(fmt.Sprintf("%d for %s", m.generation, x.MemberID))
		req.GroupAssignment = append(req.GroupAssignment, a)
	}
	return req
}

func (m *member) sync() *kmsg.SyncGroupResponse {
	m.t.Helper()
	req := m.syncRequest()
	return receive[*kmsg.SyncGroupResponse](m.client, m.send(req), req)
}

func (m *member) heartbeat() int16 {
	m.t.Helper()
	req := kmsg.NewPtrHeartbeatRequest()
	req.Group, req.MemberID, req.Generation = m.group, m.id, m.generation
	if m.instance != "" {
		req.InstanceID = &m.instance
	}
	return ask[*kmsg.HeartbeatResponse](m.client, 4, req).ErrorCode
}

// rebalances waits until the coordinator has taken somebody else's join: joins on two connections overtake each other.
func (m *member) rebalances() {
	m.t.Helper()
	eventually(m.t, "a rebalance", func() bool { return m.heartbeat() == 27 })
}

// alone enters a group that nobody else is in, and gets its assignment.
func (m *member) alone() {
	m.t.Helper()
	if m.instance != "" {
		require.Zero(m.t, m.join()().ErrorCode)
	} else {
		require.Zero(m.t, m.enter()().ErrorCode)
	}
	require.Zero(m.t, m.sync().ErrorCode)
}

// leave takes members out; the answer has a code for each.
func leave(c *client, group string, members ...kmsg.LeaveGroupRequestMember) (codes []int16) {
	c.t.Helper()
	req := kmsg.NewPtrLeaveGroupRequest()
	req.Group, req.Members = group, members
	resp := ask[*kmsg.LeaveGroupResponse](c, 5, req)
	require.Zero(c.t, resp.ErrorCode)
	for _, m := range resp.Members {
		codes = append(codes, m.ErrorCode)
	}
	return codes
}

func leaver(id, instance string) kmsg.LeaveGroupRequestMember {
	m := kmsg.NewLeaveGroupRequestMember()
	m.MemberID = id
	if instance != "" {
		m.InstanceID = &instance
	}
	return m
}

func describeGroup(c *client, version int16, group string) kmsg.DescribeGroupsResponseGroup {
	c.t.Helper()
	req := kmsg.NewPtrDescribeGroupsRequest()
	req.Groups = []string{group}
	resp := ask[*kmsg.DescribeGroupsResponse](c, version, req)
	require.Len(c.t, resp.Groups, 1)
	return resp.Groups[0]
}

// commitRequest commits one offset, from outside of the group.
func commitRequest(group string, to topic, partition int32, offset int64) *kmsg.OffsetCommitRequest {
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Group, req.Generation = group, -1
	in := kmsg.NewOffsetCommitRequestTopic()
	in.Topic, in.TopicID = to.name, to.id
	p := kmsg.NewOffsetCommitRequestTopicPartition()
	p.Partition, p.Offset = partition, offset
	in.Partitions = append(in.Partitions, p)
	req.Topics = append(req.Topics, in)
	return req
}

// as lets a member commit.
func (m *member) as(req *kmsg.OffsetCommitRequest) *kmsg.OffsetCommitRequest {
	req.MemberID, req.Generation = m.id, m.generation
	if m.instance != "" {
		req.InstanceID = &m.instance
	}
	return req
}

func commit(c *client, version int16, req *kmsg.OffsetCommitRequest) int16 {
	c.t.Helper()
	resp := ask[*kmsg.OffsetCommitResponse](c, version, req)
	require.Len(c.t, resp.Topics, 1)
	require.Len(c.t, resp.Topics[0].Partitions, 1)
	return resp.Topics[0].Partitions[0].ErrorCode
}

// committed reads the offset of one partition.
func committed(c *client, group string, of topic, partition int32) kmsg.OffsetFetchResponseGroupTopicPartition {
	c.t.Helper()
	resp := ask[*kmsg.OffsetFetchResponse](c, 8, fetchOffsets(group, []int32{partition}, of))
	require.Len(c.t, resp.Groups, 1)
	require.Zero(c.t, resp.Groups[0].ErrorCode)
	require.Len(c.t, resp.Groups[0].Topics, 1)
	require.Len(c.t, resp.Groups[0].Topics[0].Partitions, 1)
	return resp.Groups[0].Topics[0].Partitions[0]
}

func fetchOffsets(group string, partitions []int32, topics ...topic) *kmsg.OffsetFetchRequest {
	req := kmsg.NewPtrOffsetFetchRequest()
	g := kmsg.NewOffsetFetchRequestGroup()
	g.Group = group
	for _, to := range topics {
		in := kmsg.NewOffsetFetchRequestGroupTopic()
		in.Topic, in.TopicID, in.Partitions = to.name, to.id, partitions
		g.Topics = append(g.Topics, in)
	}
	req.Groups = append(req.Groups, g)
	return req
}
