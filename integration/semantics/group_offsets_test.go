package semantics

import (
	"net"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Semantics line 61: who may commit what, and when.
func TestOffsetCommit(t *testing.T) {
	n := newCluster(t).start(t, groupSettings)
	c := dial(t, n)
	to := create(c, "committed", 2)
	for version := int16(2); version <= 10; version++ {
		require.Zero(t, commit(c, version, commitRequest("nobody's", to, 1, 10+int64(version))), "version %d", version)
	}
	require.EqualValues(t, 20, committed(c, "nobody's", to, 1).Offset)

	for name, refused := range map[string]struct {
		code    int16
		version int16
		edit    func(*kmsg.OffsetCommitRequest)
	}{
		"no such topic":      {3, 9, func(r *kmsg.OffsetCommitRequest) { r.Topics[0].Topic = "other" }},
		"no such partition":  {3, 9, func(r *kmsg.OffsetCommitRequest) { r.Topics[0].Partitions[0].Partition = 2 }},
		"negative partition": {3, 9, func(r *kmsg.OffsetCommitRequest) { r.Topics[0].Partitions[0].Partition = -1 }},
		"no such id":         {100, 10, func(r *kmsg.OffsetCommitRequest) { r.Topics[0].TopicID[0] ^= 1 }},
		"metadata too large": {12, 9, func(r *kmsg.OffsetCommitRequest) {
			r.Topics[0].Partitions[0].Metadata = kmsg.StringPtr(strings.Repeat("x", 4097))
		}},
		"unknown group, old":  {22, 8, func(r *kmsg.OffsetCommitRequest) { r.Group, r.Generation, r.MemberID = "no group", 1, "m" }},
		"unknown group":       {69, 9, func(r *kmsg.OffsetCommitRequest) { r.Group, r.Generation, r.MemberID = "no group", 1, "m" }},
		"a member of nothing": {25, 9, func(r *kmsg.OffsetCommitRequest) { r.Generation, r.MemberID = 1, "m" }},
	} {
		req := commitRequest("nobody's", to, 0, 5)
		refused.edit(req)
		require.Equal(t, refused.code, commit(c, refused.version, req), name)
	}
	require.EqualValues(t, -1, committed(c, "nobody's", to, 0).Offset, "a refused commit did nothing")

	// One bad partition spoils nothing for the others.
	req := commitRequest("nobody's", to, 0, 7)
	bad := req.Topics[0].Partitions[0]
	bad.Partition = 9
	req.Topics[0].Partitions = append(req.Topics[0].Partitions, bad)
	resp := ask[*kmsg.OffsetCommitResponse](c, 9, req)
	require.Zero(t, resp.Topics[0].Partitions[0].ErrorCode)
	require.EqualValues(t, 3, resp.Topics[0].Partitions[1].ErrorCode)
	largest := strings.Repeat("x", 4096)
	req = commitRequest("nobody's", to, 0, 8)
	req.Topics[0].Partitions[0].Metadata, req.Topics[0].Partitions[0].LeaderEpoch = &largest, 3
	require.Zero(t, commit(c, 9, req))
	got := committed(c, "nobody's", to, 0)
	require.Equal(t, largest, text(got.Metadata))
	require.EqualValues(t, 3, got.LeaderEpoch)

	// In a group with members, only they commit, in their generation, and not before they have an assignment.
	m := newMember(t, n, "g")
	require.Zero(t, m.enter()().ErrorCode)
	require.EqualValues(t, 27, commit(c, 9, m.as(commitRequest("g", to, 0, 1))))
	require.Zero(t, m.sync().ErrorCode)
	require.Zero(t, commit(c, 9, m.as(commitRequest("g", to, 0, 1))))
	require.EqualValues(t, 25, commit(c, 9, commitRequest("g", to, 0, 2)), "somebody from outside")
	late := m.as(commitRequest("g", to, 0, 3))
	late.Generation--
	require.EqualValues(t, 22, commit(c, 9, late))
	joining := newMember(t, n, "g").enter()
	m.rebalances()
	require.Zero(t, commit(c, 9, m.as(commitRequest("g", to, 0, 4))), "while others join")
	require.EqualValues(t, 4, committed(c, "g", to, 0).Offset)
	again := m.join()
	joining()
	again()
}

// A commit is there for whoever asks after it was acknowledged, whichever agent coordinates by then (I12).
func TestCommitsSurviveTheirCoordinator(t *testing.T) {
	cl := newCluster(t)
	a, b := cl.start(t, groupSettings), cl.start(t, groupSettings)
	c := dial(t, a)
	to := create(c, "t", 1)
	group := coordinatedBy(t, c, a, "g")
	m := newMember(t, a, group)
	m.alone()
	require.Zero(t, commit(c, 9, m.as(commitRequest(group, to, 0, 42))))
	require.NoError(t, a.stop())
	// The member goes on at the other agent: no rebalance, the same generation.
	d := dial(t, b)
	moved := *m
	moved.client = d
	eventually(t, "the other agent coordinates", func() bool { return moved.heartbeat() == 0 })
	require.EqualValues(t, 42, committed(d, group, to, 0).Offset)
	require.Zero(t, commit(d, 9, moved.as(commitRequest(group, to, 0, 43))))
	require.Equal(t, "1 for "+m.id, string(moved.sync().MemberAssignment))
}

// Semantics lines 62, 63.
func TestOffsetFetch(t *testing.T) {
	n := newCluster(t).start(t, groupSettings)
	c := dial(t, n)
	x, y := create(c, "x", 2), create(c, "y", 1)
	require.Zero(t, commit(c, 9, commitRequest("g", x, 1, 5)))
	require.Zero(t, commit(c, 9, commitRequest("g", y, 0, 6)))

	// What was never committed is offset -1 without an error, so that auto.offset.reset decides (Regression R10).
	for _, group := range []string{"g", "unheard of"} {
		p := committed(c, group, x, 0)
		require.EqualValues(t, -1, p.Offset)
		require.EqualValues(t, -1, p.LeaderEpoch)
		require.Zero(t, p.ErrorCode)
		require.Equal(t, "", *p.Metadata)
	}
	for version := int16(1); version <= 7; version++ {
		req := kmsg.NewPtrOffsetFetchRequest()
		req.Group = "g"
		in := kmsg.NewOffsetFetchRequestTopic()
		in.Topic, in.Partitions = "x", []int32{1, 0}
		req.Topics = append(req.Topics, in)
		resp := ask[*kmsg.OffsetFetchResponse](c, version, req)
		require.Zero(t, resp.ErrorCode)
		require.EqualValues(t, 5, resp.Topics[0].Partitions[0].Offset, "version %d", version)
		require.EqualValues(t, -1, resp.Topics[0].Partitions[1].Offset)
		if version >= 2 { // null topics ask for all
			req.Topics = nil
			require.Len(t, ask[*kmsg.OffsetFetchResponse](c, version, req).Topics, 2)
		}
	}

	// Several groups in one request, each with its own answer, in their order.
	req := fetchOffsets("g", []int32{0, 1}, x)
	req.Groups = append(req.Groups, fetchOffsets("unheard of", []int32{0}, x).Groups[0], fetchOffsets("g", nil).Groups[0])
	req.RequireStable = true
	resp := ask[*kmsg.OffsetFetchResponse](c, 9, req)
	require.Len(t, resp.Groups, 3)
	require.Equal(t, "g", resp.Groups[0].Group)
	require.EqualValues(t, 5, resp.Groups[0].Topics[0].Partitions[1].Offset)
	require.Equal(t, "unheard of", resp.Groups[1].Group)
	require.EqualValues(t, -1, resp.Groups[1].Topics[0].Partitions[0].Offset)
	require.Len(t, resp.Groups[2].Topics, 2, "null topics ask for all")

	// Version 10 names topics by id.
	resp = ask[*kmsg.OffsetFetchResponse](c, 10, fetchOffsets("g", []int32{1}, x))
	require.Equal(t, x.id, resp.Groups[0].Topics[0].TopicID)
	require.EqualValues(t, 5, resp.Groups[0].Topics[0].Partitions[0].Offset)
	unknown := x
	unknown.id[3] ^= 1
	resp = ask[*kmsg.OffsetFetchResponse](c, 10, fetchOffsets("g", []int32{1}, unknown))
	require.EqualValues(t, 100, resp.Groups[0].Topics[0].Partitions[0].ErrorCode)
}

// Semantics line 91: a topic that is made anew has none of the old one's committed offsets.
func TestOffsetsOfARecreatedTopic(t *testing.T) {
	n := newCluster(t).start(t, groupSettings)
	c := dial(t, n)
	old := create(c, "t", 1)
	require.Zero(t, commit(c, 9, commitRequest("g", old, 0, 5)))
	remove(c, "t")
	again := create(c, "t", 1)
	require.EqualValues(t, -1, committed(c, "g", again, 0).Offset)
	require.EqualValues(t, 100, commit(c, 10, commitRequest("g", old, 0, 6)), "a commit for the old one's id")
	require.Empty(t, ask[*kmsg.OffsetFetchResponse](c, 8, fetchOffsets("g", nil)).Groups[0].Topics)
}

// coordinatedBy is a name that makes n the group's coordinator.
func coordinatedBy(t *testing.T, c *client, n *node, prefix string) string {
	t.Helper()
	for i := range 1000 {
		name := prefix + strings.Repeat("'", i)
		req := kmsg.NewPtrFindCoordinatorRequest()
		req.CoordinatorKeys = []string{name}
		resp := ask[*kmsg.FindCoordinatorResponse](c, 4, req)
		if got := resp.Coordinators[0]; got.ErrorCode == 0 && net.JoinHostPort(got.Host, strconv.Itoa(int(got.Port))) == n.addr {
			return name
		}
	}
	t.Fatal("the agent coordinates nothing")
	return ""
}

// Semantics line 64: all agents name the same coordinator, and the others send a group's members away.
func TestCoordinators(t *testing.T) {
	cl := newCluster(t)
	nodes := []*node{cl.start(t, groupSettings), cl.start(t, groupSettings)}
	clients := []*client{dial(t, nodes[0]), dial(t, nodes[1])}
	eventually(t, "both agents know of each other", func() bool {
		for _, c := range clients {
			if len(ask[*kmsg.MetadataResponse](c, 12, metadataRequest(false)).Brokers) != 2 {
				return false
			}
		}
		return true
	})
	to := create(clients[0], "t", 1)
	keys := []string{"a", "b", "c", "d", "e", "f", "g", "h"}
	where := map[string]int32{}
	hosts := map[int32]bool{}
	for _, c := range clients {
		req := kmsg.NewPtrFindCoordinatorRequest()
		req.CoordinatorKeys = keys
		resp := ask[*kmsg.FindCoordinatorResponse](c, 6, req)
		require.Len(t, resp.Coordinators, len(keys))
		for i, x := range resp.Coordinators {
			require.Equal(t, keys[i], x.Key)
			require.Zero(t, x.ErrorCode)
			if _, known := where[x.Key]; !known {
				where[x.Key] = x.NodeID
			}
			require.Equal(t, where[x.Key], x.NodeID)
			hosts[x.NodeID] = true

			// One by one, before there were batches.
			one := kmsg.NewPtrFindCoordinatorRequest()
			one.CoordinatorKey = x.Key
			require.Equal(t, x.NodeID, ask[*kmsg.FindCoordinatorResponse](c, 3, one).NodeID)
		}
	}
	require.Len(t, hosts, 2, "both agents coordinate something")
	bad := kmsg.NewPtrFindCoordinatorRequest()
	bad.CoordinatorType, bad.CoordinatorKeys = 3, keys[:1]
	require.EqualValues(t, 42, ask[*kmsg.FindCoordinatorResponse](clients[0], 6, bad).Coordinators[0].ErrorCode)

	group := coordinatedBy(t, clients[0], nodes[1], "g")
	m := newMember(t, nodes[0], group)
	eventually(t, "the other agent sends members away", func() bool { return m.join()().ErrorCode == 16 })
	require.EqualValues(t, 16, m.heartbeat())
	require.EqualValues(t, 16, m.sync().ErrorCode)
	require.EqualValues(t, 16, commit(clients[0], 9, commitRequest(group, to, 0, 1)))
	require.EqualValues(t, 16, describeGroup(clients[0], 5, group).ErrorCode)
	require.EqualValues(t, 16, ask[*kmsg.OffsetFetchResponse](clients[0], 8, fetchOffsets(group, nil)).Groups[0].ErrorCode)
	req := kmsg.NewPtrOffsetFetchRequest()
	req.Group, req.Topics = group, []kmsg.OffsetFetchRequestTopic{{Topic: "t", Partitions: []int32{0}}}
	resp := ask[*kmsg.OffsetFetchResponse](clients[0], 1, req)
	require.EqualValues(t, 16, resp.Topics[0].Partitions[0].ErrorCode, "version 1 has no other place for it")
	require.EqualValues(t, 16, ask[*kmsg.OffsetFetchResponse](clients[0], 5, req).ErrorCode)
}

// Semantics line 65.
func TestAdministeringGroups(t *testing.T) {
	n := newCluster(t).start(t, groupSettings)
	c := dial(t, n)
	x, y := create(c, "x", 1), create(c, "y", 1)
	for version, code := range map[int16]int16{0: 0, 5: 0, 6: 69} {
		g := describeGroup(c, version, "unheard of")
		require.Equal(t, "Dead", g.State)
		require.Equal(t, code, g.ErrorCode, "version %d", version)
	}
	m := newMember(t, n, "g")
	subscription := kmsg.NewConsumerMemberMetadata()
	subscription.Topics = []string{"x"}
	m.protocols = protocols("range", string(subscription.AppendTo(nil)))
	m.alone()
	require.Zero(t, commit(c, 9, m.as(commitRequest("g", x, 0, 1))))
	require.Zero(t, commit(c, 9, m.as(commitRequest("g", y, 0, 2))))
	d := describeGroup(c, 5, "g")
	require.Equal(t, "Stable", d.State)
	require.Equal(t, "consumer", d.ProtocolType)
	require.Equal(t, "range", d.Protocol)
	require.Len(t, d.Members, 1)
	require.Equal(t, m.id, d.Members[0].MemberID)
	require.Equal(t, "1 for "+m.id, string(d.Members[0].MemberAssignment))
	require.Equal(t, "semantics", d.Members[0].ClientID)
	require.Equal(t, "/127.0.0.1", d.Members[0].ClientHost)
	require.Zero(t, commit(c, 9, commitRequest("simple", x, 0, 1)))

	lists := func(version int16, states, types []string) (names []string) {
		req := kmsg.NewPtrListGroupsRequest()
		req.StatesFilter, req.TypesFilter = states, types
		resp := ask[*kmsg.ListGroupsResponse](c, version, req)
		require.Zero(t, resp.ErrorCode)
		for _, g := range resp.Groups {
			names = append(names, g.Group+" "+g.GroupState+" "+g.GroupType)
		}
		return names
	}
	require.ElementsMatch(t, []string{"g  ", "simple  "}, lists(0, nil, nil))
	require.ElementsMatch(t, []string{"g Stable classic", "simple Empty classic"}, lists(5, nil, nil))
	require.Equal(t, []string{"g Stable "}, lists(4, []string{"stable"}, nil))
	require.Equal(t, []string{"simple Empty classic"}, lists(5, []string{"EMPTY"}, []string{"Classic"}))
	require.Empty(t, lists(5, nil, []string{"consumer"}))

	forget := func(group string, topics ...string) *kmsg.OffsetDeleteResponse {
		req := kmsg.NewPtrOffsetDeleteRequest()
		req.Group = group
		for _, name := range topics {
			in := kmsg.NewOffsetDeleteRequestTopic()
			in.Topic, in.Partitions = name, []kmsg.OffsetDeleteRequestTopicPartition{{Partition: 0}}
			req.Topics = append(req.Topics, in)
		}
		return ask[*kmsg.OffsetDeleteResponse](c, 0, req)
	}
	require.EqualValues(t, 69, forget("unheard of", "x").ErrorCode)
	resp := forget("g", "x", "y", "z")
	require.Zero(t, resp.ErrorCode)
	require.EqualValues(t, 86, resp.Topics[0].Partitions[0].ErrorCode)
	require.Zero(t, resp.Topics[1].Partitions[0].ErrorCode)
	require.EqualValues(t, 3, resp.Topics[2].Partitions[0].ErrorCode)
	require.EqualValues(t, 1, committed(c, "g", x, 0).Offset)
	require.EqualValues(t, -1, committed(c, "g", y, 0).Offset)

	drop := func(groups ...string) (codes []int16) {
		req := kmsg.NewPtrDeleteGroupsRequest()
		req.Groups = groups
		for _, g := range ask[*kmsg.DeleteGroupsResponse](c, 2, req).Groups {
			codes = append(codes, g.ErrorCode)
		}
		return codes
	}
	require.Equal(t, []int16{68, 69, 0}, drop("g", "unheard of", "simple"))
	require.Equal(t, []int16{0}, leave(c, "g", leaver(m.id, "")))
	require.Equal(t, []int16{0}, drop("g"))
	require.EqualValues(t, -1, committed(c, "g", x, 0).Offset)
	require.Empty(t, lists(5, nil, nil))
}

// Cut off from etcd, a coordinator stops answering once its lease may be over: another agent may have taken the group.
func TestCoordinatorWithoutALease(t *testing.T) {
	n := newCluster(t).start(t, lasting("2s", groupSettings))
	m := newMember(t, n, "g")
	m.alone()
	require.Zero(t, m.heartbeat())
	n.etcdAway()
	eventually(t, "the members are sent away", func() bool { return m.heartbeat() == 16 })
	n.clear()
	eventually(t, "the group goes on", func() bool { return m.heartbeat() == 0 })
}
